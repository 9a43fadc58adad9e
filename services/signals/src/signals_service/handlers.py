"""The use cases: take in events, show signals, obey a withdrawal, forget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from assent.events.v1.session_pb2 import Grant
from servicekit.basis import Basis, SignedBasis, Verifier
from servicekit.clock import Clock
from servicekit.errors import Invalid
from servicekit.partitions import PARTITIONS, partition_of
from signals_service import translation
from signals_service.domain.admission import check_batch, gate, judge
from signals_service.domain.events import QUIET, Batch, Limits, Status, Verdict, Vocabulary
from signals_service.domain.rates import Rates
from signals_service.domain.showing import StoredSignal, shown
from signals_service.domain.values import SESSION
from signals_service.ports import Bases, Catalog, Events, Looked, Position, Signals, Subjects

POLL_S = 0.004
MAX_WAIT_MS = 50
OWNER_SILENT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch; no position when nothing was stored."""

    verdicts: Sequence[Verdict]
    position: Position | None = None
    retry_after_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes in batches of session events."""

    catalog: Catalog
    subjects: Subjects
    bases: Bases
    events: Events
    rates: Rates
    limits: Limits
    clock: Clock

    async def __call__(self, batch: Batch) -> Ingested:
        """Store what form and consent allow; answers after the stream has it. Raises Invalid, Unavailable."""
        check_batch(batch, self.limits)
        definitions = self.catalog.active().bundle
        now_ms = self.clock.now_us() // 1000
        verdicts = self._limited(batch, self._judged(batch, definitions.words), now_ms)
        wait_ms = self._wait(batch, verdicts, now_ms)
        subject = batch.subject_id or await self.subjects.resolve(batch.visitor)
        basis = await self.bases.of(subject, batch.channel)
        purposes = definitions.program.purposes
        categories = frozenset(name for purpose in purposes for name in basis.allowed.get(purpose, ()))
        verdicts = [gate(verdict, definitions.words, categories) for verdict in verdicts]
        if not any(verdict.event for verdict in verdicts) and not categories:
            return Ingested([_unallowed(verdict) for verdict in verdicts], None, wait_ms)
        grant = translation.recorded_grant(basis, purposes)
        stored = translation.session_batch(batch, verdicts, subject=subject, grant=grant, received_at_ms=now_ms)
        position = await self.events.publish(stored)
        self.rates.take(batch.session, batch.batch_id, _within(verdicts), now_ms)
        await self._refuse(position, verdicts, now_ms)
        return Ingested(verdicts, position, wait_ms)

    def _judged(self, batch: Batch, words: Vocabulary) -> list[Verdict]:
        return [judge(event, batch, words, self.limits) for event in batch.events]

    def _limited(self, batch: Batch, verdicts: list[Verdict], now_ms: int) -> list[Verdict]:
        """Refuse what is over the session's rate or number, whatever it holds."""
        allowed = self.rates.allowance(batch.session, batch.batch_id, now_ms)
        return [
            verdict
            if place < allowed and verdict.seq < self.limits.session_events
            else Verdict(verdict.seq, Status.RATE_LIMITED)
            for place, verdict in enumerate(verdicts)
        ]

    def _wait(self, batch: Batch, verdicts: Sequence[Verdict], now_ms: int) -> int | None:
        limited = any(verdict.status is Status.RATE_LIMITED for verdict in verdicts)
        return self.rates.wait_ms(batch.session, now_ms) if limited else None

    async def _refuse(self, position: Position, verdicts: Sequence[Verdict], now_ms: int) -> None:
        refused = [verdict for verdict in verdicts if verdict.status not in QUIET]
        await asyncio.gather(
            *(self.events.refuse(position, one.seq, one.status.value, one.names, now_ms) for one in refused),
        )


def _within(verdicts: Sequence[Verdict]) -> int:
    return sum(verdict.status is not Status.RATE_LIMITED for verdict in verdicts)


def _unallowed(verdict: Verdict) -> Verdict:
    """Without any grant nothing is told about an event's form either, except that it came too fast."""
    return verdict if verdict.status is Status.RATE_LIMITED else Verdict(verdict.seq, Status.NOT_ALLOWED)


