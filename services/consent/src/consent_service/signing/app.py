"""The signer's composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.consent.v1.signer_service_pb2_grpc import add_SignerServiceServicer_to_server
from consent_service.signing.rpc import SignerServicer
from consent_service.signing.settings import Settings
from consent_service.signing.signer import Identity, Signer
from consent_service.signing.store import SCHEMA, PostgresLog
from consent_service.signing.volume import Volume
from servicekit import nats, postgres
from servicekit.app import App, Servicer
from servicekit.auth.identity import read_private_key
from servicekit.basis import ledger_id
from servicekit.clock import SystemClock
from tlog import Ed25519Signer


def identity(settings: Settings) -> Identity:
    """The log's name and the keys that sign for it, the newest first."""
    paths = [path for path in (settings.key, settings.retiring_key) if path is not None]
    signers = [Ed25519Signer(settings.origin, read_private_key(path)) for path in paths]
    return Identity(settings.origin, ledger_id(settings.ledger), signers)


def app(signer: Signer, *, interval_s: float, pool: postgres.Pool, bus: nats.Bus) -> App:
    """Wiring only."""
    return App(
        servicers=[Servicer(add_SignerServiceServicer_to_server, SignerServicer(signer))],
        tasks={"signing": partial(signer.run, interval_s)},
        checks={"database": partial(postgres.check, pool), "signing": signer.check},
        bus=bus,
    )


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open the volume, the database and the bus."""
    async with AsyncExitStack() as opened:
        volume = Volume(settings.folder)
        pool = await opened.enter_async_context(postgres.pool(settings.database, schema=SCHEMA))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        signer = Signer(identity(settings), PostgresLog(pool), volume, SystemClock())
        yield app(signer, interval_s=settings.interval_ms / 1000, pool=pool, bus=bus)
