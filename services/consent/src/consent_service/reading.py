"""The use cases that check: verdicts and bases from one snapshot of the primary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from consent_service.commands import Check, Evaluate
from consent_service.domain import basis, verdicts
from consent_service.domain.basis import Plan
from consent_service.domain.fold import Statements
from consent_service.domain.position import Position, read_token, require
from consent_service.domain.registry import Registry
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Status
from consent_service.history import FOREVER, Replay
from consent_service.ports import Ledger, Snapshot
from consent_service.registries import Registries
from servicekit.basis import SignedBasis, canonical, sign_encoded
from servicekit.clock import Clock
from servicekit.errors import FailedPrecondition

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


async def check_consent(query: Check, *, ledger: Ledger, registries: Registries, clock: Clock) -> Checked:
    """The verdict for each key, now."""
    snapshot = await _read(ledger, query.subject, query.min_token)
    at_us = _at(query.at_us, snapshot, clock)
    registry = await registries.in_force(snapshot.head, ledger)
    regimes = verdicts.applicable(registry, query.regimes)
    found = tuple(
        verdicts.verdict(registry, snapshot.statements, key, regimes=regimes, at_us=at_us, status=snapshot.status)
        for key in query.keys
    )
    return Checked(found, snapshot.head.position)


async def evaluate_basis(
    query: Evaluate, *, ledger: Ledger, registries: Registries, clock: Clock, key: StatementKey
) -> tuple[SignedBasis, Position]:
    """A signed statement of everything allowed on a channel, now; or, unsigned, the one that was given at an earlier position."""
    if query.replay is not None:
        return await _recompute(query, query.replay, ledger=ledger, registries=registries, key=key), query.replay
    snapshot = await _read(ledger, query.subject, query.min_token)
    at_us = _at(query.at_us, snapshot, clock)
    registry = await registries.in_force(snapshot.head, ledger)
    plan = _plan(query, registry, registries)
    position = snapshot.head.position
    if snapshot.status is not Status.LIVE:
        evaluated = basis.closed(plan, snapshot.status)
        body = canonical(_body(query, plan, evaluated, position, snapshot.members, at_us, key.key_id))
    else:
        judged = registries.judged(plan, snapshot.statements, at_us)
        body = judged.encode(_body(query, plan, judged.evaluated, position, snapshot.members, at_us, key.key_id))
    return sign_encoded(body, key.key, key.key_id), position


async def _recompute(
    query: Evaluate, position: Position, *, ledger: Ledger, registries: Registries, key: StatementKey
) -> SignedBasis:
    """The same bytes again, from the entries up to the position: a function of them, the registry, and the arguments."""
    replay = await Replay.at(ledger, position)
    if (await ledger.read(query.subject)).status is Status.ERASED:
        raise FailedPrecondition("The subject's entries are erased.", reason="SUBJECT_ERASED", field="subject_id")
    registry = await registries.at(await ledger.registry_known_at(FOREVER, size=replay.size), ledger)
    state = (await replay.answering(query.subject)).state
    plan = _plan(query, registry, registries)
    at_us = query.at_us or 0
    evaluated = _evaluated(plan, state.statements, state.status, at_us)
    kid = query.replay_kid or key.key_id
    body = _body(query, plan, evaluated, position, state.members, at_us, kid)
    return SignedBasis(canonical(body), kid, b"")


def _evaluated(plan: Plan, statements: Statements, status: Status, at_us: int) -> basis.Evaluated:
    if status is not Status.LIVE:
        return basis.closed(plan, status)
    return basis.evaluate(plan, statements, at_us)


def _plan(query: Evaluate, registry: Registry, registries: Registries) -> Plan:
    return registries.plan(registry, verdicts.applicable(registry, query.regimes), query.channel, query.purposes)


def _body(
    query: Evaluate,
    plan: Plan,
    evaluated: basis.Evaluated,
    position: Position,
    members: Iterable[str],
    at_us: int,
    kid: str,
) -> dict[str, Any]:
    return basis.body(
        evaluated,
        plan,
        ledger=position.ledger,
        epoch=position.epoch,
        index=position.index,
        subject=query.subject,
        members=members,
        at_us=at_us,
        ttl_us=query.ttl_us,
        kid=kid,
    )


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
        raise FailedPrecondition("The time asked for is not now.", reason="AT_NOT_NOW", field="at_us")
    return asked_us
