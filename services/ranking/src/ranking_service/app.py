"""The composition root of the ranking service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final

from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from assent.ranking.v1.ranking_service_pb2_grpc import add_RankingServiceServicer_to_server
from catalog.digest import bundle_from_json
from ranking_service.rpc import Ports, RankingServicer
from ranking_service.settings import Settings
from ranking_service.siblings import BundleSpecifications, LedgerConsent
from ranking_service.snapshots import BucketPublication, following
from ranking_service.store import PostgresLearner, PostgresSnapshots
from ranking_service.subscribers import DECISIONS, OUTCOMES, Learning, subscriptions
from servicekit import bundles, folds, leases, nats, postgres
from servicekit.app import App, Servicer, Task
from servicekit.auth import ServiceIdentity
from servicekit.basis import Verifier, ledger_id, public_keys
from servicekit.clock import SystemClock
from servicekit.folds import FoldSettings
from servicekit.leases import Leases
from servicekit.nats import Bus
from servicekit.partitions import PARTITIONS
from servicekit.postgres import Pool
from servicekit.vkeys import read_vkeys

GATHERED: Final = FoldSettings(gather_s=0.25, at_once=PARTITIONS)
"""Decisions are gathered, to be committed together: nobody needs one before its outcomes, and an outcome that is faster waits.

Gathering and building each take a quarter of a second, so what is learned counts within one.
"""


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open what the service needs."""
    async with AsyncExitStack() as opened:
        pool = await opened.enter_async_context(postgres.pool(settings.database))
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        source = await opened.enter_async_context(bundles.watch(bus, bundle_from_json))
        replica = await opened.enter_async_context(following(bus, PostgresSnapshots(pool)))
        held = await opened.enter_async_context(leases.own(bus, settings.service, settings.instance))
        learning = _learning(settings, pool, bus, BundleSpecifications(source))
        ports = Ports(
            specifications=learning.specifications,
            snapshots=replica,
            learner=learning.learner,
            store=learning.store,
            publication=learning.publication,
            verifier=learning.verifier,
            clock=learning.clock,
        )
        yield App(
            servicers=[Servicer(add_RankingServiceServicer_to_server, RankingServicer(ports))],
            subscriptions=subscriptions(learning),
            tasks={"build": learning.build, **_folds(bus, held, learning)},
            checks={"database": partial(postgres.check, pool), "snapshot": replica.check},
            bus=bus,
        )


def _learning(settings: Settings, pool: Pool, bus: Bus, specifications: BundleSpecifications) -> Learning:
    identity = ServiceIdentity.read(settings.service, settings.auth.service_key)
    return Learning(
        learner=PostgresLearner(pool),
        store=PostgresSnapshots(pool),
        publication=BucketPublication(bus),
        specifications=specifications,
        consent=LedgerConsent(ConsentServiceStub(bus.channel("consent", identity=identity))),
        verifier=Verifier(public_keys(read_vkeys(settings.basis_keys)), ledger=ledger_id(settings.ledger)),
        clock=SystemClock(),
    )


def _folds(bus: Bus, held: Leases, learning: Learning) -> dict[str, Task]:
    """One fold per stream, over the partitions that this replica holds."""
    fold = partial(folds.fold, bus, held)
    return {
        "decisions": partial(
            fold,
            DECISIONS,
            apply=learning.apply_decisions,
            load_position=learning.decisions_position,
            settings=GATHERED,
        ),
        "outcomes": partial(fold, OUTCOMES, apply=learning.apply_outcomes, load_position=learning.outcomes_position),
    }
