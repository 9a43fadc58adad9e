"""Orchestration as the kit serves it, on a real NATS and PostgreSQL; its siblings are small services of their own on the same bus."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from orchestration_fakes import World, bundle, digest

from assent.consent.v1 import consent_service_pb2_grpc as consent_rpc
from assent.content.v1 import content_service_pb2_grpc as content_rpc
from assent.eligibility.v1 import eligibility_service_pb2_grpc as eligibility_rpc
from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from assent.profile.v1 import profile_service_pb2_grpc as profile_rpc
from assent.ranking.v1 import ranking_service_pb2_grpc as ranking_rpc
from assent.signals.v1 import signals_service_pb2_grpc as signals_rpc
from catalog.digest import bundle_to_json
from orchestration_service.app import build
from orchestration_service.domain import budget
from orchestration_service.settings import Settings
from servicekit import grpc_client
from servicekit.app import Servicer
from servicekit.auth import FileKeys, ServiceTokenVerifier
from servicekit.bundles import key_of
from servicekit.calls import Invoker
from servicekit.clock import SystemClock
from servicekit.rpc import server as nats_server
from servicekit.run import serve
from servicekit.vkeys import verifier_key
from testkit.waiting import until


def _servicer(base, **methods):
    """A servicer whose methods are those of the fakes, looked up at each call so that a test may break them."""

    def method(port, name):
        async def answer(self, request, context):
            return await getattr(port, name)(request)

        return answer

    return type("StandIn", (base,), {name: method(*target) for name, target in methods.items()})()


def siblings(world):
    """Each sibling: its servicer, and the scopes that orchestration has there."""
    p, c, s, e, r, t = world.profiles, world.ledger, world.signals, world.eligibility, world.ranking, world.content
    return {
        "profile": (
            profile_rpc.add_ProfileServiceServicer_to_server,
            _servicer(profile_rpc.ProfileServiceServicer, ResolveSubject=(p, "resolve"), GetView=(p, "view")),
            ("profile.resolve", "profile.read"),
        ),
        "consent": (
            consent_rpc.add_ConsentServiceServicer_to_server,
            _servicer(consent_rpc.ConsentServiceServicer, EvaluateBasis=(c, "basis")),
            ("consent.check",),
        ),
        "signals": (
            signals_rpc.add_SignalsServiceServicer_to_server,
            _servicer(signals_rpc.SignalsServiceServicer, GetActiveSignals=(s, "active")),
            ("signals.read",),
        ),
        "eligibility": (
            eligibility_rpc.add_EligibilityServiceServicer_to_server,
            _servicer(
                eligibility_rpc.EligibilityServiceServicer,
                Evaluate=(e, "evaluate"),
                GetContactState=(e, "contact"),
                Reserve=(e, "reserve"),
                Release=(e, "release"),
            ),
            ("eligibility.evaluate", "eligibility.contact", "eligibility.reserve"),
        ),
        "ranking": (
            ranking_rpc.add_RankingServiceServicer_to_server,
            _servicer(ranking_rpc.RankingServiceServicer, Rank=(r, "rank")),
            ("ranking.rank",),
        ),
        "content": (
            content_rpc.add_ContentServiceServicer_to_server,
            _servicer(content_rpc.ContentServiceServicer, Render=(t, "render")),
            ("content.render",),
        ),
    }


@dataclass
class Suite:
    """What a test needs to know of the running service."""

    world: World
    settings: Settings
    database: object
    platform: object
    keys: object
    stop: asyncio.Event
    running: asyncio.Task
    port: int
    buses: dict = field(default_factory=dict)

    @asynccontextmanager
    async def channel(self, *scopes, subject="app"):
        """A gRPC client with these scopes."""
        token = self.keys.token(subject, scopes)
        async with grpc_client.channel(f"127.0.0.1:{self.port}", token=lambda: token) as channel:
            yield channel

    @asynccontextmanager
    async def client(self, *scopes, subject="app"):
        async with self.channel(*(scopes or ("orchestration.decide",)), subject=subject) as channel:
            yield OrchestrationServiceStub(channel)


def settings_of(database, nats, keys, folder):
    auth = {
        "jwks": str(keys.jwks),
        "issuer": keys.issuer,
        "service_key": keys.service_key("orchestration"),
        "service_keys": keys.service_keys,
    }
    return Settings(
        database=database.settings,
        nats=nats,
        auth=auth,
        tracking_key=keys.tracking_key,
        basis_keys=keys.basis_keys,
        ready_file=folder / "ready.json",
        drain_seconds=4,
    )


@asynccontextmanager
async def standing_in(world, connect, keys):
    """The siblings, each with its own connection and rights."""
    async with AsyncExitStack() as opened:
        for name, (add, servicer, scopes) in siblings(world).items():
            verifier = ServiceTokenVerifier(
                FileKeys(keys.service_keys), service=name, callers={"orchestration": scopes}
            )
            bus = await connect(name)
            served = nats_server.serve(
                bus, name, [Servicer(add, servicer)], invoker=Invoker(verifier, transport="nats"), drain_seconds=0.1
            )
            await opened.enter_async_context(served)
        yield


async def activate(bus):
    """Make the bundle the active one, as content does."""
    bucket = await bus.kv("BUNDLES")
    await bucket.put(key_of(digest()), bundle_to_json(bundle()))
    await bucket.put("active", json.dumps({"digest": digest(), "revision": 1, "killed": []}).encode())


@pytest.fixture
async def suite(platform, database, nats_settings, keys, bus, tmp_path, monkeypatch):
    """One replica, ready, with siblings that behave until a test breaks them."""
    # A push has no deadline of a client's; here six services share a process on whatever machine, and load is not what is tested.
    monkeypatch.setattr(budget, "DEFAULT_S", 2.0)
    vkey = verifier_key(keys.ledger, keys.statement().public_key())
    world = World(clock=SystemClock(), key=keys.statement(), vkey=vkey)
    fresh = await database("orchestration")
    settings = settings_of(fresh, nats_settings("orchestration"), keys, tmp_path)
    await activate(await bus("content"))
    async with standing_in(world, bus, keys):
        stop = asyncio.Event()
        running = asyncio.create_task(serve(build, settings, stop))
        await until(lambda: settings.ready_file.exists() or running.done(), timeout=20)
        port = json.loads(settings.ready_file.read_text())["grpc_port"]
        yield Suite(world, settings, fresh, platform, keys, stop, running, port)
        stop.set()
        await running
