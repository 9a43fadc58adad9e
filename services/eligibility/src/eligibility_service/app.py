"""The composition root of the eligibility service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.eligibility.v1.eligibility_service_pb2_grpc import add_EligibilityServiceServicer_to_server
from catalog.digest import bundle_from_json
from eligibility_service import retention
from eligibility_service.policies import CompiledPolicies
from eligibility_service.rpc import EligibilityServicer, Ports
from eligibility_service.settings import Settings
from eligibility_service.store import PostgresContacts
from eligibility_service.subscribers import subscriptions
from servicekit import bundles, nats, postgres
from servicekit.app import App, Servicer
from servicekit.basis import Verifier, ledger_id, public_keys
from servicekit.clock import SystemClock
from servicekit.vkeys import read_vkeys


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        catalog = await opened.enter_async_context(bundles.watch(bus, bundle_from_json))
        contacts = PostgresContacts(pool)
        ports = Ports(
            CompiledPolicies(catalog),
            contacts,
            verifier=Verifier(public_keys(read_vkeys(settings.basis_keys)), ledger=ledger_id(settings.ledger)),
            clock=SystemClock(),
        )
        yield App(
            servicers=[Servicer(add_EligibilityServiceServicer_to_server, EligibilityServicer(ports))],
            subscriptions=subscriptions(contacts),
            tasks={"retention": partial(retention.keep, contacts, catalog, ports.clock)},
            checks={"database": partial(postgres.check, pool)},
            bus=bus,
        )
