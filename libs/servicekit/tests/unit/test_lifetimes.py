"""Lifetimes that end together, and tasks that are kept running."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from servicekit import lifetimes
from servicekit.errors import Unavailable
from servicekit.lifetimes import supervised, together
from testkit.waiting import until


def noted(notes: list[str], name: str, *, until_left: asyncio.Event | None = None, breaks: bool = False):
    @asynccontextmanager
    async def manager():
        if breaks:
            raise Unavailable(reason=name)
        notes.append(f"{name} in")
        async with asyncio.timeout(30):
            try:
                yield name
            finally:
                notes.append(f"{name} leaves")
                if until_left:
                    await until_left.wait()
                notes.append(f"{name} out")

    return manager()


async def test_they_are_entered_in_order_and_left_at_once():
    notes: list[str] = []
    b_may_go = asyncio.Event()
    async with together([noted(notes, "a"), noted(notes, "b", until_left=b_may_go)]) as opened:
        assert opened == ["a", "b"]
        asyncio.get_running_loop().call_later(0.02, b_may_go.set)

    assert notes == ["a in", "b in", "a leaves", "a out", "b leaves", "b out"]


async def test_one_that_cannot_be_entered_lets_the_others_go():
    notes: list[str] = []

    with pytest.raises(Unavailable, match="away"):
        async with together([noted(notes, "a"), noted(notes, "b", breaks=True), noted(notes, "c")]):
            pytest.fail("it was entered")

    assert notes == ["a in", "a leaves", "a out"]


async def test_cancelling_while_one_is_being_entered_lets_all_go():
    notes: list[str] = []

    @asynccontextmanager
    async def stuck():
        notes.append("stuck")
        await asyncio.Event().wait()
        yield

    async def enter():
        async with together([noted(notes, "a"), stuck()]):
            pytest.fail("it was entered")

    entering = asyncio.create_task(enter())
    await until(lambda: "stuck" in notes)
    entering.cancel()

    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(5):
            await entering
    assert notes[-1] == "a out"


async def test_a_task_that_crashed_is_down_until_it_runs_again(monkeypatch):
    monkeypatch.setattr(lifetimes, "FIRST_WAIT_S", 0.05)
    starts: list[int] = []

    async def task():
        starts.append(1)
        if len(starts) == 1:
            raise RuntimeError
        await asyncio.Event().wait()

    async with supervised({"fold": task}) as supervisor:
        (check,) = supervisor.checks().values()
        await until(lambda: len(starts) == 1)
        with pytest.raises(Unavailable) as caught:
            await check()
        await until(lambda: len(starts) == 2)
        await check()

    assert (caught.value.code, caught.value.metadata) == ("TASK_DOWN", {"task": "fold"})


async def test_a_task_that_ends_is_started_again(monkeypatch):
    monkeypatch.setattr(lifetimes, "FIRST_WAIT_S", 0.001)
    starts: list[int] = []

    async def task():
        starts.append(1)

    async with supervised({"relay": task}):
        await until(lambda: len(starts) >= 3)


async def test_leaving_cancels_the_tasks_and_waits_for_them():
    stopped = asyncio.Event()

    async def task():
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with supervised({"fold": task}):
        await asyncio.sleep(0)

    assert stopped.is_set()
