"""The composition root: the only place that knows concrete classes. Tests enter here too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from assent.consent.v1.consent_service_pb2_grpc import (
    add_ConsentServiceServicer_to_server,
    add_RegistryServiceServicer_to_server,
)
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from consent_service.rpc import ConsentServicer, Ports, RegistryServicer
from consent_service.settings import Settings
from consent_service.store import PostgresLedger
from servicekit import nats, outbox, postgres
from servicekit.app import App, Servicer
from servicekit.auth.identity import read_private_key
from servicekit.basis import ledger_id
from servicekit.clock import SystemClock
from servicekit.vkeys import verifier_key


def servicers(ports: Ports) -> list[Servicer]:
    """Wiring only."""
    return [
        Servicer(add_ConsentServiceServicer_to_server, ConsentServicer(ports)),
        Servicer(add_RegistryServiceServicer_to_server, RegistryServicer(ports)),
    ]


def statement_key(path: Path, ledger: str) -> StatementKey:
    """The key that signs statements; its id is that of the verifier key named like the ledger."""
    key = read_private_key(path)
    return StatementKey(key, verifier_key(ledger, key.public_key()).key_id)


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open the database and the bus, and begin the ledger if there is none."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        ledger, clock = PostgresLedger(pool, ledger_id(settings.ledger)), SystemClock()
        await ledger.create(clock)
        key = statement_key(settings.statement_key, settings.ledger)
        ports = Ports(ledger=ledger, registries=Registries(), clock=clock, key=key)
        yield App(
            servicers=servicers(ports),
            tasks={"outbox": partial(outbox.relay, pool, bus)},
            checks={"database": partial(postgres.check, pool)},
            bus=bus,
        )
