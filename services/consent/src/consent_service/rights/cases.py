"""The life of an erasure case: what may follow what, who must agree, and what is to be done next. Pure: the time is an argument.

A case seals at once and destroys last. Nothing is destroyed unless two people other than the requester approved it since the last hold, no
hold is in force, and the time until which proof is kept has passed. From `started_us` on there is no way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from servicekit.errors import FailedPrecondition, Forbidden, Invalid

APPROVERS: Final = 2


class Stage(StrEnum):
    """Where a case is. HELD ends with its date: the case is SEALED again."""

    REQUESTED = "REQUESTED"
    SEALED = "SEALED"
    HELD = "HELD"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    KEY_DESTROYED = "KEY_DESTROYED"
    CERTIFIED = "CERTIFIED"


class Step(StrEnum):
    """What moves a case on."""

    SEAL = "SEAL"
    APPROVE = "APPROVE"
    AGREE = "AGREE"
    HOLD = "HOLD"
    RELEASE = "RELEASE"
    DENY = "DENY"
    GROW = "GROW"
    DESTROY = "DESTROY"
    CERTIFY = "CERTIFY"


CASE: Final[Mapping[Stage, Mapping[Step, Stage]]] = {
    Stage.REQUESTED: {Step.SEAL: Stage.SEALED},
    Stage.SEALED: {
        Step.APPROVE: Stage.SEALED,
        Step.AGREE: Stage.APPROVED,
        Step.HOLD: Stage.HELD,
        Step.DENY: Stage.DENIED,
        Step.GROW: Stage.SEALED,
    },
    Stage.HELD: {
        Step.HOLD: Stage.HELD,
        Step.RELEASE: Stage.SEALED,
        Step.DENY: Stage.DENIED,
        Step.GROW: Stage.HELD,
    },
    Stage.APPROVED: {
        Step.HOLD: Stage.HELD,
        Step.DENY: Stage.DENIED,
        Step.GROW: Stage.SEALED,
        Step.DESTROY: Stage.KEY_DESTROYED,
    },
    Stage.KEY_DESTROYED: {Step.CERTIFY: Stage.CERTIFIED},
    Stage.DENIED: {},
    Stage.CERTIFIED: {},
}
"""APPROVE is the first of two, AGREE the second. GROW: the subject has members that nobody has approved yet."""

OPEN: Final = frozenset(CASE) - {Stage.DENIED, Stage.CERTIFIED}


class Verb(StrEnum):
    """What somebody decided, or the service noted."""

    APPROVE = "APPROVE"
    DENY = "DENY"
    HOLD = "HOLD"
    MEMBERS_CHANGED = "MEMBERS_CHANGED"


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision: `by` is the caller's identity as its token names it, `role` what they say they are."""

    verb: Verb
    by: str
    at_us: int
    role: str = ""
    until_us: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The entry that closed one subject's chain, and its tag."""

    index: int
    tag: bytes


class Signed(NamedTuple):
    """A certificate: the exact body bytes, the id of the statement key, and its signature."""

    body: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Case:
    """An erasure case. `subjects` is empty once they are forgotten; `revision` counts its changes, for whoever changes it next."""

    id: str
    subjects: tuple[str, ...]
    ground: str
    requested_us: int
    requested_by: str
    stage: Stage = Stage.REQUESTED
    people: int = 0
    decisions: tuple[Decision, ...] = ()
    hold_until_us: int | None = None
    retain_until_us: int | None = None
    unsealed: bool = False
    started_us: int | None = None
    died_us: int | None = None
    erasures: tuple[Erasure, ...] = ()
    deleted: Mapping[str, int] = field(default_factory=dict)
    exports: tuple[int, ...] = ()
    certificate: Signed | None = None
    revision: int = 0

    @property
    def approvals(self) -> tuple[Decision, ...]:
        """Those that count: made since the last hold or change of members, one for each person."""
        found: dict[str, Decision] = {}
        for decision in self.decisions:
            if decision.verb is Verb.APPROVE:
                found.setdefault(decision.by, decision)
            else:
                found.clear()
        return tuple(found.values())


class Todo(StrEnum):
    """What the service does next."""

    SEAL = "SEAL"
    UNSEAL = "UNSEAL"
    DESTROY = "DESTROY"
    CERTIFY = "CERTIFY"


def at(case: Case, now_us: int) -> Case:
    """The case as it is now: a hold ends with its date."""
    if case.stage is Stage.HELD and case.hold_until_us is not None and now_us >= case.hold_until_us:
        return replace(_moved(case, Step.RELEASE), hold_until_us=None)
    return case


def todo(case: Case, now_us: int) -> Todo | None:
    """What is to be done now; None while the case waits for somebody, or for a time."""
    if case.stage is Stage.REQUESTED:
        return Todo.SEAL
    if case.stage is Stage.DENIED:
        return None if case.unsealed else Todo.UNSEAL
    if case.stage is Stage.APPROVED:
        return Todo.DESTROY if case.retain_until_us is None or now_us >= case.retain_until_us else None
    return Todo.CERTIFY if case.stage is Stage.KEY_DESTROYED else None


