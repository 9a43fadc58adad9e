"""Gathering: one awakening for what came meanwhile, in order and without a loss, and no waiting while there is more."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from assent.events.v1.consent_pb2 import ConsentNarrowed
from assent.events.v1.envelope_pb2 import Envelope
from servicekit.nats import connect
from servicekit.ordered import Ordered
from servicekit.pull import Gone, Pull
from servicekit.streams import ensure_streams, subject

pytestmark = pytest.mark.integration

numbers = itertools.count()


@pytest.fixture(scope="module", autouse=True)
async def streams(server):
    async with connect(server.settings, "admin") as bus:
        await ensure_streams(bus)


@pytest.fixture
async def pull(bus):
    await bus.js.purge_stream("CONSENT")
    name = f"gather{next(numbers)}"
    await bus.js.add_consumer("CONSENT", ConsumerConfig(name=name, durable_name=name, ack_policy=AckPolicy.NONE))
    opened = Pull(bus, "CONSENT", name, batch=64)
    await opened.open()
    yield opened
    await opened.close()


async def publish(bus, count):
    for _ in range(count):
        name = f"g{next(numbers)}"
        await bus.publish(subject("consent", "k"), Envelope(event_id=name, key="k", consent_narrowed=ConsentNarrowed()))


async def test_what_comes_meanwhile_is_taken_with_the_first(bus, pull):
    gathering = asyncio.create_task(pull.gather(0.3))
    await publish(bus, 20)
    taken = await gathering

    assert [message.consumer_sequence for message in taken] == list(range(1, 21))


async def test_one_alone_comes_after_the_wait(bus, pull):
    await publish(bus, 1)

    assert len(await pull.gather(0.01)) == 1


async def test_while_there_is_more_than_a_batch_nobody_waits(bus, pull):
    await publish(bus, 200)
    async with asyncio.timeout(10):
        sizes = [len(await pull.gather(3)) for _ in range(3)]

    assert sizes == [64, 64, 64]
    assert len(await pull.gather(0.01)) == 8


async def test_a_full_batch_that_was_the_last_is_followed_by_waiting(bus, pull):
    await publish(bus, 64)
    assert len(await pull.gather(0.01)) == 64
    gathering = asyncio.create_task(pull.gather(0.01))
    await publish(bus, 1)

    assert len(await gathering) == 1


async def test_nothing_is_lost_over_many_rounds(bus, pull):
    publishing = asyncio.create_task(publish(bus, 150))
    seen: list[int] = []
    while len(seen) < 150:
        seen += [message.consumer_sequence for message in await pull.gather(0.02)]
    await publishing

    assert seen == list(range(1, 151))


async def test_a_consumer_that_goes_away_while_gathering_is_noticed(bus, pull):
    name = pull._ask.decode().rpartition(".")[2]
    gathering = asyncio.create_task(pull.gather(0.01))
    await bus.js.delete_consumer("CONSENT", name)

    with pytest.raises(Gone):
        await gathering


async def test_a_reader_in_order_gathers_over_a_consumer_that_went_away(bus):
    await bus.js.purge_stream("CONSENT")
    start = (await bus.js.stream_info("CONSENT")).state.last_seq + 1
    reader = Ordered(bus, "CONSENT", ["evt.consent.>"], start=start, batch=64)
    await publish(bus, 3)
    seen = [message.sequence for message in await reader.take(gather_s=0.05)]
    for info in await bus.js.consumers_info("CONSENT"):
        if info.config.ack_policy is AckPolicy.NONE:
            await bus.js.delete_consumer("CONSENT", info.name)
    await publish(bus, 3)
    while len(seen) < 6:
        seen += [message.sequence for message in await reader.take(gather_s=0.05)]
    await reader.close()

    assert seen == list(range(start, start + 6))
