"""Measures the profile on this machine: `python services/profile/benchmarks/measure.py`. Rates are per process, on one core each.

The pure fold, the fold with PostgreSQL at batch 500, the view of 60 fields in process with and without the database, and how the
fold's cost grows with the number of subjects.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from assent.events.v1.bank_pb2 import Balance, BankEvent, Transaction
from assent.events.v1.envelope_pb2 import Envelope
from catalog.loading import load_bundle
from profile_service.catalogue import Plan, plan
from profile_service.domain.facts import DAY_MS
from profile_service.domain.fold import Row, add, segment_of
from profile_service.domain.history import history
from profile_service.domain.view import view
from profile_service.folding import Folding
from profile_service.handlers import HORIZON_DAYS, recorded
from profile_service.rpc import view_message
from profile_service.store import PostgresDirectory, PostgresProfiles
from profile_service.translation import fact
from servicekit import postgres
from servicekit.partitions import partition_of
from testkit.databases import Databases
from testkit.platform import running_platform

NOW = 20_000 * DAY_MS
KINDS = (
    ("in", "payroll"),
    ("out", "card"),
    ("out", "card"),
    ("out", "card"),
    ("out", "subscription"),
    ("out", "transfer"),
)
ROOT = Path(__file__).parents[3]
CATEGORIES = {
    "payments": frozenset(
        {"identity", "demographic", "holding", "transaction", "interaction", "location", "inferred", "sensitive"}
    )
}


def an_event(dice: random.Random, number: int, days: int) -> BankEvent:
    """A transaction, and now and then a balance, in the last `days`."""
    event = BankEvent(event_id=f"{dice.getrandbits(64):x}-{number}", occurred_at_ms=NOW - dice.randrange(days * DAY_MS))
    if number % 4 == 0:
        event.balance.CopyFrom(
            Balance(
                account="a1",
                product_kind="current",
                available_minor=dice.randrange(10**6),
                balance_minor=1,
                currency="EUR",
            )
        )
        return event
    direction, kind = dice.choice(KINDS)
    event.transaction.CopyFrom(
        Transaction(
            account="a1", direction=direction, kind=kind, amount_minor=dice.randrange(10**5), currency="EUR", channel="pos",
            merchant=f"m{dice.randrange(40)}", merchant_category=dice.choice(("groceries", "restaurant", "airline", "rail")),
            booking_date="2024-10-04", value_date="2024-10-04",
        )
    )  # fmt: skip
    return event


def envelopes(subjects: Sequence[str], count: int, days: int, seed: int = 1) -> list[Envelope]:
    """Facts as they are on the stream."""
    dice = random.Random(seed)
    return [recorded(an_event(dice, n, days), dice.choice(subjects), NOW)[1] for n in range(count)]


def pure_fold(count: int = 50_000) -> float:
    """Events per second: parsed bytes to rows in memory, with rows read and written as JSON every 500 events."""
    data = [one.SerializeToString() for one in envelopes([str(uuid.UUID(int=n)) for n in range(2_000)], count, 90)]
    stored: dict[tuple[str, int], str] = {}
    began = time.perf_counter()
    for start in range(0, count, 500):
        facts = [
            (e.bank_event.subject_id, fact(e.bank_event.event))
            for e in map(Envelope.FromString, data[start : start + 500])
        ]
        state: dict[str, dict[int, Row]] = {owner: {} for owner, _ in facts}
        for owner, said in facts:
            segment = segment_of(said.at_ms)
            if segment not in state[owner] and (owner, segment) in stored:
                state[owner][segment] = json.loads(stored[owner, segment])
            add(state[owner], said)
        stored.update({(owner, n): json.dumps(row) for owner, rows in state.items() for n, row in rows.items()})
    return count / (time.perf_counter() - began)


async def database_fold(
    pool: postgres.Pool, subjects: Sequence[str], *, count: int, seed: int, first: int
) -> tuple[float, float]:
    """Events per second with PostgreSQL at batch 500 over 64 partitions, by the wall and by this process's CPU."""
    facts = envelopes(subjects, count, 30, seed)
    folding, now = Folding(pool), 0
    began, cpu = time.perf_counter(), time.process_time()
    for start in range(0, count, 500):
        lots: dict[int, list[tuple[int, Envelope, int]]] = {}
        for number, one in enumerate(facts[start : start + 500], first + start):
            lots.setdefault(partition_of(one.key), []).append((number, one, now))
        await asyncio.gather(*(folding.apply(partition, 1, lot) for partition, lot in lots.items()))
    return count / (time.perf_counter() - began), count / (time.process_time() - cpu)


