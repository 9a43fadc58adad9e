"""The composition root of the orchestration service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.orchestration.v1.orchestration_service_pb2_grpc import add_OrchestrationServiceServicer_to_server
from orchestration_service import siblings
from orchestration_service.deciding import Decider
from orchestration_service.live import follow_live_signals
from orchestration_service.pipeline.facts import bundle_with_facts
from orchestration_service.ports import Ports
from orchestration_service.rpc import Orchestration, OrchestrationServicer
from orchestration_service.settings import Settings
from orchestration_service.snapshots import WatchedSnapshots
from orchestration_service.store import OutcomeIds, PostgresArchive
from orchestration_service.streams import StreamOutcomes, StreamRecorder
from orchestration_service.subscribers import subscriptions
from orchestration_service.watching import Watches
from servicekit import bundles, nats, postgres
from servicekit.app import App, Servicer
from servicekit.auth import ServiceIdentity
from servicekit.basis import Verifier, ledger_id, public_keys
from servicekit.clock import SystemClock
from servicekit.vkeys import read_vkeys


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        catalog = await opened.enter_async_context(bundles.watch(bus, bundle_with_facts))
        archive, snapshots, watches, clock = PostgresArchive(pool), WatchedSnapshots(bus), Watches(), SystemClock()
        identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
        channel = partial(bus.channel, identity=identity)
        ports = Ports(
            profiles=siblings.ProfileSibling(channel("profile")),
            ledger=siblings.ConsentSibling(channel("consent")),
            signals=siblings.SignalsSibling(channel("signals")),
            eligibility=siblings.EligibilitySibling(channel("eligibility")),
            ranking=siblings.RankingSibling(channel("ranking")),
            content=siblings.ContentSibling(channel("content")),
            catalog=catalog,
            snapshots=snapshots,
            recorder=StreamRecorder(bus),
            verifier=Verifier(public_keys(read_vkeys(settings.basis_keys)), ledger=ledger_id(settings.ledger)),
            clock=clock,
            tracking_key=settings.tracking_key.read_bytes(),
        )
        outcomes = StreamOutcomes(bus, OutcomeIds(pool), clock)
        decider = Decider(ports)
        parts = Orchestration(ports, decider, archive, outcomes, watches)
        yield App(
            servicers=[Servicer(add_OrchestrationServiceServicer_to_server, OrchestrationServicer(parts))],
            subscriptions=subscriptions(archive, watches, decider.remembered),
            tasks={"snapshots": snapshots.follow, "live signals": partial(follow_live_signals, bus, watches)},
            checks={"bundle": catalog.check},
            on_drain=[watches.drain],
            bus=bus,
        )
