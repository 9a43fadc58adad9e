"""Streams of what changed, on a real database: what was published is what is told, whoever writes, and heads say how far it is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import pytest
from consent_fakes import LEDGER, grant
from key_fakes import MemoryKeys
from rights_fakes import rights_bench
from writing_fakes import role_pool, writing_bench

from consent_service import replies, watching
from consent_service.commands import Watch
from consent_service.domain.position import Position
from consent_service.rights.cases import Stage
from consent_service.storage import PostgresFeed
from consent_service.store import PostgresLedger
from consent_service.watching import Feed, Watches, watch_consents
from servicekit.errors import FailedPrecondition
from servicekit.partitions import PARTITIONS, partition_of
from testkit.builders import a_subject
from testkit.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def fresh(database):
    return await database("consent")


@pytest.fixture
async def feed(fresh):
    """A replica that only reads, with streams of its own."""
    async with role_pool(fresh, "consent_reader", max_size=2) as pool:
        yield Feed(LEDGER, PostgresLedger(pool, LEDGER), PostgresFeed(pool), Watches())


@pytest.fixture
async def office(fresh):
    async with rights_bench(fresh) as made:
        await made.publish()
        yield made


async def told(feed, query=None, *, to):
    """The messages up to the head that covers an entry."""
    found = []
    async with asyncio.timeout(10), aclosing(watch_consents(query or Watch(), feed)) as messages:
        async for message in messages:
            if isinstance(message, Position) and message.index >= to:
                return [replies.watched(each, LEDGER) for each in found]
            if not isinstance(message, Position):
                found.append(message)
    raise AssertionError("the stream ended")


def change(message):
    """What a stream's message says, or an envelope: field by field the same."""
    found = getattr(message, message.WhichOneof(message.DESCRIPTOR.oneofs[0].name))
    return getattr(found, "change", found)


@asynccontextmanager
async def following(feed, query=None):
    """What an open stream has told so far, and its task."""
    messages = []

    async def follow():
        async for message in watch_consents(query or Watch(), feed):
            messages.append(message)  # noqa: PERF401  they are looked at meanwhile

    running = asyncio.create_task(follow())
    try:
        yield messages, running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def some_life(office, number=9):
    """Choices, denials, a link, an objection without effect, a registry; the last index."""
    subjects = [a_subject() for _ in range(number)]
    for subject in subjects:
        await office.choose(subject, grant())
    for subject in subjects[::2]:
        await office.withdraw(subject)
    await office.choose(subjects[0], grant(), event_us=office.clock.now_us() - 1000)
    await office.publish(default_regimes=["gdpr", "glba_fcra"])
    result = await office.link(subjects[1], subjects[2])
    return result.position.index


async def published(office, to):
    """What the relay published, in index order."""
    await until(lambda: any(change(envelope).index >= to for _, envelope in office.bus.told))
    return sorted((envelope for _, envelope in office.bus.told), key=lambda envelope: change(envelope).index)


@pytest.mark.parametrize("chunk", [3, 256])
async def test_from_the_beginning_it_is_what_was_published(office, feed, monkeypatch, chunk):
    monkeypatch.setattr(watching, "CHUNK", chunk)
    last = await some_life(office)

    messages = await told(feed, to=last)

    envelopes = await published(office, last)
    assert len(messages) > 12
    assert [m.WhichOneof("message") for m in messages] == [e.WhichOneof("body") for e in envelopes]
    assert [change(m).SerializeToString() for m in messages] == [change(e).SerializeToString() for e in envelopes]


async def test_from_any_place_it_is_the_rest_with_the_previous_index_of_each_partition(office, feed, monkeypatch):
    monkeypatch.setattr(watching, "LOOK_BACK", 4)
    last = await some_life(office)
    every = await told(feed, to=last)
    rows = await office.fetch("select idx, epoch from event order by idx")

    for row in rows[:-1]:
        after = Position(LEDGER, row["epoch"], row["idx"])
        assert await told(feed, Watch(after), to=last) == [m for m in every if change(m).index > row["idx"]]
    assert await told(feed, Watch(Position(LEDGER, rows[-1]["epoch"], last)), to=last) == []


async def test_only_the_partitions_that_were_asked_for(office, feed):
    last = await some_life(office)
    every = await told(feed, to=last)
    wanted = partition_of(change(every[0]).subject_id)

    messages = await told(feed, Watch(partitions=frozenset({wanted})), to=last)

    assert messages == [m for m in every if partition_of(change(m).subject_id) == wanted]


@pytest.mark.parametrize("wrong", ["FOREIGN", "FUTURE", "LOST"])
async def test_a_place_that_is_none_of_the_ledger_is_refused(office, feed, wrong):
    head = (await office.ledger.read("")).head.position
    place = {
        "FOREIGN": Position("ab" * 16, head.epoch, head.index),
        "FUTURE": Position(LEDGER, head.epoch, head.index + 1),
        "LOST": Position(LEDGER, head.epoch - 1, head.index),
    }[wrong]

    with pytest.raises(FailedPrecondition) as caught:
        await told(feed, Watch(place), to=0)

    assert caught.value.code == f"TOKEN_{wrong}"


