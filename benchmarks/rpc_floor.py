"""What a call costs before anybody does any work: empty handlers over NATS request-reply and over gRPC.

`python benchmarks/rpc_floor.py [seconds]` starts the servers in processes of their own, calls them from this one, and prints calls
per second, p50 and p99 for 1 and for 16 callers. "nats kit" has deadlines, scopes, spans and
metrics (without an exporter), the others have a bare handler.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from servicekit.app import Servicer
from servicekit.auth import Caller
from servicekit.calls import Invoker
from servicekit.nats import connect
from servicekit.rpc.server import serve
from servicekit.settings import NatsSettings

CALLERS = (1, 16)
Check = Callable[..., Awaitable[Any]]


class Empty(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # generated without types
    """Answers at once."""

    async def Check(self, _request: HealthCheckRequest, _context: object) -> HealthCheckResponse:
        """Nothing to do."""
        return HealthCheckResponse(status=HealthCheckResponse.SERVING)


class UnsafeAllowAll:
    """Believes everybody."""

    async def caller_of(self, token: str | None) -> Caller:
        """Anybody."""
        del token
        return Caller(subject="anybody", scopes=frozenset({""}))


class Bare(Invoker):
    """Runs the handler and nothing else."""

    async def invoke(self, method: Any, work: Any, **_: Any) -> Any:
        """What the handler answers."""
        del method
        return await work()


def settings(port: int) -> NatsSettings:
    """The server of this run."""
    return NatsSettings(servers=(f"nats://127.0.0.1:{port}",))


async def serve_nats(port: int, kind: str) -> None:
    """A child process: one replica on NATS."""
    invoker = (Bare if kind == "bare" else Invoker)(UnsafeAllowAll(), transport="nats")
    servicers = [Servicer(health_pb2_grpc.add_HealthServicer_to_server, Empty())]
    async with connect(settings(port), "callee") as bus, serve(bus, "callee", servicers, invoker=invoker):
        await until_parent_leaves()


async def serve_grpc(port: int, _: str) -> None:
    """A child process: one gRPC server."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(Empty(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await until_parent_leaves()


async def until_parent_leaves() -> None:
    """Say that this process is ready, and wait until its standard input ends."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def child(role: str, port: int, kind: str) -> AsyncIterator[None]:
    """Run one of the above in a process of its own."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, role, str(port), kind, stdin=pipe, stdout=pipe
    )
    assert process.stdout
    assert process.stdin
    await process.stdout.readline()
    try:
        yield
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def nats_server() -> AsyncIterator[int]:
    """A NATS server without JetStream."""
    port = free_port()
    program = Path(sys.executable).parent / "nats-server"
    quiet = asyncio.subprocess.DEVNULL
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            program, "-a", "127.0.0.1", "-p", str(port), "-sd", folder, stdout=quiet, stderr=quiet
        )
        try:
            yield port
        finally:
            process.terminate()
            await process.wait()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def measure(check: Check, callers: int, seconds: float) -> dict[str, float]:
    """Calls per second and milliseconds of `callers` that each call again as soon as they are answered."""
    request, took = HealthCheckRequest(), list[float]()
    end = time.perf_counter() + seconds

    async def call() -> None:
        while (before := time.perf_counter()) < end:
            await check(request, timeout=5)
            took.append(time.perf_counter() - before)

    started = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(callers)))
    rate = len(took) / (time.perf_counter() - started)
    cuts = statistics.quantiles(took, n=100)
    return {"callers": callers, "calls_per_s": round(rate), "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}


async def over_nats(kind: str, seconds: float) -> list[dict[str, float]]:
    """Measure NATS."""
    async with nats_server() as port, child("nats", port, kind), connect(settings(port), "caller") as bus:
        return await both(health_pb2_grpc.HealthStub(bus.channel("callee")).Check, seconds)


async def over_grpc(loop: str, seconds: float) -> list[dict[str, float]]:
    """Measure gRPC, with both sides on this loop."""
    port = free_port()
    async with child("grpc", port, loop), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        return await both(health_pb2_grpc.HealthStub(channel).Check, seconds)


def results(seconds: float) -> dict[str, list[dict[str, float]]]:
    """All measurements by transport. Services run on uvloop; gRPC is shown on asyncio's own loop too."""
    return {
        "nats bare": uvloop.run(over_nats("bare", seconds)),
        "nats kit": uvloop.run(over_nats("kit", seconds)),
        "grpc uvloop": uvloop.run(over_grpc("uvloop", seconds)),
        "grpc asyncio": asyncio.run(over_grpc("asyncio", seconds)),
    }


async def both(check: Check, seconds: float) -> list[dict[str, float]]:
    """Warm up, then one caller and many."""
    await measure(check, 4, 0.5)
    return [await measure(check, callers, seconds) for callers in CALLERS]


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print a table, and each transport's ratio to gRPC where it is fastest."""
    best = [max(rates) for rates in zip(*(_rates(rows) for name, rows in found.items() if "grpc" in name), strict=True)]
    print(
        f"{'transport':<14}{'callers':>8}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'x gRPC':>8}   cpus={os.cpu_count()}"
    )
    for name, rows in found.items():
        for row, peer in zip(rows, best, strict=True):
            ratio = row["calls_per_s"] / peer
            cells = f"{row['calls_per_s']:>10.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}{ratio:>8.1f}"
            print(f"{name:<14}{row['callers']:>8.0f}{cells}")
    print(json.dumps(found))


def _rates(rows: list[dict[str, float]]) -> list[float]:
    return [row["calls_per_s"] for row in rows]


def main(arguments: list[str]) -> None:
    """A child's role, or the whole measurement."""
    if arguments and arguments[0] in {"nats", "grpc"}:
        role, port, kind = arguments
        run = asyncio.run if kind == "asyncio" else uvloop.run
        run({"nats": serve_nats, "grpc": serve_grpc}[role](int(port), kind))
    else:
        report(results(float(arguments[0]) if arguments else 3))


if __name__ == "__main__":
    main(sys.argv[1:])
