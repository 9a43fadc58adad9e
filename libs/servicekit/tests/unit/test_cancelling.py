"""Ending tasks for certain."""

from __future__ import annotations

import asyncio

from servicekit import cancelling


async def test_a_task_that_swallows_a_cancellation_ends_all_the_same(monkeypatch):
    monkeypatch.setattr(cancelling, "AGAIN_S", 0.01)
    swallowed = 0

    async def stubborn():
        nonlocal swallowed
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed == 2:
                    raise

    task = asyncio.ensure_future(stubborn())
    await asyncio.sleep(0)

    await cancelling.ended(task)

    assert (task.cancelled(), swallowed) == (True, 2)


async def test_what_has_ended_already_is_left_alone():
    async def broken():
        raise ValueError

    task = asyncio.ensure_future(broken())
    await asyncio.wait([task])

    await cancelling.ended(task)

    assert isinstance(task.exception(), ValueError)
