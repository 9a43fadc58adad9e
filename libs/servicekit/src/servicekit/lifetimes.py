"""Lifetimes that nest: several that end together, and tasks that are kept running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final

from servicekit import telemetry
from servicekit.app import Check, Task
from servicekit.cancelling import ended
from servicekit.errors import Unavailable

logger = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.2
LONGEST_WAIT_S: Final = 10.0
STEADY_S: Final = 30.0
"""A task that ran this long starts its next backoff from the beginning."""


@asynccontextmanager
async def together(managers: Sequence[AbstractAsyncContextManager[Any]]) -> AsyncIterator[list[Any]]:
    """Enter in order, leave all at once: what takes work in must stop everywhere before anybody waits for the running work."""
    leave = asyncio.Event()
    held: list[asyncio.Task[None]] = []
    try:
        yield [await _hold(manager, leave, held) for manager in managers]
    finally:
        leave.set()
        await _finished(held)


async def _hold(manager: AbstractAsyncContextManager[Any], leave: asyncio.Event, held: list[asyncio.Task[None]]) -> Any:
    """Enter and leave in one task of its own, since a timeout or a task group inside belongs to the task that entered."""
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def live() -> None:
        async with manager as value:
            opened.set_result(value)
            await leave.wait()

    task = asyncio.create_task(live())
    held.append(task)
    try:
        await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    return opened.result() if opened.done() else task.result()


async def _finished(held: Sequence[asyncio.Task[None]]) -> None:
    """Wait for all, and say the first thing that went wrong. Cancelling this cancels them."""
    try:
        results = await asyncio.gather(*held, return_exceptions=True)
    except asyncio.CancelledError:
        await asyncio.wait(held, timeout=0.1) if held else None
        raise
    for result in results:
        if isinstance(result, BaseException):
            raise result


class Supervised:
    """Tasks that run until they are left; one that ends is started again, and until then the service is not ready."""

    def __init__(self, tasks: Mapping[str, Task]) -> None:
        self._tasks = tasks
        self._down: set[str] = set()

    def checks(self) -> Mapping[str, Check]:
        """One check per task: Unavailable between its end and its restart."""
        return {f"task {name}": self._check(name) for name in self._tasks}

    def _check(self, name: str) -> Check:
        async def check() -> None:
            if name in self._down:
                raise Unavailable("A background task is down.", reason="TASK_DOWN", task=name)

        return check

    async def keep(self, name: str) -> None:
        """Run one task for ever."""
        loop = asyncio.get_running_loop()
        wait_s = FIRST_WAIT_S
        while True:
            self._down.discard(name)
            started = loop.time()
            await self._run(name)
            self._down.add(name)
            telemetry.count(telemetry.TASK_RESTARTS, 1, {telemetry.TASK: name})
            wait_s = FIRST_WAIT_S if loop.time() - started > STEADY_S else wait_s
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _run(self, name: str) -> None:
        try:
            await self._tasks[name]()
        except Exception:
            logger.exception("a task crashed", extra={"task": name})
        else:
            logger.error("a task ended", extra={"task": name})


@asynccontextmanager
async def supervised(tasks: Mapping[str, Task]) -> AsyncIterator[Supervised]:
    """Keep the tasks running while the block does."""
    supervisor = Supervised(tasks)
    running = [asyncio.create_task(supervisor.keep(name), name=name) for name in tasks]
    try:
        yield supervisor
    finally:
        with suppress(asyncio.CancelledError):
            await ended(*running)
