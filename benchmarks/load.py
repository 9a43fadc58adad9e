"""The channel app: a process of its own that asks for decisions as fast as they are answered.

It reads one job per line on its standard input and writes one answer per line. Both sides are here: `clients()` starts it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import uvloop

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from benchmarks import ROOT

PATIENCE_S = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """`requests`: a file of DecideRequests, base64 in a JSON list; each call takes the next one and gives it an id of its own."""

    address: str
    token: str
    requests: str
    callers: int
    seconds: float


@dataclass(slots=True)
class Seen:
    """What the callers saw: milliseconds of each answered call, and what was not as it should be."""

    took_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    degradations: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    treatments: int = 0


class Client:
    """The handle of the other process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self.pid = process.pid
        self._stdin, self._stdout = process.stdin, process.stdout

    async def run(self, job: Job) -> Seen:
        """Have it do one job."""
        self._stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        told: dict[str, Any] = json.loads(await self._stdout.readline())
        told |= {name: Counter(told[name]) for name in ("degradations", "errors")}
        return Seen(**told)


@asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """A process that calls."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load", stdin=pipe, stdout=pipe, cwd=ROOT, limit=1 << 26
    )
    try:
        yield Client(process)
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


async def serve_jobs() -> None:
    """The other process: do the jobs of standard input until it ends."""
    pools: dict[str, Iterator[pb.DecideRequest]] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        job = Job(**json.loads(line))
        if job.requests not in pools:
            pools[job.requests] = itertools.cycle(_read(Path(job.requests)))
        sys.stdout.write(json.dumps(_told(await _done(job, pools[job.requests]))) + "\n")
        sys.stdout.flush()


def _told(seen: Seen) -> dict[str, Any]:
    """As JSON has it; `asdict` cannot copy a Counter."""
    return {each.name: getattr(seen, each.name) for each in fields(seen)}


def _read(path: Path) -> list[pb.DecideRequest]:
    return [pb.DecideRequest.FromString(b64decode(text)) for text in json.loads(path.read_text())]


async def _done(job: Job, requests: Iterator[pb.DecideRequest]) -> Seen:
    seen = Seen()
    async with grpc.aio.insecure_channel(job.address) as channel:
        stub = OrchestrationServiceStub(channel)
        await _ask(stub, job, next(requests), Seen())
        started = time.perf_counter()
        ends = started + job.seconds
        await asyncio.gather(*(_call_until(ends, stub, job, requests, seen) for _ in range(job.callers)))
        seen.seconds = time.perf_counter() - started
    return seen


async def _call_until(ends: float, stub: Any, job: Job, requests: Iterator[pb.DecideRequest], seen: Seen) -> None:
    while time.perf_counter() < ends:
        await _ask(stub, job, next(requests), seen)


async def _ask(stub: Any, job: Job, request: pb.DecideRequest, seen: Seen) -> None:
    asked = pb.DecideRequest()
    asked.CopyFrom(request)
    asked.request_id = uuid4().hex
    before = time.perf_counter()
    try:
        answer = await stub.Decide(asked, timeout=PATIENCE_S, metadata=(("authorization", f"Bearer {job.token}"),))
    except grpc.aio.AioRpcError as error:
        seen.errors[error.code().name] += 1
        return
    seen.took_ms.append((time.perf_counter() - before) * 1000)
    seen.degradations.update(known.code for known in answer.degradations)
    seen.treatments += sum(len(each.treatments) for each in answer.placements)


if __name__ == "__main__":
    uvloop.run(serve_jobs())