@dataclass(frozen=True, slots=True)
class Query:
    """Which signals to read."""

    basis: SignedBasis | None
    subject: str
    session: str
    channel: str
    now_ms: int
    wait_for: Position | None = None
    max_wait_ms: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What is going on, and how well that is known."""

    signals: Sequence[StoredSignal]
    lag_ms: int
    fresh: bool
    caught_up: bool


@dataclass(frozen=True, slots=True)
class Look:
    """Shows active signals to whoever holds a basis."""

    catalog: Catalog
    signals: Signals
    events: Events
    verifier: Verifier
    clock: Clock
    stale_ms: int

    async def __call__(self, query: Query) -> Seen:
        """Signals that the basis covers; the rest is absent without trace. Raises Forbidden, Invalid, Unavailable."""
        _check_query(query)
        subject = query.subject or await self.signals.subject_of(query.session) or ""
        now_us = self.clock.now_us()
        basis = self.verifier.verify(query.basis, now_us=now_us, subject=subject, channel=query.channel)
        caught_up = await self._caught_up(query)
        now_ms = query.now_ms or now_us // 1000
        members = sorted(basis.members | {subject})
        looked = await self.signals.look(members, query.session, _asked(query), now_ms)
        lag_ms, owned = await self._lag(looked), await self._owned(looked, _asked(query))
        visible = shown(looked.signals, basis.allows, self.catalog.active().killed)
        return Seen(visible, lag_ms, owned and lag_ms <= self.stale_ms, caught_up)

    async def _caught_up(self, query: Query) -> bool:
        if query.wait_for is None:
            return True
        loop = asyncio.get_running_loop()
        end = loop.time() + min(query.max_wait_ms, MAX_WAIT_MS) / 1000
        while True:
            progress = await self.signals.progress([query.wait_for.partition])
            known = progress.get(query.wait_for.partition)
            if known is not None and known.position >= query.wait_for.sequence:
                return True
            if loop.time() >= end:
                return False
            await asyncio.sleep(POLL_S)

    async def _lag(self, looked: Looked) -> int:
        """The longest wait in the partitions of these sessions."""
        now_ms = self.clock.now_us() // 1000
        waits = [self.events.behind_ms(Position(p, at.position), now_ms) for p, at in sorted(looked.progress.items())]
        return max(await asyncio.gather(*waits), default=0) if waits else 0

    async def _owned(self, looked: Looked, asked: Sequence[int]) -> bool:
        """Whether somebody works on the partitions of these sessions; without any session, on all there are."""
        if not looked.progress and not asked:
            partitions, silent_ms = await self.signals.everything()
            return partitions == PARTITIONS and silent_ms <= OWNER_SILENT_MS
        heard = all(at.silent_ms <= OWNER_SILENT_MS for at in looked.progress.values())
        return heard and looked.progress.keys() >= set(asked)


def _asked(query: Query) -> list[int]:
    """Partitions that count whether or not a live session is in them."""
    asked = {query.wait_for.partition} if query.wait_for else set()
    return sorted(asked | ({partition_of(query.session)} if query.session else set()))


def _check_query(query: Query) -> None:
    if not query.subject and not query.session:
        raise Invalid("A subject or a session is needed.", field="subject_id", reason="NO_KEY")
    for field, value in (("subject_id", query.subject), ("session", query.session), ("channel", query.channel)):
        if len(value) > 64 or "\x00" in value:
            raise Invalid("It is too long, or holds a NUL.", field=field)
    if query.session and not SESSION.fullmatch(query.session):
        raise Invalid("It is not a session's name.", field="session")
    if not 0 <= query.now_ms < 1 << 48:
        raise Invalid("It is not a time.", field="now_ms")
    if query.wait_for and not (0 <= query.wait_for.partition < PARTITIONS and query.wait_for.sequence < 1 << 63):
        raise Invalid("It is not a position.", field="wait_for")


@dataclass(frozen=True, slots=True)
class Withdrawals:
    """Obeys what the ledger says has changed."""

    catalog: Catalog
    signals: Signals
    bases: Bases
    events: Events
    clock: Clock

    async def narrow(self, subject: str) -> None:
        """Ask the ledger anew, end what it no longer covers, and tell the owners of the subject's live sessions.

        Idempotent: grants are named after their ledger position, and a signal ends once.
        """
        self.bases.invalidate(subject)
        for channel in await self.signals.channels_of(subject):
            await self._narrow_channel(await self.bases.of(subject, channel), subject, channel)

    async def _narrow_channel(self, basis: Basis, subject: str, channel: str) -> None:
        members = sorted(basis.members | {subject})
        now_ms = self.clock.now_us() // 1000
        grant = translation.recorded_grant(basis, self.catalog.active().bundle.program.purposes)
        for row in await self.signals.sessions_of(members):
            if row.channel == channel:
                await self.events.publish(
                    translation.grant_message(
                        row.session,
                        visitor=row.visitor,
                        subject=row.subject,
                        channel=channel,
                        grant=grant,
                        now_ms=now_ms,
                    )
                )
        over = [
            one.id
            for one in await self.signals.running(members, now_ms)
            if one.channel == channel and not all(basis.allows(one.purpose, name) for name in one.categories)
        ]
        await self.signals.end(over, now_ms, "CONSENT")

    async def forget(self, subject: str, request_id: str) -> int:
        """Delete everything about a subject, in the owners' memory too. Idempotent by request_id."""
        before = await self.signals.forgotten_before(request_id)
        if before is not None:
            return before
        self.bases.invalidate(subject)
        now_ms = self.clock.now_us() // 1000
        sessions = await self.signals.sessions_of([subject])
        removed = await self.signals.forget(request_id, subject)
        nothing = Grant()
        for row in sessions:
            gone = translation.grant_message(
                row.session, visitor="", subject="", channel=row.channel, grant=nothing, now_ms=now_ms
            )
            await self.events.publish(gone)
        return removed
