"""The use cases that look back: a subject's state as of a time or a place, its entries, and registries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from consent_service.commands import FindRegistry, ListEvents, Look, Moment
from consent_service.domain import verdicts
from consent_service.domain.choices import Key, Statement
from consent_service.domain.entries import Entry, fold
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.position import Position, require
from consent_service.domain.registry import Registry
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Status
from consent_service.ports import Ledger, NoticeBytes, Published
from consent_service.registries import Registries
from servicekit.clock import Clock
from servicekit.errors import NotFound

MOST_WORDS: Final = 256 * 1024
"""How much of what people wrote a page of entries holds."""
FOREVER: Final = (1 << 53) - 1
"""Later than any time of the ledger."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is on record about a subject."""

    statements: tuple[Statement, ...]
    verdicts: tuple[tuple[Key, Verdict], ...]
    registry_digest: str
    position: Position
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a subject's entries; `more` says whether there are later ones."""

    entries: tuple[Entry, ...]
    more: bool
    position: Position
    resolved: str
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundRegistry:
    """A registry, where it was published, and the notice asked for."""

    published: Published
    position: Position
    notice: NoticeBytes | None


class Answering(NamedTuple):
    """Entries and state of whoever answered for a subject."""

    entries: Sequence[Entry]
    state: SubjectState


@dataclass(frozen=True, slots=True)
class Replay:
    """The first `size` entries of the ledger, and of these what was known at one time about another."""

    ledger: Ledger
    size: int
    known_us: int = FOREVER
    as_of_us: int = FOREVER

    @classmethod
    async def at(cls, ledger: Ledger, position: Position) -> Replay:
        """Everything up to a position of this ledger."""
        await _recorded_at(ledger, position)
        return cls(ledger, position.index + 1)

    async def answering(self, subject: str) -> Answering:
        """Who answered for the subject, by links that were known then."""
        while True:
            entries = await self.ledger.history(subject, size=self.size, known_us=self.known_us, as_of_us=self.as_of_us)
            state = unknown(subject)
            for entry in entries:
                state = fold(state, entry)
            if state.survivor is None:
                return Answering(entries, state)
            subject = state.survivor


async def _recorded_at(ledger: Ledger, position: Position) -> int:
    """When the entry was recorded; FailedPrecondition for a position that is not one of the ledger."""
    snapshot = await ledger.read("", epoch=min(position.epoch, (1 << 63) - 1))
    require(position, snapshot.head.position, snapshot.next_start)
    found = await ledger.recorded_at(position.index)
    if found is None:
        raise NotFound("The entry is not there.", reason="ENTRY_UNKNOWN")
    return found


async def get_consent_state(query: Look, *, ledger: Ledger, registries: Registries, clock: Clock) -> Looked:
    """The fold of what was known at one time about another, and its verdicts."""
    head = (await ledger.read("")).head
    now_us = max(clock.now_us(), head.recorded_us)
    at_us = await _time(ledger, query.as_of, now_us)
    known_us = await _time(ledger, query.as_known_at, now_us)
    placed = isinstance(query.as_known_at, Position)
    size = query.as_known_at.index + 1 if isinstance(query.as_known_at, Position) else head.size
    replay = Replay(ledger, size, FOREVER if placed else known_us, at_us)
    answered = await _unless_erased(query.subject, await replay.answering(query.subject), ledger)
    registry = await registries.at(await ledger.registry_known_at(replay.known_us, size=size), ledger)
    state = answered.state
    return Looked(
        statements=_told(answered.entries) if query.include_ended else _standing(state, at_us),
        verdicts=tuple(_all_verdicts(registry, state, at_us)),
        registry_digest=registry.digest,
        position=head.position,
        members=state.members | {query.subject},
    )


async def _unless_erased(subject: str, answered: Answering, ledger: Ledger) -> Answering:
    """Who answered, or a tombstone for all times: an erasure takes the entries of before. Asked last, because it may be at it just now."""
    if (await ledger.read(subject)).status is not Status.ERASED:
        return answered
    return Answering((), replace(unknown(subject), erased=True))


async def _time(ledger: Ledger, moment: Moment | None, now_us: int) -> int:
    if isinstance(moment, Position):
        return await _recorded_at(ledger, moment)
    return now_us if moment is None else moment


def _told(history: Sequence[Entry]) -> tuple[Statement, ...]:
    """Everything ever said, in order, with what links brought."""
    told: list[Statement] = []
    for entry in history:
        told.extend([entry.statement] if entry.statement else [])
        told.extend(entry.link.statements if entry.link else ())
    return tuple(told)


def _standing(state: SubjectState, at_us: int) -> tuple[Statement, ...]:
    """Statements that have not ended."""
    return tuple(s for s in state.statements if s.effective and (s.to_us is None or at_us < s.to_us))


def _all_verdicts(registry: Registry, state: SubjectState, at_us: int) -> list[tuple[Key, Verdict]]:
    """One for each purpose and category on each channel that a statement names; any channel names them all, and so does an erasure."""
    regimes = verdicts.applicable(registry)
    named: set[str] = set(registry.channels) if state.erased else set()
    for statement in state.statements:
        named |= (statement.scope.channels or registry.channels) & registry.channels
    keys = [
        Key(purpose.id, channel, category)
        for purpose in (registry.purposes or {}).values()
        for channel in sorted(named)
        for category in sorted(purpose.categories)
    ]
    return [
        (key, verdicts.verdict(registry, state.statements, key, regimes=regimes, at_us=at_us, status=state.status))
        for key in keys
    ]


async def list_consent_events(query: ListEvents, *, ledger: Ledger, whole: bool = False) -> Listed:
    """A page of the subject's own entries, in index order; unless they are `whole`, without evidence and who acted."""
    snapshot = await ledger.read(query.subject)
    size = snapshot.head.size
    found = await ledger.page(query.subject, after=query.after, size=size, amount=query.amount + 1, whole=whole)
    shown = _fitting(found[: query.amount])
    return Listed(
        entries=shown,
        more=len(found) > len(shown),
        position=snapshot.head.position,
        resolved=snapshot.subject or query.subject,
        members=snapshot.members,
    )


def _fitting(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The first of them, as many as fit into one message with all that people wrote; at least one."""
    room = MOST_WORDS
    for number, entry in enumerate(entries):
        said = entry.evidence
        room -= len(said.free_text.encode()) + sum(map(len, said.attachment_refs)) if said is not None else 0
        if room < 0:
            return tuple(entries[: max(number, 1)])
    return tuple(entries)


async def get_registry(query: FindRegistry, *, ledger: Ledger) -> FoundRegistry:
    """A document as it was published; NotFound when there is none, or no such notice."""
    snapshot = await ledger.read("")
    published = await _registry(query, ledger)
    if published is None:
        raise NotFound("No such registry is published.", reason="REGISTRY_UNKNOWN")
    notice = await ledger.notice(query.notice) if query.notice is not None else None
    if query.notice is not None and notice is None:
        raise NotFound("No such notice is published.", reason="NOTICE_UNKNOWN")
    position = Position(snapshot.head.ledger, published.epoch, published.index)
    return FoundRegistry(published, position, notice)


async def _registry(query: FindRegistry, ledger: Ledger) -> Published | None:
    if query.position is None:
        return await ledger.registry(query.digest)
    await _recorded_at(ledger, query.position)
    index = await ledger.registry_known_at(FOREVER, size=query.position.index + 1)
    return None if index is None else await ledger.registry_at(index)
