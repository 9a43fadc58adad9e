"""One service as a process: started, probed, started again when it crashes, drained in the end."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from assent_cli.discovery import Service
from embedded.process import Process, Program, StartFailed

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
STEADY_S = 30.0
"""A service that ran this long starts again after the shortest wait."""
PROBE_S = 0.2
SETTLED_S = 3.0
"""A service that answers this long that it is not ready waits for something that starting cannot bring."""
MOST_STARTS = 2
DRAIN_S = 15.0


class State(Enum):
    """What a service is doing."""

    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not ready"
    CRASHED = "crashed"
    HELD = "killed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Status:
    """A service as the screen shows it."""

    name: str
    state: State
    pid: int | None
    port: int
    uptime_s: float
    starts: int
    note: str = ""


class Supervised:
    """Keeps one service running until `stop`; `kill` holds it down until `restart`."""

    def __init__(
        self,
        service: Service,
        env: Mapping[str, str],
        *,
        log: Path,
        port: int,
        changed: Callable[[], None],
    ) -> None:
        self.service = service
        self.log = log
        self.port = port
        self._env = env
        self._changed = changed
        self._process = self._new()
        self._state = State.STOPPED
        self._started = self._since = 0.0
        self._starts = 0
        self._task: asyncio.Task[None] | None = None

    def _new(self) -> Process:
        argv = [sys.executable, "-m", self.service.package, "serve"]
        return Process(Program(self.service.name, argv, log=self.log, env=self._env))

    @property
    def status(self) -> Status:
        """What it is doing now."""
        alive = self._process.alive
        note = f"exit code {self._process.exit_code}" if self._state is State.CRASHED else ""
        uptime = time.monotonic() - self._started if alive else 0.0
        return Status(self.service.name, self._state, self._process.pid, self.port, uptime, self._starts, note)

    def start(self) -> None:
        """Begin to supervise; returns at once."""
        self._task = asyncio.create_task(self._supervise())

    async def _supervise(self) -> None:
        wait = FIRST_WAIT_S
        while True:
            self._launch()
            await self._while_alive()
            self._become(State.CRASHED)
            wait = FIRST_WAIT_S if time.monotonic() - self._started > STEADY_S else wait
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    def _launch(self) -> None:
        self._process = self._new()
        self._process.launch()
        self._started = time.monotonic()
        self._starts += 1
        self._become(State.STARTING)

    async def _while_alive(self) -> None:
        # A channel that is refused once waits a second before it tries again: open it when somebody listens.
        while self._process.alive and not await _listens(self.port):  # noqa: ASYNC110  it is another process
            await asyncio.sleep(PROBE_S / 5)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            health = HealthStub(channel)
            while self._process.alive:
                await self._probe(health)
                await asyncio.sleep(PROBE_S)

    async def _probe(self, health: HealthStub) -> None:
        try:
            answer = await health.Check(HealthCheckRequest(), timeout=2)
        except grpc.aio.AioRpcError:
            serving = False
        else:
            serving = answer.status == HealthCheckResponse.SERVING
        if self._process.alive:
            self._become(State.READY if serving else State.NOT_READY)

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state, self._since = state, time.monotonic()
            self._changed()

    async def until_started(self, timeout_s: float) -> None:
        """Wait until it is ready, or has answered for a while that it is not: some services wait for a first bundle.

        Raises StartFailed with the end of its log when it does neither, or crashed thrice.
        """
        await self._until(lambda: self._state is State.READY or self._answered_s() > SETTLED_S, timeout_s)

    async def until_ready(self, timeout_s: float) -> None:
        """Wait until it is ready; raises StartFailed with the end of its log when it does not become so."""
        await self._until(lambda: self._state is State.READY, timeout_s)

    def _answered_s(self) -> float:
        return time.monotonic() - self._since if self._state is State.NOT_READY else 0.0

    async def _until(self, reached: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > deadline or self._starts > MOST_STARTS:
                raise StartFailed(f"{self.service.name} did not become ready:\n{self._process.tail()}")
            await asyncio.sleep(PROBE_S / 5)

    async def kill(self) -> None:
        """Crash it, and leave it down until `restart`."""
        await self._unsupervise()
        self._process.send(signal.SIGKILL)
        await self._ended(10)
        self._become(State.HELD)

    async def restart(self, timeout_s: float = 60) -> None:
        """Stop it if it runs, start it, and wait as `until_started`."""
        await self.stop()
        self._starts = 0
        self.start()
        await self.until_started(timeout_s)

    async def stop(self) -> None:
        """Drain it: SIGTERM, time to finish, and SIGKILL when it does not."""
        await self._unsupervise()
        self._process.send(signal.SIGTERM)
        if not await self._ended(DRAIN_S):
            self._process.send(signal.SIGKILL)
            await self._ended(5)
        self._become(State.STOPPED)

    async def _unsupervise(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _ended(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while self._process.alive and time.monotonic() < deadline:  # noqa: ASYNC110  it is another process
            await asyncio.sleep(0.02)
        return not self._process.alive


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
