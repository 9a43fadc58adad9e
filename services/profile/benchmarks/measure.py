# ruff: noqa: INP001, S311, T201  # a script that prints, with dice that decide nothing
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
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assent.events.v1.bank_pb2 import Balance, BankEvent, Transaction
from assent.events.v1.envelope_pb2 import Envelope
from catalog.loading import load_bundle
from profile_service.catalogue import Plan, plan
from profile_service.domain.facts import DAY_MS
from profile_service.domain.fold import Row, add, segment_of
from profile_service.domain.identity import Known
from profile_service.folding import Folding
from profile_service.handlers import recorded
from profile_service.ports import Held
from profile_service.rpc import write_view
from profile_service.store import PostgresDirectory, PostgresProfiles
from profile_service.translation import fact
from profile_service.viewing import Asked, Shelf, get_view
from servicekit import basis, postgres
from servicekit.clock import FixedClock
from servicekit.partitions import partition_of
from servicekit.vkeys import verifier_key
from testkit.databases import Databases
from testkit.platform import running_platform

SIZES = (1_000, 10_000, 100_000)
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
    peer = int(dice.paretovariate(1)) % 40
    direction, kind = KINDS[peer % len(KINDS)]
    event.transaction.CopyFrom(
        Transaction(
            account="a1", direction=direction, kind=kind, amount_minor=dice.randrange(10**5), currency="EUR", channel="pos",
            merchant=f"m{peer}", merchant_category=("groceries", "restaurant", "airline", "rail")[peer % 4],
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


class Timed:
    """Profiles that remember when they had answered."""

    def __init__(self, profiles: PostgresProfiles) -> None:
        self._profiles = profiles
        self.answered = 0.0

    async def held(
        self, subject: str, first_segment: int, last_segment: int, *, seen: Mapping[str, int] | None = None
    ) -> Held | None:
        """As the profiles."""
        held = await self._profiles.held(subject, first_segment, last_segment, seen=seen)
        self.answered = time.perf_counter()
        return held


class Always:
    """A catalog of one plan."""

    def __init__(self, made: Plan) -> None:
        self._made = made

    async def plan(self, _digest: str) -> Plan:
        """The plan."""
        return self._made


async def views(
    pool: postgres.Pool, subjects: Sequence[str], made: Plan, *, remember: int, count: int = 2_000
) -> tuple[list[float], list[float]]:
    """Times of GetView in process, from its basis to its bytes, and of its part behind the database; seconds."""
    profiles, shelf, whole, computed = Timed(PostgresProfiles(pool)), Shelf(remember), [], []
    key = Ed25519PrivateKey.generate()
    vkey, clock = verifier_key("harbour", key.public_key()), FixedClock(NOW * 1000)
    verifier = basis.Verifier(basis.public_keys([vkey]), ledger=basis.ledger_id("harbour"))
    bases = {subject: a_basis(subject, key, vkey.key_id) for subject in subjects}
    for number in range(-len(subjects), count):
        subject = subjects[number % len(subjects)]
        began = time.perf_counter()
        asked = Asked(bases[subject], subject, "app")
        written, _ = await get_view(
            asked,
            verifier=verifier,
            profiles=profiles,
            catalog=Always(made),
            shelf=shelf,
            clock=clock,
            write=write_view,
        )
        done = time.perf_counter()
        assert written
        if number >= 0:
            whole.append(done - began)
            computed.append(done - profiles.answered)
    return whole, computed


def a_basis(subject: str, key: Ed25519PrivateKey, kid: str) -> basis.SignedBasis:
    """All categories for one purpose."""
    allowed = [{"purpose": "payments", "categories": sorted(CATEGORIES["payments"]), "basis": "consent", "support": 1}]
    body = {
        "v": 1, "ledger": basis.ledger_id("harbour"), "epoch": 1, "index": 1, "subject": subject, "members": [subject],
        "channel": "app", "recipient": "self", "regimes": [], "registry": "sha256:0", "at": NOW * 1000,
        "not_after": NOW * 1000 + 10_000_000, "kid": kid, "denied": [], "allowed": allowed,
    }  # fmt: skip
    return basis.sign(body, key, kid)


def sixty(made: Plan) -> Plan:
    """Sixty fields: those of the example bank, and some of them twice."""
    twice = {f"{name}.{n}" if n else name: made.fields[name] for n in (0, 1) for name in made.fields}
    return Plan(dict(list(twice.items())[:60]), made.matcher)


async def main() -> None:
    """Print the figures."""
    print(f"pure fold, batch 500: {pure_fold():,.0f} events/s")
    made = plan(load_bundle(ROOT / "examples" / "harbour-bank" / "catalog"))
    fields = sixty(made)
    with running_platform() as platform:
        database = await Databases(platform.postgres).fresh("profile")
        async with postgres.pool(database.settings) as pool:
            first = 1
            for size in SIZES:
                subjects = [str(uuid.UUID(int=(size << 64) + n, version=4)) for n in range(size)]
                wall, cpu = await database_fold(pool, subjects, count=40_000, seed=size, first=first)
                first += 40_000
                print(
                    f"fold with PostgreSQL, batch 500, {size:,} subjects: {wall:,.0f} events/s, {cpu:,.0f} per CPU second of the process"
                )
            few = [str(uuid.uuid4()) for _ in range(20)]
            wanted = {Known("customer_number", one.encode()): one for one in few}
            await PostgresDirectory(pool).create(wanted, now_us=1)
            folding, lots = Folding(pool), {}
            for number, one in enumerate(envelopes(few, 16_000, 390, 9), first):
                lots.setdefault(partition_of(one.key), []).append((number, one, 0))
            await asyncio.gather(*(folding.apply(partition, 1, lot) for partition, lot in lots.items()))
            for what, remember in (("changed since", 0), ("read before", 256)):
                whole, computed = await views(pool, few, fields, remember=remember)
                print(
                    f"GetView of {len(fields.fields)} fields, 800 events of 390 days, {what}: p50 {percentile(whole, 0.5)}, "
                    f"p99 {percentile(whole, 0.99)}; behind the database p50 {percentile(computed, 0.5)}, p99 {percentile(computed, 0.99)}"
                )


if __name__ == "__main__":
    asyncio.run(main())
