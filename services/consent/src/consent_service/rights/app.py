"""The part of the composition root that is about people's rights: cases, what deletes, what destroys keys, and what compares both databases."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from assent.consent.v1.rights_service_pb2_grpc import add_RightsServiceServicer_to_server
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.tree_store import PostgresTree
from consent_service.forwarding import Forwarding
from consent_service.keys import (
    CachedSubjectKeys,
    Eventual,
    EventualKeyShredder,
    KekFolder,
    KeyShredder,
    PostgresKeyShredder,
    SubjectKeys,
)
from consent_service.ports import Ledger, Writer
from consent_service.readiness import known
from consent_service.reading import StatementKey
from consent_service.rights.exporting import Copying
from consent_service.rights.ports import Cases, Eraser
from consent_service.rights.reconciling import ReconciledKeys, Reconciling
from consent_service.rights.running import Runner, With
from consent_service.rights.store import PostgresCases, PostgresEraser, PostgresRecords
from consent_service.rights_rpc import RightsPorts, RightsServicer
from consent_service.settings import Settings
from servicekit import postgres
from servicekit.app import Check, Servicer, Task
from servicekit.basis import ledger_id
from servicekit.clock import SystemClock
from servicekit.gates import Gate

SCHEMA: Final = "consent"
RIGHTS_WRITES: Final = ("AdvanceErasure",)
"""The methods that only the writer serves over NATS."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What can end a person's record here. `keys` are the subjects' keys, given out once both databases agree."""

    eraser: Eraser
    shredder: KeyShredder
    keys: SubjectKeys
    tasks: Mapping[str, Task]
    checks: Mapping[str, Check]


@dataclass(frozen=True, slots=True)
class Lent:
    """What the rest of the service lends to the rights' part."""

    ledger: Ledger
    writer: Writer
    gate: Gate
    cached: CachedSubjectKeys
    key: StatementKey
    forwarding: Forwarding


async def ending(settings: Settings, opened: AsyncExitStack, keys: SubjectKeys | None) -> Ending | None:
    """None where the role that deletes, or the one that destroys keys, is not configured."""
    deleting, shredding, folder = settings.eraser.database, settings.keys.shredder_database, settings.keys.folder
    if deleting is None or shredding is None or folder is None or keys is None:
        return None
    pool = await opened.enter_async_context(postgres.pool(deleting, schema=SCHEMA))
    clock = SystemClock()
    eventual: Eventual[KeyShredder] = Eventual(
        shredding, lambda shredder: PostgresKeyShredder(shredder, KekFolder(folder), clock)
    )
    eraser, shredder = PostgresEraser(pool), EventualKeyShredder(eventual)
    reconciling = Reconciling(eraser, shredder, keys)
    return Ending(
        eraser,
        shredder,
        ReconciledKeys(keys, reconciling.done),
        {"shredder": eventual.hold, "reconciling": reconciling.run},
        {"reconciled": known(reconciling.done, "The keys and the ledger were not compared yet.", "KEYS_UNAVAILABLE")},
    )


def serving(
    settings: Settings, ends: Ending, cases_pool: postgres.Pool, reading: postgres.Pool, lent: Lent
) -> tuple[Servicer, Task]:
    """The servicer, and the task that takes the steps of cases where the writer is."""
    cases: Cases = PostgresCases(cases_pool)
    clock = SystemClock()
    given = With(
        cases=cases,
        eraser=ends.eraser,
        shredder=ends.shredder,
        cached=lent.cached,
        ledger=lent.ledger,
        writer=lent.writer,
        clock=clock,
        key=lent.key,
        ledger_id=ledger_id(settings.ledger),
    )
    runner = Runner(given, lent.gate)
    copying = Copying(lent.ledger, PostgresRecords(reading), ends.keys, Proofs(PostgresTree(reading)), lent.key)
    ports = RightsPorts(cases, lent.ledger, runner, copying, clock, lent.forwarding)
    servicer = Servicer(
        add_RightsServiceServicer_to_server, RightsServicer(ports), dict.fromkeys(RIGHTS_WRITES, lent.gate)
    )
    return servicer, runner.run
