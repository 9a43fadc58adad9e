"""What a check costs over NATS: `python -m benchmarks.consent.bench_check`.

16 callers, who ask again as soon as they are answered, ask in turns: floor, a server of the same kit (tokens, deadlines, metrics) whose
handlers answer an empty message; CheckConsent for one key; EvaluateBasis for twelve purposes and nine categories. Both servers are processes
of their own. Then, in this process and one after the other: the read of a subject's state, and SELECT 1. Target (consent.md, section 13):
0.25 and 0.15 of the floor's throughput; p99 5 and 6 ms; 2,500 checks a second of the server's processor; a read in 2 SELECT 1.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import click
import uvloop

from assent.catalog.v1.value_pb2 import DataCategory
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from assent.consent.v1.consent_service_pb2_grpc import (
    ConsentServiceServicer,
    ConsentServiceStub,
    add_ConsentServiceServicer_to_server,
)
from benchmarks import ROOT
from benchmarks.consent.ledger import TWELVE, a_grant, a_withdrawal, document, engine
from benchmarks.consent.signed_log import LEDGER, percentiles
from benchmarks.rpc_floor import nats_server
from benchmarks.rpc_floor import settings as nats_settings
from consent_service.app import Elsewhere
from consent_service.domain.words import CATEGORIES
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from consent_service.rpc import ConsentServicer, Ports
from consent_service.settings import CALLERS, RoleSettings
from consent_service.store import PostgresLedger
from embedded.keys import Keys
from servicekit import postgres
from servicekit.app import Servicer
from servicekit.auth import FileKeys, ServiceTokenVerifier
from servicekit.calls import Invoker
from servicekit.clock import SystemClock
from servicekit.nats import connect
from servicekit.rpc.server import serve
from servicekit.run import COLLECT
from servicekit.settings import DatabaseSettings

CALLERS_AT_ONCE = 16
FLOOR, CONSENT, ASKER = "floor", "consent", "orchestration"
SAID = 6
"""Grants of each subject, and one withdrawal."""


class Empty(ConsentServiceServicer):
    """Answers at once."""

    async def CheckConsent(self, _request: pb.CheckConsentRequest, _context: object) -> pb.CheckConsentResponse:
        """Nothing to do."""
        return pb.CheckConsentResponse()


@dataclass(frozen=True, slots=True)
class Place:
    """Where servers and callers meet: the bus's port, the folder of the keys, the reader's database."""

    port: int
    folder: Path
    dsn: str

    def keys(self) -> Keys:
        """Of both sides."""
        return Keys(self.folder / "keys")


@asynccontextmanager
async def servicer_of(kind: str, place: Place) -> AsyncIterator[ConsentServiceServicer]:
    """The floor, or the service's own."""
    if kind == FLOOR:
        yield Empty()
        return
    settings = RoleSettings(dsn=place.dsn).database
    assert settings is not None
    async with postgres.pool(settings, schema="consent") as pool:
        key = StatementKey(place.keys().statement(), "bench")
        yield ConsentServicer(Ports(PostgresLedger(pool, LEDGER), Elsewhere(), Registries(), SystemClock(), key))


async def serve_checks(kind: str, place: Place) -> None:
    """A process of its own: says how much processor time it has used whenever it is asked."""
    verifier = ServiceTokenVerifier(FileKeys(place.keys().service_keys), service=kind, callers=CALLERS)
    async with servicer_of(kind, place) as made, connect(nats_settings(place.port), kind) as bus:
        servicers = [Servicer(add_ConsentServiceServicer_to_server, made)]
        async with serve(bus, kind, servicers, invoker=Invoker(verifier, transport="nats")):
            tell(0.0)
            while await asyncio.to_thread(sys.stdin.readline):
                tell(time.process_time())


def tell(seconds: float) -> None:
    """One line."""
    sys.stdout.write(f"{seconds}\n")
    sys.stdout.flush()


class Server:
    """A server's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._in, self._out = process.stdin, process.stdout

    async def cpu_s(self) -> float:
        """Processor time so far."""
        self._in.write(b"\n")
        return await self.told()

    async def told(self) -> float:
        """The next line."""
        return float(await self._out.readline())


@asynccontextmanager
async def server(kind: str, place: Place) -> AsyncIterator[Server]:
    """Runs until left."""
    pipe = asyncio.subprocess.PIPE
    arguments = ["-m", "benchmarks.consent.bench_check", "--serve", kind, str(place.port), str(place.folder), place.dsn]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdin=pipe, stdout=pipe)
    try:
        started = Server(process)
        await started.told()
        yield started
    finally:
        if process.stdin:
            process.stdin.close()
        await process.wait()


Ask = Callable[[str], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked, and who answers."""

    name: str
    ask: Ask
    server: Server

    async def turn(self, subjects: Sequence[str], seconds: float) -> dict[str, Any]:
        """Calls a second, milliseconds of each, and calls a second of the server's processor."""
        took, chance, spent = list[float](), random.Random(5), await self.server.cpu_s()
        began = time.perf_counter()

        async def caller() -> None:
            while (start := time.perf_counter()) < began + seconds:
                await self.ask(chance.choice(subjects))
                took.append((time.perf_counter() - start) * 1000)

        await asyncio.gather(*(caller() for _ in range(CALLERS_AT_ONCE)))
        lasted, spent = time.perf_counter() - began, await self.server.cpu_s() - spent
        return {"per_s": len(took) / lasted, "per_server_cpu_s": len(took) / spent, "took": took}


