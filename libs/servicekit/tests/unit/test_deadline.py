"""The time of a block: it ends the block, and nothing else that cancels is mistaken for it."""

from __future__ import annotations

import asyncio

import pytest

from servicekit.deadline import Within, remaining_s


async def for_ever():
    await asyncio.Event().wait()


@pytest.mark.parametrize("seconds", [-1, 0, 0.01])
async def test_a_block_that_takes_too_long_is_late(seconds):
    with pytest.raises(TimeoutError), Within(seconds):
        await for_ever()

    assert asyncio.current_task().cancelling() == 0


async def test_what_is_asked_of_others_inside_gets_no_longer_than_the_block():
    with Within(5), Within(60):
        assert 0 < remaining_s(100) <= 5

    assert remaining_s(100) == 100


async def test_a_block_that_ends_in_time_is_not_stopped_later():
    with Within(0.01):
        pass
    await asyncio.sleep(0.02)


async def test_an_error_in_time_stays_what_it_is():
    with pytest.raises(KeyError), Within(60):
        raise KeyError


async def test_a_cancelled_task_is_cancelled_and_not_late():
    entered = asyncio.Event()

    async def work():
        with Within(60):
            entered.set()
            await for_ever()

    task = asyncio.create_task(work())
    await entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_outer_time_ends_the_inner_block_and_is_the_one_that_is_late():
    inner = []

    async def work():
        try:
            with Within(60):
                await for_ever()
        except BaseException as error:
            inner.append(type(error))
            raise

    with pytest.raises(TimeoutError), Within(0.01):
        await work()

    assert inner == [asyncio.CancelledError]
