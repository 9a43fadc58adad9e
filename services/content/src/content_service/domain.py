"""The life of a bundle, and who may move it on. Pure: who, when and what changed are arguments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from servicekit.errors import FailedPrecondition, Forbidden


class State(StrEnum):
    """Where a bundle is."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    ACTIVE = "active"
    RETIRED = "retired"
    REJECTED = "rejected"


class Step(StrEnum):
    """What can be done to a bundle."""

    APPROVE = "approve"
    REJECT = "reject"
    ACTIVATE = "activate"
    RETIRE = "retire"


LIFECYCLE = {
    State.PROPOSED: {Step.APPROVE: State.APPROVED, Step.REJECT: State.REJECTED},
    State.APPROVED: {Step.ACTIVATE: State.ACTIVE, Step.REJECT: State.REJECTED},
    State.ACTIVE: {Step.RETIRE: State.RETIRED},
    State.RETIRED: {},
    State.REJECTED: {},
}

GUARDED = frozenset({"purposes", "prohibited attributes", "credit products"})
"""What two people with the compliance scope must have approved."""


@dataclass(frozen=True, slots=True)
class Life:
    """One bundle's life so far; `touches` names what it changes that is guarded."""

    digest: str
    proposed_by: str
    changed_at_ms: int
    state: State = State.PROPOSED
    touches: frozenset[str] = frozenset()
    approved_by: tuple[str, ...] = ()

    @property
    def approvals_needed(self) -> int:
        """Two when something guarded is touched."""
        return 2 if self.touches & GUARDED else 1


@dataclass(frozen=True, slots=True)
class Killed:
    """Something that is stopped: an action, a treatment, a signal or a model."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Active:
    """What counts now. `digest` is None before the first activation; `revision` grows with every change."""

    digest: str | None
    killed: tuple[str, ...]
    revision: int


def step(life: Life, verb: Step, *, now_ms: int) -> Life:
    """The life after `verb`; raises FailedPrecondition ILLEGAL_STEP where the table has no such step."""
    following = LIFECYCLE[life.state].get(verb)
    if following is None:
        raise FailedPrecondition(f"A bundle that is {life.state} cannot be told to {verb}", reason="ILLEGAL_STEP")
    return replace(life, state=following, changed_at_ms=now_ms)


def approve(life: Life, *, by: str, compliance: bool, now_ms: int) -> Life:
    """The life with one more approval; it is approved once it has enough of them.

    Raises Forbidden SAME_PERSON for the proposer, COMPLIANCE_NEEDED when something guarded is touched by one without that scope.
    """
    if by in life.approved_by:
        return life
    moved = step(life, Step.APPROVE, now_ms=now_ms)
    if by == life.proposed_by:
        raise Forbidden("Who proposed a bundle cannot approve it", reason="SAME_PERSON")
    if life.touches & GUARDED and not compliance:
        raise Forbidden("This bundle touches what only compliance may approve", reason="COMPLIANCE_NEEDED")
    approved = replace(moved, approved_by=(*life.approved_by, by))
    return approved if len(approved.approved_by) >= life.approvals_needed else replace(approved, state=State.PROPOSED)


def reject(life: Life, *, now_ms: int) -> Life:
    """The life of a bundle that is turned away."""
    return step(life, Step.REJECT, now_ms=now_ms)


def activate(life: Life, *, now_ms: int) -> Life:
    """The life of the bundle that counts; one that counts already stays as it is."""
    return life if life.state is State.ACTIVE else step(life, Step.ACTIVATE, now_ms=now_ms)


def retire(life: Life, *, now_ms: int) -> Life:
    """The life of a bundle that no longer counts."""
    return step(life, Step.RETIRE, now_ms=now_ms)