@asynccontextmanager
async def answering(kind: str, place: Place) -> AsyncIterator[tuple[ConsentServiceStub, Server]]:
    """A server, and a stub that calls it."""
    identity = place.keys().identity(ASKER)
    async with server(kind, place) as started, connect(nats_settings(place.port), ASKER) as bus:
        yield ConsentServiceStub(bus.channel(kind, identity=identity)), started


def targets(empty: Any, floor: Server, real: Any, consent: Server) -> list[Target]:
    """The floor first."""
    key = types_pb2.Key(purpose="offers.cards", channel="mobile", category=DataCategory.DATA_CATEGORY_TRANSACTION)

    def check(stub: Any) -> Ask:
        return lambda who: stub.CheckConsent(pb.CheckConsentRequest(subject_id=who, keys=[key]), timeout=5)

    async def evaluate(who: str) -> Any:
        return await real.EvaluateBasis(pb.EvaluateBasisRequest(subject_id=who, channel="mobile"), timeout=5)

    return [
        Target(FLOOR, check(empty), floor),
        Target("CheckConsent", check(real), consent),
        Target("EvaluateBasis", evaluate, consent),
    ]


def row(name: str, turns: Sequence[dict[str, Any]], floors: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; percentiles over all calls."""
    return {
        "what": name,
        "calls_per_s": round(median(turn["per_s"] for turn in turns)),
        "x_floor": round(median(turn["per_s"] / floor["per_s"] for turn, floor in zip(turns, floors, strict=True)), 3),
        "per_server_cpu_s": round(median(turn["per_server_cpu_s"] for turn in turns)),
        "ms": percentiles([took for turn in turns for took in turn["took"]]),
    }


async def over_nats(place: Place, subjects: Sequence[str], rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Floor, check and basis in turns; the floor on a bus of its own, since methods have the same name."""
    place.keys().create([CONSENT, FLOOR, ASKER])
    async with (
        nats_server() as port,
        answering(FLOOR, replace(place, port=port)) as floor,
        answering(CONSENT, place) as consent,
    ):
        asked = targets(*floor, *consent)
        for target in asked:
            await target.turn(subjects, 0.5)
        turns = [[await target.turn(subjects, seconds) for target in asked] for _ in range(rounds)]
    by = list(zip(*turns, strict=True))
    return [row(target.name, by[at], by[0]) for at, target in enumerate(asked)]


async def reads(dsn: str, subjects: Sequence[str], samples: int) -> dict[str, Any]:
    """A subject's state and SELECT 1 in turns, through the same pool."""
    async with postgres.pool(DatabaseSettings(dsn=dsn, max_size=2), schema="consent") as pool:
        ledger, chance = PostgresLedger(pool, LEDGER), random.Random(6)
        state, one = list[float](), list[float]()
        for _ in range(samples):
            started = time.perf_counter()
            async with postgres.connection(pool) as connection:
                await connection.fetchval("SELECT 1")
            between = time.perf_counter()
            await ledger.read(chance.choice(subjects))
            state.append((time.perf_counter() - between) * 1000)
            one.append((between - started) * 1000)
    found = {"state_ms": percentiles(state), "select_1_ms": percentiles(one)}
    return {**found, "p50_x_select_1": round(percentiles(state)["p50"] / percentiles(one)["p50"], 2)}


async def measure(folder: Path, subjects: int, rounds: int, seconds: float, samples: int) -> dict[str, Any]:
    """A ledger in which each subject has said a few things, then the callers, then the reads."""
    async with engine(folder / "server", subjects, document(TWELVE, CATEGORIES)) as given, nats_server() as port:
        chance = random.Random(7)
        for number in range(SAID):
            for start in range(0, subjects, 512):
                few = given.subjects[start : start + 512]
                said = a_grant if number < SAID - 1 else a_withdrawal
                await asyncio.gather(*(given.writer.append(said(who, chance)) for who in few))
        place = Place(port, folder, given.dsns["consent_reader"])
        gc.collect()
        rows = await over_nats(place, given.subjects, rounds, seconds)
        return {"callers": CALLERS_AT_ONCE, "rows": rows, **await reads(place.dsn, given.subjects, samples)}


@click.command()
@click.option("--subjects", default=2000, show_default=True)
@click.option("--rounds", default=4, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of each turn.")
@click.option("--samples", default=3000, show_default=True, help="Of reads.")
@click.option("--serve", "serving", nargs=4, type=str, default=None, hidden=True)
def main(subjects: int, rounds: int, seconds: float, samples: int, serving: tuple[str, str, str, str] | None) -> None:
    """Measure and print."""
    gc.set_threshold(*COLLECT)  # as the service has it
    if serving is not None:
        kind, port, folder, dsn = serving
        uvloop.run(serve_checks(kind, Place(int(port), Path(folder), dsn)))
        return
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(Path(folder), subjects, rounds, seconds, samples))
    for each in found.pop("rows"):
        click.echo("  ".join(f"{name} {value}" for name, value in each.items()))
    for name, value in found.items():
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
