"""The command with which a container engine asks after a server."""

from __future__ import annotations

import asyncio
import socket
import sys

import pytest

from servicekit import grpc_server
from servicekit.settings import GrpcSettings

pytestmark = pytest.mark.integration


async def ask(*arguments: str) -> tuple[int | None, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "servicekit.healthcheck", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, said = await child.communicate()
    return child.returncode, said.decode().strip()


@pytest.fixture
async def server(issuer):
    async with grpc_server.serve(GrpcSettings(), "profile", [], issuer.invoker(), drain_seconds=1) as server:
        yield server


async def test_a_server_that_is_ready_is_well(server):
    await server.health.say(serving=True)

    assert await ask(f"127.0.0.1:{server.port}") == (0, "")


async def test_a_server_that_is_not_ready_is_not_well(server):
    assert await ask(f"127.0.0.1:{server.port}") == (1, "NOT_SERVING")


async def test_a_server_that_is_not_ready_is_alive(server):
    assert await ask("--service", "live", f"127.0.0.1:{server.port}") == (0, "")


async def test_nobody_there_is_not_well():
    with socket.socket() as taken:  # bound, and never listening
        taken.bind(("127.0.0.1", 0))

        assert (await ask("--timeout", "1", f"127.0.0.1:{taken.getsockname()[1]}"))[0] == 1
