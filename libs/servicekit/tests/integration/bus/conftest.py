"""A NATS server that tests may kill and bring back."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from servicekit.nats import connect

numbers = itertools.count()
PROGRAM = shutil.which("nats-server") or str(Path(sys.executable).parent / "nats-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class KillableNats:
    """One process on one port and one folder, over several lives."""

    def __init__(self, folder: Path, *extra: str) -> None:
        self.port = free_port()
        self._arguments = ["-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(folder), *extra]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def settings(self):
        return SimpleNamespace(servers=[f"nats://127.0.0.1:{self.port}"], user=None, password=None)

    async def start(self) -> None:
        devnull = asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(PROGRAM, *self._arguments, stdout=devnull, stderr=devnull)
        async with asyncio.timeout(15):
            await until(self._listens)

    async def kill(self) -> None:
        assert self._process
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    def stall(self) -> None:
        """Returns once it has stopped: a signal that was sent is not yet one that was obeyed."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def _listens(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        line = await reader.readline()
        writer.close()
        return line.startswith(b"INFO")


async def until(condition, seconds: float = 10) -> None:
    """Wait until the condition, plain or async, holds."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if asyncio.iscoroutine(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(0.01)


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture(scope="module")
async def server(tmp_path_factory):
    """A NATS server shared by the tests of a module: for tests that leave it alone."""
    nats = KillableNats(tmp_path_factory.mktemp("nats"))
    await nats.start()
    yield nats
    await nats.kill()


@pytest.fixture
async def frail_server(tmp_path):
    """A NATS server of one test's own: to kill, stall and bring back."""
    nats = KillableNats(tmp_path)
    await nats.start()
    yield nats
    await nats.kill()


@pytest.fixture
async def bus(server):
    async with connect(server.settings, "caller") as opened:
        yield opened


@pytest.fixture
async def other_bus(server):
    async with connect(server.settings, "callee") as opened:
        yield opened


@pytest.fixture
def callee():
    """A name that no other test uses."""
    return f"callee{next(numbers)}"
