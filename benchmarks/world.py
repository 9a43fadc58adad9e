"""What is measured: the real suite with the example bank and its customers, and beside it the floor."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import grpc

import assent_cli.supervised
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent_cli.discovery import installed
from assent_cli.stack import Stack, running_stack
from benchmarks.floor.taken import taken
from catalog.loading import load_bundle
from catalog.model import Bundle
from embedded import files
from embedded.keys import Keys
from harbour_bank import CATALOG, mara, steps, synthetic
from harbour_bank.clients import Caller, People, people

SEED = 20260521
AT_ONCE = 16
SCOPES = (
    *("orchestration.decide", "orchestration.audit", "orchestration.audit.personal"),
    *("consent.check", "profile.read", "profile.resolve", "profile.ingest", "signals.ingest", "signals.read"),
)
SIBLINGS = (
    *("consent.check", "content.render", "eligibility.contact", "eligibility.evaluate", "eligibility.reserve"),
    *("profile.read", "profile.resolve", "ranking.rank", "signals.read"),
)
"""What orchestration may ask of its siblings."""


@dataclass(frozen=True, slots=True)
class World:
    """The real suite: `numbers` are its customers, `me` may do everything that is measured, `folder` is for files.

    `shown` are customers for whom there is something to show: their decisions make every hop, as the floor does.
    """

    stack: Stack
    who: People
    me: Caller
    bundle: Bundle
    numbers: Sequence[str]
    folder: Path
    shown: dict[str, pb.DecideResponse] = field(default_factory=dict)

    def token(self) -> str:
        """A token that may do everything that is measured."""
        return self.stack.keys.token("benchmark", SCOPES)

    async def forget_reservations(self) -> None:
        """Give back what decisions reserved, so that no limit keeps the next ones from making every hop."""
        connection = await asyncpg.connect(self.stack.dsn("eligibility", owner=True))
        try:
            await connection.execute("DELETE FROM eligibility.reservation")
        finally:
            await connection.close()

    def placements(self, count: int) -> list[str]:
        """Placements of the mobile app, the most usual one first."""
        shown = [placement.id for placement in self.bundle.placements if "mobile" in placement.channels]
        return sorted(shown, key=lambda name: name != "home.hero")[:count]

    def requests(self, count: int) -> Path:
        """A file of requests for `count` placements, one per customer who is shown something."""
        names = self.placements(count)
        asked = [steps.decide_request(steps.customer(number), names, screen="home") for number in self.shown]
        return write_requests(self.folder / f"requests-{count}.json", asked)


def write_requests(path: Path, requests: Sequence[pb.DecideRequest]) -> Path:
    """Keep requests where the client finds them."""
    path.write_text(json.dumps([b64encode(each.SerializeToString()).decode() for each in requests]))
    return path


@asynccontextmanager
async def real(folder: Path, customers: int, *, env: dict[str, str] | None = None) -> AsyncIterator[World]:
    """The suite with the example bank's bundle in force; on the same folder again it is the same suite."""
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(running_stack(folder / "real", env=env))
        who = await opened.enter_async_context(people(stack))
        bundle = load_bundle(CATALOG)
        await steps.activate(bundle, who)
        await steps.until_decisions_work(who.app, 40)
        await stack.until_ready()
        probe_rarely()
        me = Caller(stack, "benchmark", SCOPES, opened)
        yield World(stack, who, me, bundle, synthetic.customers(customers), folder)


def probe_rarely() -> None:
    """A development stack asks each process five times a second how it is, which is work that no bank has."""
    assent_cli.supervised.PROBE_S = 10.0


def probe_often() -> None:
    """So that a stack is up as soon as it can be."""
    assent_cli.supervised.PROBE_S = 0.2


async def agree(world: World) -> None:
    """Every customer allows what Mara allows."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(number: str) -> None:
        async with slots:
            subject_id = await steps.subject_of(steps.customer(number), world.who.app)
            await steps.allow(world.bundle, subject_id, mara.PURPOSES, world.who.app)

    await asyncio.gather(*map(one, world.numbers))


async def find_shown(world: World, wanted: int) -> None:
    """Ask for customers in turn until enough of them were shown something."""
    for first in range(0, len(world.numbers), AT_ONCE):
        batch = world.numbers[first : first + AT_ONCE]
        answers = await asyncio.gather(*(_decided(world, number) for number in batch))
        world.shown.update({n: a for n, a in zip(batch, answers, strict=True) if a.placements[0].treatments})
        if len(world.shown) >= wanted:
            return


@asynccontextmanager
async def floor(world: World) -> AsyncIterator[Stack]:
    """Seven processes with empty handlers, whose messages are those of one decision of the real suite."""
    record, receipt = await a_decision(world)
    prepared = world.folder / "hops.json"
    taken(record, receipt, world.bundle).write(prepared)
    state = world.folder / "floor"
    services = installed()
    keys = Keys(state / "keys")
    keys.create(services)
    token = world.folder / "siblings.jwt"
    files.write_secret(token, keys.token("orchestration", SIBLINGS))
    ports = {name: files.free_port() for name in services}
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items() if name != "orchestration"}
    env = {"FLOOR_PREPARED": str(prepared), "FLOOR_ADDRESSES": json.dumps(addresses), "FLOOR_TOKEN": str(token)}
    probe_often()
    packages = dict.fromkeys(services, "benchmarks.floor")
    async with running_stack(state, packages=packages, ports=ports, env=env) as stack:
        probe_rarely()
        yield stack


async def a_decision(world: World) -> tuple[DecisionRecord, pb.Receipt]:
    """The record of a usual decision: of some that show something the one of middle size."""
    found = list(world.shown.values())[:15]
    records = [await _recorded(world, decision.decision_id) for decision in found]
    return sorted(records, key=lambda each: each[0].ByteSize())[len(records) // 2]


async def _decided(world: World, number: str) -> pb.DecideResponse:
    request = steps.decide_request(steps.customer(number), world.placements(1), screen="home")
    return await (await world.me.orchestration()).Decide(request, timeout=5)


async def _recorded(world: World, decision_id: str) -> tuple[DecisionRecord, pb.Receipt]:
    """The record, once it is archived."""
    stub, ends = await world.me.orchestration(), time.monotonic() + 10
    while True:
        try:
            answer = await stub.GetDecision(pb.GetDecisionRequest(decision_id=decision_id))
            return DecisionRecord.FromString(answer.record), answer.receipt
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND or time.monotonic() > ends:
                raise
        await asyncio.sleep(0.05)