def approve(case: Case, by: str, *, role: str, now_us: int, retain_until_us: int | None = None) -> Case:
    """One person's approval; repeating one's own changes nothing. The latest date until which anybody wants proof kept counts.

    Raises Forbidden APPROVER_IS_REQUESTER, FailedPrecondition HOLD_IN_FORCE or CASE_CLOSED.
    """
    _require_name(by)
    if not role:
        raise Invalid("Say in which role.", field="role")
    if by == case.requested_by:
        raise Forbidden("Whoever asked for the erasure cannot approve it.", reason="APPROVER_IS_REQUESTER")
    if any(decision.by == by for decision in case.approvals):
        return case
    case = at(case, now_us)
    if case.stage is Stage.HELD:
        raise FailedPrecondition("A hold is in force.", reason="HOLD_IN_FORCE")
    decision = Decision(Verb.APPROVE, by, now_us, role, until_us=retain_until_us)
    step = Step.AGREE if len(case.approvals) + 1 >= APPROVERS else Step.APPROVE
    decided = _decided(case, step, decision)
    retained = [found.until_us for found in decided.approvals if found.until_us is not None]
    return replace(decided, retain_until_us=max(retained, default=None))


def hold(case: Case, by: str, *, role: str = "", until_us: int, reason: str, now_us: int) -> Case:
    """Keep everything until a date, whoever approved: what was approved before counts no more. A later hold replaces it.

    Raises FailedPrecondition CASE_CLOSED, or ERASURE_STARTED when it comes too late.
    """
    _require_name(by)
    if not reason:
        raise Invalid("Say why.", field="reason")
    _require_unstarted(case)
    decided = _decided(at(case, now_us), Step.HOLD, Decision(Verb.HOLD, by, now_us, role, until_us, reason))
    return replace(decided, hold_until_us=until_us, retain_until_us=None)


def deny(case: Case, by: str, *, role: str = "", now_us: int) -> Case:
    """No: earlier choices count again. Repeating it changes nothing. Raises as `hold`."""
    _require_name(by)
    if case.stage is Stage.DENIED:
        return case
    _require_unstarted(case)
    return _decided(at(case, now_us), Step.DENY, Decision(Verb.DENY, by, now_us, role))


def sealed(case: Case, subjects: Iterable[str]) -> Case:
    """Every check denies from now on."""
    return replace(_covering(case, subjects), stage=_moved(case, Step.SEAL).stage)


def grown(case: Case, subjects: Iterable[str], now_us: int) -> Case:
    """More subjects belong to the person than were approved: they are covered too, and it has to be approved again."""
    noted = Decision(Verb.MEMBERS_CHANGED, "", now_us)
    covering = _covering(case, subjects)
    return replace(_decided(covering, Step.GROW, noted), retain_until_us=None, started_us=None)


def unsealed(case: Case) -> Case:
    """What was denied is undone."""
    return replace(case, unsealed=True)


def started(case: Case, now_us: int) -> Case:
    """The point of no return: raises FailedPrecondition unless all that must be is there."""
    if todo(case, now_us) is not Todo.DESTROY or len(case.approvals) < APPROVERS:
        raise FailedPrecondition("The case is not approved, or it is not yet time.", reason="NOT_APPROVED")
    return case if case.started_us is not None else replace(case, started_us=now_us)


def destroyed(case: Case, erasures: Iterable[Erasure], now_us: int) -> Case:
    """The key is dead."""
    if case.started_us is None:
        raise FailedPrecondition("The erasure was not started.", reason="NOT_APPROVED")
    return replace(_moved(case, Step.DESTROY), erasures=tuple(erasures), died_us=now_us)


def certified(case: Case, certificate: Signed) -> Case:
    """Nothing is left to do, and the case no longer says whom it was about."""
    return replace(_moved(case, Step.CERTIFY), certificate=certificate, subjects=())


def _covering(case: Case, subjects: Iterable[str]) -> Case:
    everybody = tuple(sorted({*case.subjects, *subjects}))
    return replace(case, subjects=everybody, people=len(everybody))


def _decided(case: Case, step: Step, decision: Decision) -> Case:
    return replace(_moved(case, step), decisions=(*case.decisions, decision))


def _moved(case: Case, step: Step) -> Case:
    stage = CASE[case.stage].get(step)
    if stage is None:
        raise FailedPrecondition("The case is past that, or not there yet.", reason="CASE_CLOSED")
    return replace(case, stage=stage)


def _require_unstarted(case: Case) -> None:
    if case.started_us is not None and case.stage is Stage.APPROVED:
        raise FailedPrecondition("The erasure has begun.", reason="ERASURE_STARTED")


def _require_name(by: str) -> None:
    if not by:
        raise Forbidden("A decision needs somebody who made it.", reason="APPROVER_UNKNOWN")