async def test_a_stream_misses_nothing_while_another_writer_takes_over(fresh, feed):
    keys, subjects = MemoryKeys(), [a_subject() for _ in range(6)]
    async with AsyncExitStack() as opened:
        async with writing_bench(fresh, keys=keys, name="a") as one:
            await one.publish()
            messages, running = await opened.enter_async_context(following(feed))
            for subject in subjects[:3]:
                await one.choose(subject, grant())
            await one.withdraw(subjects[0])
        async with writing_bench(fresh, keys=keys, name="b") as two:
            for subject in subjects[3:]:
                last = (await two.choose(subject, grant())).position
            await until(lambda: last in messages)
            rows = await two.fetch("select idx, epoch from event where subject_id is not null order by idx")
        assert not running.done()

    entries = [m.entry for m in messages if not isinstance(m, Position)]
    assert [(e.index, e.epoch) for e in entries] == [(row["idx"], row["epoch"]) for row in rows]
    assert len({e.epoch for e in entries}) == 2
    heads = [m for m in messages if isinstance(m, Position)]
    assert heads == sorted(heads)


async def test_a_head_says_that_everything_up_to_it_was_told(office, feed):
    async with following(feed) as (messages, _):
        for _ in range(40):
            await office.choose(a_subject(), grant())
        last = (await office.ledger.read("")).head.position
        await until(lambda: last in messages)

    for number, head in enumerate(messages):
        if isinstance(head, Position):
            assert all(m.entry.index <= head.index for m in messages[:number] if not isinstance(m, Position))
            assert all(m.entry.index > head.index for m in messages[number:] if not isinstance(m, Position))


async def test_while_nothing_happens_there_is_a_head_each_fifth_of_a_second(office, feed):
    head = (await office.ledger.read("")).head.position
    loop = asyncio.get_running_loop()
    times = []
    async with asyncio.timeout(10), aclosing(watch_consents(Watch(), feed)) as messages:
        async for message in messages:
            assert message == head
            times.append(loop.time())
            if len(times) == 6:
                break

    assert 0.95 <= times[-1] - times[0] < 3


async def test_an_entry_is_told_at_once_where_it_was_appended(office, feed, monkeypatch):
    monkeypatch.setattr(watching, "HEARTBEAT_S", 600.0)
    async with following(feed) as (messages, _):
        await until(lambda: messages)
        written = await office.choose(a_subject(), grant())
        feed.watches.wake()

        await until(lambda: [m for m in messages if not isinstance(m, Position)])

    assert messages[-1].entry.index == written.position.index


async def test_an_erasure_says_whom_until_the_case_is_done_and_then_only_that(office, feed):
    subject, other = a_subject(), a_subject()
    for each in (subject, other):
        await office.choose(each, grant())
    case = await office.approve(await office.ask(subject))
    office.bus.there.clear()
    waiting = await office.runner.advance(case.id)
    assert waiting.stage is Stage.KEY_DESTROYED
    [erasure] = waiting.erasures

    [before] = [m for m in await told(feed, to=erasure.index) if change(m).index == erasure.index]
    office.bus.there.set()
    await office.finish(case)
    every = await told(feed, to=erasure.index)
    narrowed = await told(
        feed, Watch(partitions=frozenset({(partition_of(subject) + 1) % PARTITIONS})), to=erasure.index
    )

    assert (before.WhichOneof("message"), change(before).subject_id) == ("subject_erased", subject)
    assert [change(m).subject_id for m in every if change(m).subject_id != other] == [""]
    for messages in (every, narrowed):
        assert messages[-1].WhichOneof("message") == "subject_erased"
        assert change(messages[-1]).index == erasure.index
        assert not change(messages[-1]).HasField("previous_index")


async def test_every_stream_ends_when_the_replica_drains(office, feed):
    async with following(feed) as (messages, running), asyncio.timeout(5):
        await until(lambda: messages)
        feed.watches.drain()
        await running
    async with following(feed) as (late, running), asyncio.timeout(5):
        await running

    assert late == []
    assert len(feed.watches) == 0


async def test_a_reader_that_does_not_read_holds_no_connection(office, feed):
    await some_life(office)
    streams = [watch_consents(Watch(), feed) for _ in range(5)]
    firsts = [await anext(stream) for stream in streams]

    async with asyncio.timeout(5):
        assert (await feed.ledger.read("")).head.size > 0, "the pool has two connections"

    assert len({message.entry.index for message in firsts}) == 1
    for stream in streams:
        await stream.aclose()
    assert len(feed.watches) == 0
