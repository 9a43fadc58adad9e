"""The composition root of the content service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.content.v1.content_service_pb2_grpc import add_ContentServiceServicer_to_server
from content_service.announcer import BucketAnnouncer
from content_service.library import Library
from content_service.registry import LedgerRegistry
from content_service.rpc import ContentServicer, Ports
from content_service.settings import Settings
from content_service.store import PostgresBundles
from servicekit import nats, postgres
from servicekit.app import App, Servicer
from servicekit.auth import ServiceIdentity
from servicekit.clock import SystemClock


def servicers(ports: Ports) -> list[Servicer]:
    """Wiring only."""
    return [Servicer(add_ContentServiceServicer_to_server, ContentServicer(ports))]


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
        bundles = PostgresBundles(pool)
        library = Library(bundles)
        announcer = BucketAnnouncer(bus, bundles, library)
        ports = Ports(
            bundles=bundles,
            library=library,
            registry=LedgerRegistry(bus.channel("consent", identity=identity)),
            announcer=announcer,
            clock=SystemClock(),
            max_bundle_bytes=settings.max_bundle_bytes,
        )
        yield App(
            servicers=servicers(ports),
            tasks={"announce": announcer.keep},
            checks={"database": partial(postgres.check, pool), "bus": bus.check},
            bus=bus,
        )
