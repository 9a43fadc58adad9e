"""The composition root of the signals service."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from assent.signals.v1.signals_service_pb2_grpc import add_SignalsServiceServicer_to_server
from automaton import DefinitionInvalid, compile_bundle
from catalog.digest import bundle_from_json
from servicekit import bundles, leases, nats, outbox, postgres
from servicekit.app import App, Servicer
from servicekit.auth import ServiceIdentity
from servicekit.basis import Verifier, ledger_id, public_keys
from servicekit.clock import SystemClock
from servicekit.folds import FoldSettings, fold
from servicekit.vkeys import read_vkeys
from signals_service.bases import CachedBases
from signals_service.domain.admission import vocabulary
from signals_service.domain.events import Limits
from signals_service.domain.rates import Rates
from signals_service.folding import Fold
from signals_service.handlers import Ingest, Look, Withdrawals
from signals_service.ports import Definitions
from signals_service.rpc import SignalsServicer
from signals_service.settings import Settings
from signals_service.siblings import ConsentSibling, ProfileSubjects
from signals_service.store import PostgresSignals, PostgresStates
from signals_service.streams import STREAM, CoreLive, StreamEvents
from signals_service.subscribers import subscriptions

logger = logging.getLogger(__name__)

AT_ONCE = FoldSettings(linger_s=0)
"""A live signal must not wait for company."""


def definitions(document: bytes) -> Definitions:
    """A bundle as this service uses it. Raises DefinitionInvalid naming a definition that cannot run."""
    bundle = bundle_from_json(document)
    try:
        return Definitions(bundle, compile_bundle(bundle), vocabulary(bundle))
    except DefinitionInvalid as error:
        logger.error("a bundle cannot run: %s", error)  # noqa: TRY400  # its text says it all
        raise


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        catalog = await opened.enter_async_context(bundles.watch(bus, definitions))
        clock, events, signals = SystemClock(), StreamEvents(bus), PostgresSignals(pool)
        identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
        verifier = Verifier(public_keys(read_vkeys(settings.basis_keys)), ledger=ledger_id(settings.ledger))
        subjects = ProfileSubjects(bus.channel("profile", identity=identity), clock)
        bases = CachedBases(ConsentSibling(bus.channel("consent", identity=identity)), verifier, clock)
        limits = Limits(**settings.ingest.model_dump())
        withdrawals = Withdrawals(catalog, signals, bases, events, clock)
        servicer = SignalsServicer(
            Ingest(catalog, subjects, bases, events, Rates(limits), limits, clock),
            Look(catalog, signals, events, verifier, clock, settings.stale_ms),
            withdrawals,
        )
        work = Fold(catalog=catalog, states=PostgresStates(pool), events=events, live=CoreLive(bus), clock=clock)
        held = await opened.enter_async_context(
            leases.own(bus, settings.service, settings.instance, work.changed, clock=clock)
        )
        yield App(
            servicers=[Servicer(add_SignalsServiceServicer_to_server, servicer)],
            subscriptions=subscriptions(withdrawals, bases, subjects),
            tasks={
                "fold": partial(
                    fold, bus, held, STREAM, apply=work.apply, load_position=work.position, settings=AT_ONCE
                ),
                "time": work.keep_time,
                "owned": partial(work.say_owned, held),
                "outbox": partial(outbox.relay, pool, bus),
            },
            checks={"database": partial(postgres.check, pool), "bundle": catalog.check},
            bus=bus,
        )
