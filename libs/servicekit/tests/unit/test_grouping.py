"""Group commit: who is written with whom, and whose error is whose."""

from __future__ import annotations

import asyncio

import pytest

from servicekit.errors import Invalid, Unavailable
from servicekit.grouping import Grouped


class Store:
    """Remembers batches; refuses those that hold `bad`, and answers when `free`."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.away = False
        self.free = asyncio.Event()
        self.free.set()

    async def write(self, items):
        self.batches.append(list(items))
        await self.free.wait()
        if self.away:
            raise Unavailable
        if "bad" in items:
            raise Invalid("It cannot be stored.", reason="UNSTORABLE_VALUE")


@pytest.fixture
def store():
    return Store()


async def until_it_waits(grouped, *items):
    """Tasks that add the items, all of which have been added."""
    tasks = [asyncio.create_task(grouped.add(item)) for item in items]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_an_item_alone_is_written_at_once(store):
    await Grouped(store.write).add("a")

    assert store.batches == [["a"]]


async def test_what_comes_while_a_batch_is_written_goes_into_the_next(store):
    grouped = Grouped(store.write)
    store.free.clear()
    first = await until_it_waits(grouped, "a")
    later = await until_it_waits(grouped, "b", "c", "d")
    assert not any(task.done() for task in (*first, *later))
    store.free.set()
    await asyncio.gather(*first, *later)

    assert store.batches == [["a"], ["b", "c", "d"]]


async def test_a_batch_has_no_more_items_than_it_may(store):
    grouped = Grouped(store.write, most=2)
    await asyncio.gather(*(grouped.add(item) for item in "abcde"))

    assert store.batches == [["a", "b"], ["c", "d"], ["e"]]


async def test_an_item_that_cannot_be_written_fails_alone(store):
    grouped = Grouped(store.write)
    ended = await asyncio.gather(*(grouped.add(item) for item in ("a", "bad", "c")), return_exceptions=True)

    assert [type(each) for each in ended] == [type(None), Invalid, type(None)]
    assert store.batches == [["a", "bad", "c"], ["a"], ["bad"], ["c"]]


async def test_a_store_that_is_away_fails_the_batch_and_not_the_next(store):
    grouped = Grouped(store.write)
    store.away = True
    store.free.clear()
    failing = await until_it_waits(grouped, "a", "b")
    later = await until_it_waits(grouped, "c")
    store.free.set()
    ended = await asyncio.gather(*failing, return_exceptions=True)
    store.away = False
    await asyncio.gather(*later, return_exceptions=True)
    await grouped.add("d")

    assert [type(each) for each in ended] == [Unavailable, Unavailable]
    assert [batch for batch in store.batches if len(batch) > 1] == [["a", "b"]]
    assert store.batches[-1] == ["d"]


async def test_an_item_whose_caller_left_before_its_batch_began_is_not_written(store):
    grouped = Grouped(store.write)
    store.free.clear()
    first = await until_it_waits(grouped, "a")
    gone, stays = await until_it_waits(grouped, "b", "c")
    gone.cancel()
    store.free.set()
    await asyncio.gather(*first, stays)

    assert store.batches == [["a"], ["c"]]


async def test_a_caller_who_leaves_takes_nothing_from_the_others(store):
    grouped = Grouped(store.write)
    store.free.clear()
    gone, stays = await until_it_waits(grouped, "a", "b")
    gone.cancel()
    store.free.set()
    await stays

    assert store.batches == [["a", "b"]]


async def test_nobody_waits_for_ever_when_writing_is_cancelled(store):
    grouped = Grouped(store.write)
    store.free.clear()
    tasks = await until_it_waits(grouped, "a")
    tasks += await until_it_waits(grouped, "b")
    grouped._writing.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(each, asyncio.CancelledError) for each in ended)
    store.free.set()
    await grouped.add("c")
    assert store.batches[-1] == ["c"]
