"""Events into profile and signals: how many a second until they count, and how long one takes to be seen."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg

from assent.consent.v1.basis_pb2 import SignedBasis
from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest
from assent.profile.v1.profile_service_pb2 import GetViewRequest, IngestBankEventsRequest
from assent.signals.v1 import signals_service_pb2 as signals
from assent.signals.v1.session_event_pb2 import SessionEvent
from benchmarks.world import AT_ONCE, SEED, World
from harbour_bank import steps, synthetic
from harbour_bank.bank_events import event, trait
from servicekit.ids import new_id

if TYPE_CHECKING:  # the name exists in the stubs' types only
    from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceAsyncStub

PER_BATCH, BATCHES = 25, 8
"""Within the burst that one session is allowed."""
TOO_LONG_S = 60.0
CHANNEL = "mobile"
SEEN = "view.age_years"

Row = dict[str, Any]


async def bank_events(world: World) -> Row:
    """Every customer's history on one stream, until all of it is folded."""
    events = list(synthetic.events(len(world.numbers), seed=SEED, now_ms=_now_ms()))
    started = time.perf_counter()
    answer = await steps.ingest(events, world.who, lambda _: None)
    accepted_s = time.perf_counter() - started
    connection = await _connection(world, "profile")
    folded = "SELECT count(*) FROM profile.folded_event"
    try:
        await _until(lambda: _at_least(connection, folded, answer.accepted))
    finally:
        await connection.close()
    visible_s = time.perf_counter() - started
    return _throughput("bank events into profile", answer.accepted, accepted_s, visible_s)


def _throughput(what: str, events: int, accepted_s: float, visible_s: float) -> Row:
    return {
        "what": what,
        "events": events,
        "accepted_per_s": round(events / accepted_s),
        "visible_per_s": round(events / visible_s),
    }


async def _connection(world: World, service: str) -> asyncpg.Connection[asyncpg.Record]:
    found: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(world.stack.dsn(service, owner=True))
    return found


async def _at_least(connection: asyncpg.Connection[asyncpg.Record], query: str, wanted: int) -> bool:
    return int(await connection.fetchval(query)) >= wanted


async def _until(reached: Callable[[], Awaitable[bool]], pause_s: float = 0.02) -> None:
    ends = time.monotonic() + TOO_LONG_S
    while not await reached():
        if time.monotonic() > ends:
            raise TimeoutError("events were accepted and not folded")
        await asyncio.sleep(pause_s)


async def bank_event_seen(world: World, count: int) -> Row:
    """From sending one bank event to a view that has it."""
    number = world.numbers[0]
    subject_id = await steps.subject_of(steps.customer(number), world.me)
    took = [await _one_bank_event(world, number, subject_id, age) for age in range(20, 20 + count)]
    return _latency("bank event to view", took)


async def _one_bank_event(world: World, number: str, subject_id: str, age: int) -> float:
    stub, basis = await world.me.profile(), await _basis(world, subject_id)
    digest = ""
    told = event(number, f"seen-{uuid4().hex}", _now_ms(), trait=trait(SEEN, age))

    async def sent() -> Any:
        yield IngestBankEventsRequest(events=[told])

    async def seen() -> bool:
        view = GetViewRequest(
            basis=basis, subject_id=subject_id, channel=CHANNEL, attributes=[SEEN], bundle_digest=digest,
            now_ms=_now_ms(),
        )  # fmt: skip
        fields = (await stub.GetView(view)).fields
        return bool(fields) and fields[0].value.integer == age

    started = time.perf_counter()
    await stub.IngestBankEvents(sent())
    await _until(seen, 0.001)
    return (time.perf_counter() - started) * 1000


async def _basis(world: World, subject_id: str) -> SignedBasis:
    ledger = await world.me.consent()
    asked = EvaluateBasisRequest(subject_id=subject_id, channel=CHANNEL, ttl_ms=30_000)
    return (await ledger.EvaluateBasis(asked)).basis


