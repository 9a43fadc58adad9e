import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import outbox, postgres
from servicekit.errors import Unavailable
from servicekit.nats import Bus
from testkit.builders import a_subject, an_event_id
from testkit.waiting import until

pytestmark = pytest.mark.integration

SUBJECT = "evt.consent.07"


class LosesAcknowledgements:
    """Publishes, and then loses the acknowledgement of every third fact."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._published = 0

    async def publish(self, subject: str, envelope: Envelope):
        self._published += 1
        await self._bus.publish(subject, envelope)
        if self._published % 3 == 0:
            raise Unavailable


@pytest.fixture
async def consent(bus):
    return await bus("consent")


@pytest.fixture
async def stream(bus):
    """The JetStream context of an operator; CONSENT is empty."""
    cli = await bus("cli")
    await cli.js.purge_stream("CONSENT")
    return cli.js


async def put(pool, *events: str, subject: str = SUBJECT) -> None:
    async with postgres.transaction(pool) as connection:
        for event in events:
            envelope = Envelope(event_id=event, key=a_subject(), producer="sample")
            await outbox.add(connection, envelope, subject)


async def published(stream, subject: str = SUBJECT) -> list[str]:
    """The event ids of a subject, in the order of the stream."""
    info = await stream.stream_info("CONSENT")
    if info.state.messages == 0:
        return []
    found = []
    for sequence in range(info.state.first_seq, info.state.last_seq + 1):
        message = await stream.get_msg("CONSENT", sequence)
        if message.subject == subject:
            found.append(Envelope.FromString(message.data).event_id)
    return found


@asynccontextmanager
async def relaying(pool, bus):
    task = asyncio.create_task(outbox.relay(pool, bus))
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def waiting(pool) -> int:
    async with postgres.connection(pool) as connection:
        return (await outbox.sql.outbox_backlog(connection))["waiting"]


async def drained(pool) -> bool:
    try:
        return await waiting(pool) == 0
    except Unavailable:
        return False


async def test_facts_are_published_in_order_and_leave_the_outbox(pool, consent, stream):
    events = [an_event_id() for _ in range(20)]
    async with relaying(pool, consent):
        await put(pool, *events)
        await until(lambda: drained(pool))

    assert await published(stream) == events


async def test_a_fact_of_a_transaction_that_rolled_back_is_never_published(pool, consent, stream):
    event = an_event_id()
    with suppress(ZeroDivisionError):
        async with postgres.transaction(pool) as connection:
            await outbox.add(connection, Envelope(event_id=an_event_id()), SUBJECT)
            raise ZeroDivisionError
    async with relaying(pool, consent):
        await put(pool, event)
        await until(lambda: drained(pool))

    assert await published(stream) == [event]


async def test_a_commit_wakes_the_relay(pool, consent, stream, monkeypatch):
    monkeypatch.setattr(outbox, "POLL_S", 30)
    async with relaying(pool, consent):
        await put(pool, an_event_id())
        await until(lambda: drained(pool), timeout=20)
        await put(pool, an_event_id())
        await until(lambda: drained(pool), timeout=2)


async def test_a_lost_acknowledgement_repeats_a_fact_that_the_stream_then_drops(pool, consent, stream):
    events = [an_event_id() for _ in range(10)]
    async with relaying(pool, LosesAcknowledgements(consent)):
        await put(pool, *events)
        await until(lambda: drained(pool), timeout=20)

    assert await published(stream) == events


async def test_nothing_is_lost_or_reordered_when_nats_dies_under_the_relay(platform, pool, consent, stream):
    events = [an_event_id() for _ in range(600)]
    async with relaying(pool, consent):
        await put(pool, *events)
        await until(lambda: _between(pool, 1, 599), every=0.001)
        platform.nats.kill()
        left = await waiting(pool)
        platform.nats.restart()
        await until(lambda: drained(pool), timeout=30)

    assert left > 0
    assert await published(stream) == events


async def _between(pool, low: int, high: int) -> bool:
    return low <= await waiting(pool) <= high


async def test_nothing_is_lost_when_postgresql_dies_under_the_relay(platform, pool, consent, stream):
    events = [an_event_id() for _ in range(600)]
    async with relaying(pool, consent):
        await put(pool, *events)
        await until(lambda: _between(pool, 1, 599), every=0.001)
        platform.postgres.kill()
        platform.postgres.restart()
        await until(lambda: drained(pool), timeout=30)

    assert await published(stream) == events


async def test_a_subject_that_cannot_be_published_holds_up_no_other(pool, consent, stream):
    other = an_event_id()
    async with relaying(pool, consent):
        await put(pool, an_event_id(), subject="evt.decision.07")
        await put(pool, other)
        await until(lambda: _between(pool, 1, 1))

        assert await published(stream) == [other]


async def test_one_relay_works_and_a_standby_takes_over(sample_database, pool, consent, stream):
    async with postgres.pool(sample_database.settings) as second, relaying(second, consent):
        async with relaying(pool, consent):
            await put(pool, an_event_id())
            await until(lambda: drained(pool))
        await put(pool, an_event_id())
        await until(lambda: drained(pool))

    assert len(await published(stream)) == 2