def percentile(times: Sequence[float], share: float) -> str:
    """A percentile in milliseconds."""
    return f"{sorted(times)[int(len(times) * share)] * 1000:.2f} ms"


async def views(
    pool: postgres.Pool, subjects: Sequence[str], made: Plan, count: int = 2_000
) -> tuple[list[float], list[float]]:
    """Times of a whole view and of its part without the database, in seconds."""
    profiles, whole, computed = PostgresProfiles(pool), [], []
    fields = list(made.fields.values())
    for number in range(count):
        began = time.perf_counter()
        held = await profiles.held(
            subjects[number % len(subjects)], segment_of(NOW - HORIZON_DAYS * DAY_MS), segment_of(NOW)
        )
        read = time.perf_counter()
        assert held is not None
        known = history(next(iter(held.rows.values())))
        view_message(
            view(fields, lambda field: field.read(known, NOW), CATEGORIES, now_ms=NOW, position=1)
        ).SerializeToString()  # noqa: B023
        done = time.perf_counter()
        whole.append(done - began)
        computed.append(done - read)
    return whole, computed


def sixty(made: Plan) -> Plan:
    """Sixty fields: those of the example bank, and some of them twice."""
    names = list(made.fields)
    return Plan(
        {f"{name}.{n}" if n else name: made.fields[name] for n in (0, 1) for name in names}
        if len(names) < 60
        else made.fields
    )


async def main() -> None:
    """Print the figures."""
    print(f"pure fold, batch 500: {pure_fold():,.0f} events/s")
    made = plan(load_bundle(ROOT / "examples" / "harbour-bank" / "catalog"))
    fields = Plan(dict(sorted(sixty(made).fields.items())[:60]))
    with running_platform() as platform:
        database = await Databases(platform.postgres).fresh("profile")
        async with postgres.pool(database.settings) as pool:
            first = 1
            for size in (1_000, 10_000, 100_000):
                subjects = [str(uuid.UUID(int=(size << 64) + n, version=4)) for n in range(size)]
                wall, cpu = await database_fold(pool, subjects, count=40_000, seed=size, first=first)
                first += 40_000
                print(
                    f"fold with PostgreSQL, batch 500, {size:,} subjects: {wall:,.0f} events/s, {cpu:,.0f} per CPU second of the process"
                )
            few = [str(uuid.uuid4()) for _ in range(20)]
            directory = PostgresDirectory(pool)
            async with postgres.transaction(pool) as tx:
                from profile_service.store import _add_subjects  # noqa: PLC0415

                await _add_subjects(tx, few, now_us=1)
            del directory
            folding, lots = Folding(pool), {}
            for number, one in enumerate(envelopes(few, 16_000, 390, 9), first):
                lots.setdefault(partition_of(one.key), []).append((number, one, 0))
            await asyncio.gather(*(folding.apply(partition, 1, lot) for partition, lot in lots.items()))
            await views(pool, few, fields, 200)
            whole, computed = await views(pool, few, fields)
            print(
                f"view of {len(fields.fields)} fields, 800 events of 390 days: p50 {percentile(whole, 0.5)}, p99 {percentile(whole, 0.99)}; without the database p50 {percentile(computed, 0.5)}, p99 {percentile(computed, 0.99)}"
            )


if __name__ == "__main__":
    asyncio.run(main())