def _latency(what: str, took_ms: list[float]) -> Row:
    cuts = statistics.quantiles(took_ms, n=100)
    return {"what": what, "samples": len(took_ms), "p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}


async def session_events(world: World, sessions: int) -> Row:
    """Many sessions at once, until the fold has passed the last event of each partition."""
    stub, slots, positions = await world.me.signals(), asyncio.Semaphore(AT_ONCE), Counter[int]()
    subjects = [await steps.subject_of(steps.customer(number), world.me) for number in world.numbers[:50]]
    statuses = Counter[int]()

    async def one(index: int) -> None:
        async with slots:
            session = uuid4().hex
            for batch in range(BATCHES):
                answer = await stub.IngestSessionEvents(_batch(session, subjects[index % len(subjects)], batch))
                statuses.update(result.status for result in answer.results)
                place = answer.position
                positions[place.partition] = max(positions[place.partition], place.sequence)

    started = time.perf_counter()
    await asyncio.gather(*map(one, range(sessions)))
    accepted_s = time.perf_counter() - started
    await _folded(world, positions)
    row = _throughput("session events into signals", sum(statuses.values()), accepted_s, time.perf_counter() - started)
    told = {signals.EventStatus.Name(status): count for status, count in statuses.items()}  # type: ignore[arg-type]  # an enum's value
    return {**row, "statuses": told}


async def _folded(world: World, positions: Counter[int]) -> None:
    connection = await _connection(world, "signals")

    async def passed() -> bool:
        rows = await connection.fetch("SELECT pp, position FROM signals.partitions")
        stand = {row["pp"]: row["position"] for row in rows}
        return all(stand.get(partition, 0) >= sequence for partition, sequence in positions.items())

    try:
        await _until(passed)
    finally:
        await connection.close()


def _batch(session: str, subject_id: str, number: int) -> signals.IngestSessionEventsRequest:
    now_ms = _now_ms()
    return signals.IngestSessionEventsRequest(
        batch_id=new_id(),
        session=session,
        visitor=f"visitor-{session}",
        subject_id=subject_id,
        channel=CHANNEL,
        app="harbour-app",
        app_version="1.0.0",
        sent_at_ms=now_ms,
        events=list(_taps(number * PER_BATCH, now_ms)),
    )


def _taps(first: int, now_ms: int) -> Iterator[SessionEvent]:
    """What an app says while somebody looks around."""
    for seq in range(first, first + PER_BATCH):
        if seq % 5:
            kind = {"type": "tap", "target": f"tile.{seq % 7}", "role": "button", "reaction": "ok"}
        else:
            kind = {"type": "screen_view", "screen": f"screen_{seq % 4}", "area": "kyc"}
        yield SessionEvent(id=new_id(), seq=seq, occurred_at_ms=now_ms, **kind)  # type: ignore[arg-type]  # names of fields


async def session_event_seen(world: World, count: int) -> Row:
    """From sending three session events to signals that rest on them."""
    stub = await world.me.signals()
    subject_id = await steps.subject_of(steps.customer(world.numbers[0]), world.me)
    basis, took = await _basis(world, subject_id), []
    for _ in range(count):
        started = time.perf_counter()
        session = uuid4().hex
        sent = _batch(session, subject_id, 0)
        del sent.events[3:]
        position = (await stub.IngestSessionEvents(sent)).position
        await _until(lambda p=position, s=session: _caught_up(stub, basis, subject_id, s, p), 0)  # type: ignore[misc]  # defaults bind
        took.append((time.perf_counter() - started) * 1000)
    return _latency("session event to signals", took)


async def _caught_up(
    stub: SignalsServiceAsyncStub,
    basis: SignedBasis,
    subject_id: str,
    session: str,
    position: signals.StreamPosition,
) -> bool:
    asked = signals.GetActiveSignalsRequest(
        basis=basis, subject_id=subject_id, session=session, channel=CHANNEL,
        now_ms=_now_ms(), wait_for=position, max_wait_ms=50,
    )  # fmt: skip
    return (await stub.GetActiveSignals(asked)).caught_up


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
