"""Bank events in, and what becomes of them."""

from __future__ import annotations

import asyncio
import random
import time

import asyncpg
import pytest

from assent.events.v1.bank_pb2 import BankEvent
from profile_service.domain.fold import folded
from profile_service.translation import fact
from servicekit.ordered import Ordered
from testkit.builders import unique
from testkit.waiting import until

from .conftest import balance, payment

pytestmark = pytest.mark.integration


async def test_what_was_ingested_becomes_visible(bank):
    customer = unique("customer")

    answer = await bank.ingest(payment(customer, 1_250), balance(customer, 70_000))
    subject = (await bank.resolve("customer_number", customer)).subject_id
    await until(lambda: bank.value(subject, "view.balance"), timeout=10)

    assert (answer.accepted, answer.duplicates, answer.rejected) == (2, 0, 0)
    assert await bank.value(subject, "view.spend_month") == 1_250
    assert await bank.value(subject, "view.balance") == 70_000


async def test_an_event_counts_once_however_often_it_is_sent(bank):
    customer = unique("customer")
    event = payment(customer, 500)

    first = await bank.ingest(event, event)
    await bank.folded()
    again = await bank.ingest(event)
    await bank.folded()
    subject = (await bank.resolve("customer_number", customer)).subject_id

    assert (first.accepted, first.duplicates) == (1, 1)
    assert (again.accepted, again.duplicates) == (0, 1)
    assert await bank.value(subject, "view.spend_month") == 500


async def test_a_repeat_that_the_stream_has_forgotten_counts_once(bank):
    """The stream's window passes; the repeat is on it a second time, under a message id of its own."""
    from assent.events.v1.envelope_pb2 import Envelope  # noqa: PLC0415
    from profile_service.handlers import recorded  # noqa: PLC0415
    from servicekit.streams import subject as stream_subject  # noqa: PLC0415

    customer = unique("customer")
    event = payment(customer, 500)
    await bank.ingest(event)
    await bank.folded()  # between partitions there is no order: whoever is folded first has it
    subject = (await bank.resolve("customer_number", customer)).subject_id
    other = (await bank.resolve("customer_number", unique("customer"), create=True)).subject_id
    for owner in (subject, other):
        _, envelope = recorded(event, owner, 1)
        repeat = Envelope()
        repeat.CopyFrom(envelope)
        repeat.event_id = unique("another-message")
        await bank.bus.publish(stream_subject("bank", owner), repeat)
    await bank.folded()

    assert await bank.value(subject, "view.spend_month") == 500
    assert await bank.rows(other) == {}


async def test_order_within_a_week_does_not_matter(bank):
    one, two = unique("customer"), unique("customer")
    days = [n / 4 for n in range(28)]
    shuffled = random.Random(7).sample(days, len(days))
    for customer, order in ((one, days), (two, shuffled)):
        for start in range(0, len(order), 5):
            events = [
                payment(customer, 100 + int(d * 4), days_ago=d, event_id=f"{customer}-{d}")
                for d in order[start : start + 5]
            ]
            balances = [balance(customer, 1_000 + int(d * 4), days_ago=d) for d in order[start : start + 5]]
            await bank.ingest(*events, *balances)
    await bank.folded()
    subjects = [(await bank.resolve("customer_number", customer)).subject_id for customer in (one, two)]
    views = [await bank.view(subject) for subject in subjects]
    told = [{f.attribute: f.value for f in view.fields} for view in views]

    assert told[0]
    assert told[0] == told[1]
    assert list(views[0].withheld) == list(views[1].withheld)


