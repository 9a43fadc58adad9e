"""The use cases that read: checks and bases from one snapshot of the primary, and history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service.commands import Check, Evaluate, FindRegistry, Look
from consent_service.domain import basis, verdicts
from consent_service.domain.choices import Key, Statement
from consent_service.domain.entries import Entry, fold
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.position import Position, read_token, require
from consent_service.domain.registry import Registry
from consent_service.domain.verdicts import Verdict
from consent_service.ports import Ledger, NoticeBytes, Published, Snapshot
from consent_service.registries import Registries
from servicekit.basis import SignedBasis, sign_encoded
from servicekit.clock import Clock
from servicekit.errors import FailedPrecondition, NotFound

AT_SLACK_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class StatementKey:
    """The key that signs statements, and its id."""

    key: Ed25519PrivateKey
    key_id: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Verdicts in the order of the keys, and the head they were read at."""

    verdicts: tuple[Verdict, ...]
    position: Position


@dataclass(frozen=True, slots=True)
class Looked:
    """What is on record about a subject."""

    statements: tuple[Statement, ...]
    verdicts: tuple[tuple[Key, Verdict], ...]
    registry_digest: str
    position: Position
    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class FoundRegistry:
    """A registry, where it was published, and the notice asked for."""

    published: Published
    position: Position
    notice: NoticeBytes | None


async def check_consent(query: Check, *, ledger: Ledger, registries: Registries, clock: Clock) -> Checked:
    """The verdict for each key, now."""
    snapshot = await _read(ledger, query.subject, query.min_token)
    at_us = _at(query.at_us, snapshot, clock)
    registry = await registries.in_force(snapshot.head, ledger)
    regimes = verdicts.applicable(registry, query.regimes)
    found = tuple(
        verdicts.verdict(registry, snapshot.statements, key, regimes=regimes, at_us=at_us) for key in query.keys
    )
    return Checked(found, snapshot.head.position)


async def evaluate_basis(
    query: Evaluate, *, ledger: Ledger, registries: Registries, clock: Clock, key: StatementKey
) -> tuple[SignedBasis, Position]:
    """A signed statement of everything allowed on a channel, now."""
    snapshot = await _read(ledger, query.subject, query.min_token)
    at_us = _at(query.at_us, snapshot, clock)
    registry = await registries.in_force(snapshot.head, ledger)
    plan = registries.plan(registry, verdicts.applicable(registry, query.regimes), query.channel, query.purposes)
    judged = registries.judged(plan, snapshot.statements, at_us)
    head = snapshot.head.position
    body = basis.body(
        judged.evaluated,
        plan,
        ledger=head.ledger,
        epoch=head.epoch,
        index=head.index,
        subject=query.subject,
        members=snapshot.members,
        at_us=at_us,
        ttl_us=query.ttl_us,
        kid=key.key_id,
    )
    return sign_encoded(judged.encode(body), key.key, key.key_id), head


async def _read(ledger: Ledger, subject: str, min_token: bytes) -> Snapshot:
    """One snapshot that includes the token."""
    if not min_token:
        return await ledger.read(subject)
    token = read_token(min_token)
    snapshot = await ledger.read(subject, epoch=min(token.epoch, (1 << 63) - 1))
    require(token, snapshot.head.position, snapshot.next_start)
    return snapshot


def _at(asked_us: int | None, snapshot: Snapshot, clock: Clock) -> int:
    """When to judge. By default now, or the ledger's own last time where another replica's clock is a little ahead of ours."""
    now_us = clock.now_us()
    if asked_us is None:
        return min(max(now_us, snapshot.head.recorded_us), now_us + AT_SLACK_US)
    if abs(asked_us - now_us) > AT_SLACK_US:
        raise FailedPrecondition("The time asked for is not now.", reason="AT_NOT_NOW")
    return asked_us


async def get_consent_state(query: Look, *, ledger: Ledger, registries: Registries, clock: Clock) -> Looked:
    """The fold of what was known at one time about another, and its verdicts."""
    snapshot = await ledger.read(query.subject)
    now_us = max(clock.now_us(), snapshot.head.recorded_us)
    known_us = now_us if query.as_known_at_us is None else query.as_known_at_us
    at_us = now_us if query.as_of_us is None else query.as_of_us

    async def entries_of(subject: str) -> Sequence[Entry]:
        return await ledger.history(subject, size=snapshot.head.size, known_us=known_us, as_of_us=at_us)

    history, state = await _answering(query.subject, entries_of)
    registry = await registries.at(await ledger.registry_known_at(known_us), ledger)
    statements = _told(history) if query.include_ended else _standing(state, at_us)
    return Looked(
        statements=statements,
        verdicts=tuple(_all_verdicts(registry, state, at_us)),
        registry_digest=registry.digest,
        position=snapshot.head.position,
        members=state.members | {query.subject},
    )


async def _answering(
    subject: str, entries_of: Callable[[str], Awaitable[Sequence[Entry]]]
) -> tuple[Sequence[Entry], SubjectState]:
    """History and state of whoever answered for the subject then."""
    while True:
        history = await entries_of(subject)
        state = unknown(subject)
        for entry in history:
            state = fold(state, entry)
        if state.survivor is None:
            return history, state
        subject = state.survivor


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
    """One for each purpose and category on each channel that a statement names; any channel names them all."""
    regimes = verdicts.applicable(registry)
    named: set[str] = set()
    for statement in state.statements:
        named |= (statement.scope.channels or registry.channels) & registry.channels
    keys = [
        Key(purpose.id, channel, category)
        for purpose in (registry.purposes or {}).values()
        for channel in sorted(named)
        for category in sorted(purpose.categories)
    ]
    return [(key, verdicts.verdict(registry, state.statements, key, regimes=regimes, at_us=at_us)) for key in keys]


async def get_registry(query: FindRegistry, *, ledger: Ledger) -> FoundRegistry:
    """A document as it was published; NotFound when there is none, or no such notice."""
    snapshot = await ledger.read("")
    published = await ledger.registry(query.digest)
    if published is None:
        raise NotFound("No such registry is published.", reason="REGISTRY_UNKNOWN")
    notice = await ledger.notice(query.notice) if query.notice is not None else None
    if query.notice is not None and notice is None:
        raise NotFound("No such notice is published.", reason="NOTICE_UNKNOWN")
    position = Position(snapshot.head.ledger, published.epoch, published.index)
    return FoundRegistry(published, position, notice)
