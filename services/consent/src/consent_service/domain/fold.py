"""The fold: a subject's entries in index order become the smallest list of statements that can still influence a verdict.

Dropping a statement must change no verdict, now or after any later entry. So a denial is dropped only for a later denial of the same
kind that reaches as far and is not older (its event time still makes grants late); an objection also for a later lifting that lifts all of
it; a grant only for a later grant that lists as much; and nothing of the subject's own for a statement that hangs on a link, because
that one may lapse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from consent_service.domain import objections
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.words import LIFTS, OBJECTIONS, REFUSALS, SUBTREE, Kind, Status

Statements = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One side of a link made or undone. `link` is the index that names it: that of the absorbed side's entry.

    On a survivor `statements` are the denials carried over, and `sealed` the sealed subjects that come with them; on the absorbed side
    of an undone link, `statements` are those made meanwhile.
    """

    side: Literal["survivor", "absorbed"]
    other: str
    link: int
    members: frozenset[str] = frozenset()
    statements: Statements = ()
    sealed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SubjectState:
    """The fold of one subject's entries. `members` are the subject and all it absorbed; `sealed` those of them that are sealed."""

    subject: str
    members: frozenset[str]
    survivor: str | None = None
    link: int | None = None
    statements: Statements = ()
    last_index: int | None = None
    sealed: frozenset[str] = frozenset()
    erased: bool = False

    @property
    def status(self) -> Status:
        """Whether its choices count: a merged subject is sealed when any member is."""
        return status_of(self.sealed, erased=self.erased)


def status_of(sealed: Collection[str], *, erased: bool) -> Status:
    """The status of a subject with these sealed members."""
    if erased:
        return Status.ERASED
    return Status.SEALED if sealed else Status.LIVE


def unknown(subject: str) -> SubjectState:
    """A subject of whom nothing is on record."""
    return SubjectState(subject=subject, members=frozenset({subject}))


def late(statements: Iterable[Statement], grant: Statement) -> bool:
    """Whether a denial that reaches into the grant is as new as it by event time: then the grant undoes nothing."""
    return any(
        denial.kind in REFUSALS
        and denial.event_us >= grant.event_us
        and denial.scope.denies_some(grant.scope)
        and not any(scope.holds(grant.scope) for scope in denial.exceptions)
        for denial in statements
    )


LATE_GRANT: Final = "LATE_GRANT"
LATE_LIFT: Final = "LATE_LIFT"


def without_effect(statements: Iterable[Statement], new: Statement) -> str:
    """Why a statement is stored without effect; empty when it has one. A denial always has."""
    if new.kind is Kind.GRANT and late(statements, new):
        return LATE_GRANT
    if new.kind in LIFTS and objections.lifts_nothing(statements, new):
        return LATE_LIFT
    return ""


def choose(state: SubjectState, statement: Statement) -> SubjectState:
    """The state after a choice. One that its entry says has no effect never has one: as of a time that leaves out the denial that made it
    late, too. A late one is left out, whatever its entry says of itself.
    """
    if not statement.effective or without_effect(state.statements, statement):
        return replace(state, last_index=statement.index)
    return chosen(state, statement)


def chosen(state: SubjectState, statement: Statement) -> SubjectState:
    """The state after a choice that has an effect."""
    return SubjectState(
        state.subject,
        state.members,
        state.survivor,
        state.link,
        _added(state.statements, statement),
        statement.index,
        state.sealed,
        state.erased,
    )


def seal(state: SubjectState, index: int, kind: Kind, subjects: frozenset[str]) -> SubjectState:
    """The state after members were sealed, or unsealed."""
    sealed = state.sealed | subjects if kind is Kind.SEALED else state.sealed - subjects
    return replace(state, sealed=sealed, last_index=index)


def relink(state: SubjectState, index: int, kind: Kind, link: Link) -> SubjectState:
    """The state after one side of a link was made or undone."""
    if link.side == "absorbed":
        other, name = (link.other, link.link) if kind is Kind.LINKED else (None, None)
        return replace(
            state, survivor=other, link=name, statements=_all(state.statements, link.statements), last_index=index
        )
    if kind is Kind.LINKED:
        joined = _all(state.statements, link.statements)
        return replace(
            state,
            members=state.members | link.members,
            statements=joined,
            last_index=index,
            sealed=state.sealed | link.sealed,
        )
    kept = tuple(statement for statement in state.statements if link.link not in statement.links)
    return replace(
        state,
        members=state.members - link.members,
        statements=objections.pruned(kept),
        last_index=index,
        sealed=state.sealed - link.members,
    )


def _all(statements: Statements, more: Iterable[Statement]) -> Statements:
    for statement in more:
        statements = _added(statements, statement)
    return statements


def _added(statements: Statements, new: Statement) -> Statements:
    if new.kind is Kind.NOTICE_SERVED and any(_earlier_notice(old, new) for old in statements):
        return statements
    return objections.pruned((*(old for old in statements if not _superseded(old, new)), new))


def _superseded(old: Statement, new: Statement) -> bool:
    if new.exceptions or not set(new.links) <= set(old.links):
        return False
    if new.lifts(old):
        return new.scope.denies_all(old.scope)
    if old.kind is not new.kind:
        return False
    if new.kind in SUBTREE:
        return new.event_us >= old.event_us and new.scope.denies_all(old.scope)
    if new.kind is Kind.NOTICE_SERVED:
        return _earlier_notice(new, old)
    return new.scope.holds(old.scope)


def _earlier_notice(one: Statement, other: Statement) -> bool:
    """Whether the same words were served at least as widely and as early."""
    return (
        one.kind is Kind.NOTICE_SERVED
        and one.notice == other.notice
        and one.event_us <= other.event_us
        and one.scope.holds(other.scope)
    )


def carried(
    state: SubjectState, *, link: int, index: int, recorded_us: int, void: Callable[[NoticeRef | None], bool]
) -> Statements:
    """The denials standing on a side that is absorbed, effective at the link's index. Its grants never move over."""

    def moved(denial: Statement) -> Statement:
        return replace(
            denial,
            index=index,
            event_us=recorded_us,
            recorded_us=recorded_us,
            links=(*denial.links, link),
            exceptions=denial.exceptions + _lifted(denial, state.statements, recorded_us, void),
        )

    return tuple(moved(statement) for statement in state.statements if statement.denial)


def _lifted(
    denial: Statement, statements: Statements, now_us: int, void: Callable[[NoticeRef | None], bool]
) -> tuple[Scope, ...]:
    """Scopes for which a later grant has lifted the denial, or a lifting the objection."""
    if denial.kind in OBJECTIONS:
        return objections.lifted(denial, statements)
    return tuple(
        grant.scope
        for grant in statements
        if grant.kind is Kind.GRANT
        and grant.index > denial.index
        and grant.from_us <= now_us
        and denial.scope.denies_some(grant.scope)
        and not void(grant.notice)
    )


def made_meanwhile(above: Sequence[SubjectState], links: Sequence[int], index: int) -> Statements:
    """Denials that the subjects above an absorbed one made since the links that lead to them; copied when it leaves.

    `links[k]` is the newest link on the way to `above[k]`. An objection is copied as far as it still stands.
    """
    return tuple(
        replace(
            statement,
            index=index,
            exceptions=statement.exceptions + objections.lifted(statement, state.statements),
        )
        for state, link in zip(above, links, strict=True)
        for statement in state.statements
        if statement.denial and not statement.links and statement.index > link
    )
