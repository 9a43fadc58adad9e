"""Entries and writes: what one act adds to the ledger. Pure: the head, the states and the time are arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from consent_service.domain import fold as folding
from consent_service.domain.acceptance import MOST_STATEMENTS, Actor, Evidence
from consent_service.domain.choices import Statement
from consent_service.domain.fold import Link, SubjectState, carried, made_meanwhile
from consent_service.domain.position import Position
from consent_service.domain.registry import Registry
from consent_service.domain.words import CLOSED, DENIALS, Kind, Status
from servicekit.errors import Exhausted, FailedPrecondition

Lineage = tuple[SubjectState, ...]
"""A subject, the one that absorbed it, and so on: the last one answers for all."""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the ledger: `size` entries, the last of them recorded at `recorded_us`."""

    ledger: str
    epoch: int
    size: int
    recorded_us: int
    registry_index: int | None = None
    registry_digest: str = ""

    @property
    def position(self) -> Position:
        """The last entry's place."""
        return Position(self.ledger, self.epoch, self.size - 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `sealed` are the members that a SEALED or UNSEALED is about; `note` holds what is no part of a statement."""

    index: int
    epoch: int
    kind: Kind
    recorded_us: int
    event_us: int
    subject: str | None = None
    effective: bool = True
    reason: str = ""
    statement: Statement | None = None
    link: Link | None = None
    actor: Actor | None = None
    evidence: Evidence | None = None
    regimes: tuple[str, ...] = ()
    request_id: str | None = None
    note: Mapping[str, str] = field(default_factory=dict)
    sealed: frozenset[str] = frozenset()

    @property
    def narrows(self) -> bool:
        """Whether it can turn a yes into a no. Linking does; separating may give back."""
        return self.kind in DENIALS or self.kind in (Kind.LINKED, Kind.SEALED)


@dataclass(frozen=True, slots=True)
class Write:
    """What one act adds, in one transaction. `rerooted` says which subjects answer with whose verdict from now on."""

    entries: tuple[Entry, ...] = ()
    states: tuple[SubjectState, ...] = ()
    rerooted: tuple[tuple[str, frozenset[str]], ...] = ()


def fold(state: SubjectState, entry: Entry) -> SubjectState:
    """The state after one more entry of the subject."""
    if entry.link is not None:
        return folding.relink(state, entry.index, entry.kind, entry.link)
    if entry.kind in (Kind.SEALED, Kind.UNSEALED):
        return folding.seal(state, entry.index, entry.kind, entry.sealed)
    assert entry.statement is not None
    return folding.choose(state, entry.statement)


def record(
    head: Head,
    root: SubjectState,
    statements: Sequence[Statement],
    *,
    actor: Actor,
    evidence: Evidence | None = None,
    regimes: tuple[str, ...] = (),
) -> Write:
    """Append choices of the subject that answers. Of an erased one nothing is kept: it is denied already.

    Raises FailedPrecondition SUBJECT_SEALED or SUBJECT_ERASED for what widens, Exhausted when it would make the state too long.
    """
    narrow = all(statement.denial for statement in statements)
    if root.status is not Status.LIVE and not narrow:
        raise FailedPrecondition("The subject's choices are closed.", reason=CLOSED[root.status])
    if root.status is Status.ERASED:
        return Write()
    entries = []
    for statement in statements:
        entry = _chosen(head, root, statement, actor, evidence, regimes)
        entries.append(entry)
        root = folding.chosen(root, statement) if entry.effective else fold(root, entry)
    if len(root.statements) > MOST_STATEMENTS and not narrow:
        raise Exhausted("Too many statements about one subject.", reason="TOO_MANY_STATEMENTS")
    return Write(tuple(entries), (root,))


def _chosen(
    head: Head,
    root: SubjectState,
    statement: Statement,
    actor: Actor,
    evidence: Evidence | None,
    regimes: tuple[str, ...],
) -> Entry:
    reason = folding.without_effect(root.statements, statement)
    return Entry(
        index=statement.index,
        epoch=head.epoch,
        kind=statement.kind,
        recorded_us=statement.recorded_us,
        event_us=statement.event_us,
        subject=root.subject,
        effective=not reason,
        reason=reason,
        statement=replace(statement, effective=False) if reason else statement,
        actor=actor,
        evidence=evidence,
        regimes=regimes,
    )


def link(head: Head, above: Lineage, absorbed: Lineage, registry: Registry, *, now_us: int, evidence_ref: str) -> Write:
    """Let `above[0]`, and whoever absorbed it, answer for `absorbed[0]`. An existing link changes nothing.

    Raises FailedPrecondition LINK_CYCLE when the survivor is below the absorbed, LINK_OTHER when another one absorbed it,
    SUBJECT_ERASED when nothing is left of one of them.
    """
    survivor, below = above[0], absorbed[0]
    if below.survivor == survivor.subject:
        return Write()
    if below.erased or any(state.erased for state in above):
        raise FailedPrecondition("One of the subjects is erased.", reason="SUBJECT_ERASED")
    if below.survivor is not None:
        raise FailedPrecondition("Another subject absorbed this one.", reason="LINK_OTHER")
    if below.subject in {state.subject for state in above}:
        raise FailedPrecondition("The survivor is absorbed by the other one.", reason="LINK_CYCLE")
    name = head.size
    links = [Link("absorbed", survivor.subject, name)]
    for number, _ in enumerate(above, start=1):
        moved = carried(below, link=name, index=name + number, recorded_us=now_us, void=registry.void)
        links.append(Link("survivor", below.subject, name, below.members, moved, below.sealed))
    rerooted = ((above[-1].subject, below.members),)
    return replace(
        _linked(head, (below, *above), links, Kind.LINKED, now_us=now_us, evidence_ref=evidence_ref), rerooted=rerooted
    )


def unlink(head: Head, survivor: str, absorbed: Lineage, *, now_us: int, evidence_ref: str) -> Write:
    """Let the absorbed side answer for itself again. When it is not linked to the survivor, nothing changes."""
    below, above = absorbed[0], absorbed[1:]
    if below.survivor != survivor or below.link is None:
        return Write()
    newest = [max(state.link or 0 for state in absorbed[: number + 1]) for number, _ in enumerate(above)]
    copied = made_meanwhile(above, newest, head.size)
    links = [Link("absorbed", survivor, below.link, statements=copied)]
    links += [Link("survivor", below.subject, below.link, below.members) for _ in above]
    rerooted = ((below.subject, below.members),)
    return replace(
        _linked(head, absorbed, links, Kind.UNLINKED, now_us=now_us, evidence_ref=evidence_ref), rerooted=rerooted
    )


def _linked(head: Head, states: Lineage, links: Sequence[Link], kind: Kind, *, now_us: int, evidence_ref: str) -> Write:
    """One entry for each subject whose verdict changes."""
    entries = tuple(
        Entry(
            index=head.size + number,
            epoch=head.epoch,
            kind=kind,
            recorded_us=now_us,
            event_us=now_us,
            subject=state.subject,
            link=link,
            note={"evidence_ref": evidence_ref} if evidence_ref else {},
        )
        for number, (state, link) in enumerate(zip(states, links, strict=True))
    )
    return Write(entries, tuple(fold(state, entry) for state, entry in zip(states, entries, strict=True)))


def seal(head: Head, states: Sequence[SubjectState], kind: Kind, *, now_us: int, case: str) -> Write:
    """SEALED or UNSEALED, for a subject that answers and all its members: one entry for each."""
    entries = tuple(
        Entry(
            index=head.size + number,
            epoch=head.epoch,
            kind=kind,
            recorded_us=now_us,
            event_us=now_us,
            subject=state.subject,
            sealed=state.members,
            note={"case": case},
        )
        for number, state in enumerate(states)
    )
    return Write(entries, tuple(fold(state, entry) for state, entry in zip(states, entries, strict=True)))
