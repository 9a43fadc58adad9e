"""The composition root of the profile service."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from assent.profile.v1.profile_service_pb2_grpc import add_ProfileServiceServicer_to_server
from catalog.digest import bundle_from_json
from profile_service.adapters import BundlePlans, ConsentLedger
from profile_service.folding import Folding
from profile_service.hashing import Hasher
from profile_service.rpc import Ports, ProfileServicer
from profile_service.settings import Settings
from profile_service.store import PostgresDirectory, PostgresProfiles
from profile_service.subscribers import subscriptions
from servicekit import basis, bundles, folds, leases, nats, outbox, postgres, vkeys
from servicekit.app import App, Servicer
from servicekit.auth import ServiceIdentity
from servicekit.clock import SystemClock

STREAM = "BANK_EVENTS"


def servicers(ports: Ports) -> list[Servicer]:
    """Wiring only."""
    return [Servicer(add_ProfileServiceServicer_to_server, ProfileServicer(ports))]


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        source = await opened.enter_async_context(bundles.watch(bus, bundle_from_json))
        held = await opened.enter_async_context(leases.own(bus, settings.service, settings.instance))
        identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
        keys = basis.public_keys(vkeys.read_vkeys(settings.basis_keys))
        profiles = PostgresProfiles(pool)
        ports = Ports(
            directory=PostgresDirectory(pool),
            journal=profiles,
            profiles=profiles,
            publisher=bus,
            ledger=ConsentLedger(ConsentServiceStub(bus.channel("consent", identity=identity))),
            catalog=BundlePlans(source),
            verifier=basis.Verifier(keys, ledger=basis.ledger_id(settings.ledger)),
            hasher=Hasher.read(settings.identifier_key),
            clock=SystemClock(),
            new_id=lambda: str(uuid.uuid4()),
        )
        fold = partial(
            folds.fold,
            bus,
            held,
            STREAM,
            apply=Folding(pool).apply,
            load_position=profiles.position,
            settings=folds.FoldSettings(batch=settings.fold_batch),
        )
        yield App(
            servicers=servicers(ports),
            subscriptions=subscriptions(ports.directory, ports.clock),
            tasks={"fold": fold, "outbox": partial(outbox.relay, pool, bus)},
            checks={"database": partial(postgres.check, pool), "bus": bus.check},
            bus=bus,
        )