@pytest.mark.parametrize(
    ("field", "spoil"),
    [
        ("event_id", lambda e: e.ClearField("event_id")),
        ("subject.type", lambda e: setattr(e.subject, "type", "shoe_size")),
        ("subject.value", lambda e: setattr(e.subject, "value", "x" * 300)),
        ("occurred_at_ms", lambda e: setattr(e, "occurred_at_ms", 4 * 10**12)),
        ("body", lambda e: e.ClearField("transaction")),
        ("transaction.account", lambda e: setattr(e.transaction, "account", "a\tb")),
        ("transaction.direction", lambda e: setattr(e.transaction, "direction", "sideways")),
        ("transaction.amount_minor", lambda e: setattr(e.transaction, "amount_minor", -1)),
        ("transaction.currency", lambda e: setattr(e.transaction, "currency", "euro")),
        ("transaction.country", lambda e: setattr(e.transaction, "country", "Germany")),
        ("transaction.booking_date", lambda e: setattr(e.transaction, "booking_date", "2026-02-30")),
    ],
)
async def test_a_bad_event_is_refused_by_field_and_affects_no_other(bank, field, spoil):
    customer = unique("customer")
    bad: BankEvent = payment(customer, 1)
    spoil(bad)

    answer = await bank.ingest(payment(customer, 10), bad, payment(customer, 20))

    assert (answer.accepted, answer.rejected) == (2, 1)
    assert [(one.item, one.field) for one in answer.results] == [(1, field)]


async def test_what_postgres_lost_in_a_crash_is_folded_again_and_only_once(platform, database, bus, signer):
    from .conftest import opened  # noqa: PLC0415

    customer = unique("customer")
    async with opened(await database("profile"), await bus("profile"), signer) as bank:
        events = [payment(customer, 1, days_ago=n % 20) for n in range(3_000)]
        sending = asyncio.create_task(bank.ingest(*events))
        for _ in range(3):
            await until(lambda: _some_folded(bank), timeout=20)
            platform.postgres.kill()
            await asyncio.to_thread(platform.postgres.restart)
        await asyncio.gather(sending, return_exceptions=True)  # may have been told that the database is away
        await _until_ingested(bank, events)
        await bank.folded()
        subject = (await bank.resolve("customer_number", customer)).subject_id
        stored = await bank.rows(subject)
        value = await bank.value(subject, "view.spend_month")

    assert value == 3_000
    assert set(stored) == set(folded(fact(event) for event in events))


async def _some_folded(bank) -> bool:
    try:
        connection = await asyncpg.connect(bank.dsn)
        try:
            return bool(await connection.fetchval("select count(*) from profile.folded_event"))
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError):
        return False


async def _until_ingested(bank, events) -> None:
    """As a caller would: repeat what has no status yet."""

    async def sent() -> bool:
        try:
            answer = await bank.ingest(*events)
        except Exception:  # noqa: BLE001  # away for a moment
            return False
        return answer.accepted + answer.duplicates == len(events)

    await until(sent, timeout=40, every=0.2)


async def test_no_clear_identifier_is_stored_anywhere(bank, bus):
    canary = unique("canary")
    await bank.ingest(payment(canary, 1))
    await bank.link(("customer_number", canary), ("email_hash", f"{canary}-mail"), ("device", f"{canary}-device"))
    await bank.folded()
    connection = await asyncpg.connect(bank.dsn)
    tables = [
        row[0]
        for row in await connection.fetch(
            "select table_name from information_schema.tables where table_schema = 'profile'"
        )
    ]
    dumped = [
        str(dict(row))
        for table in tables
        for row in await connection.fetch(f'select t::text, t.* from profile."{table}" t')
    ]
    await connection.close()

    assert len(tables) >= 8
    assert not [line for line in dumped if canary in line or canary.encode().hex() in line]
    assert not [data for data in await _everything_on(bank.bus) if canary.encode() in data]


async def _everything_on(bus) -> list[bytes]:
    reader = Ordered(bus, "BANK_EVENTS", ["evt.bank.*", "evt.profile.*"])
    last, found = (await bus.js.stream_info("BANK_EVENTS")).state.last_seq, []
    while not found or found[-1].sequence < last:
        found += await reader.take()
    await reader.close()
    return [message.data for message in found]


async def test_an_event_is_visible_soon_after_it_was_accepted(bank):
    """A sanity bound for a busy machine; `benchmarks/measure.py` has the figure."""
    customer = unique("customer")
    await bank.ingest(payment(customer, 1))
    subject = (await bank.resolve("customer_number", customer)).subject_id
    times = []
    for number in range(2, 32):
        began = time.perf_counter()
        await bank.ingest(payment(customer, 1))
        expected = number
        await until(lambda: _sees(bank, subject, expected), every=0.002)  # noqa: B023
        times.append(time.perf_counter() - began)

    assert max(times) < 2


async def _sees(bank, subject, expected) -> bool:
    return await bank.value(subject, "view.spend_month") == expected
