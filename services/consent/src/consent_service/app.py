"""The composition root: the only place that knows concrete classes. Tests enter here too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from assent.consent.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from assent.consent.v1.checkpoint_key_service_pb2_grpc import (
    CheckpointKeyServiceStub,
    add_CheckpointKeyServiceServicer_to_server,
)
from assent.consent.v1.consent_service_pb2_grpc import (
    ConsentServiceStub,
    RegistryServiceStub,
    add_ConsentServiceServicer_to_server,
    add_RegistryServiceServicer_to_server,
)
from assent.consent.v1.rights_service_pb2_grpc import RightsServiceStub
from consent_service.announcements import Relay
from consent_service.audit_rpc import AuditPorts, AuditServicer
from consent_service.auditing.entries_store import PostgresEntries
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.proving import Audit
from consent_service.auditing.tree_store import PostgresTree
from consent_service.commands import Command
from consent_service.forwarding import SERVICE, Forwarding
from consent_service.keys import (
    CachedSubjectKeys,
    Eventual,
    EventualSubjectKeys,
    KekFolder,
    PostgresSubjectKeys,
    SubjectKeys,
)
from consent_service.ports import Confirmations, Result, Writer
from consent_service.readiness import known
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from consent_service.reliance import folding
from consent_service.reliance.store import PostgresReliance
from consent_service.rights import app as rights
from consent_service.rotation_rpc import CheckpointKeyServicer, RotationPorts
from consent_service.rpc import ConsentServicer, Ports, RegistryServicer
from consent_service.settings import Settings
from consent_service.signing.client import SignerClient
from consent_service.storage import PostgresFeed, PostgresLog, PostgresOutbox
from consent_service.store import PostgresLedger
from consent_service.watching import Feed, Watches
from consent_service.writer import LedgerWriter, With, no_writer
from servicekit import nats, postgres
from servicekit.app import App, Check, Servicer, Task
from servicekit.auth import ServiceIdentity
from servicekit.auth.identity import read_private_key
from servicekit.basis import Verifier, ledger_id, public_keys
from servicekit.clock import SystemClock
from servicekit.gates import Gate
from servicekit.vkeys import read_vkeys, verifier_key

SCHEMA: Final = "consent"
CONSENT_WRITES: Final = (
    "GrantConsent",
    "WithdrawConsent",
    "RecordChoice",
    "RecordObjection",
    "RecordOptOutSignal",
    "SetSubjectLink",
)
REGISTRY_WRITES: Final = ("PublishRegistry",)
KEY_WRITES: Final = ("RecordRotation",)
"""The methods that only the writer serves over NATS."""


class Elsewhere:
    """In place of a writer where this replica cannot be it."""

    async def append(self, command: Command) -> Result:
        """Nobody writes here."""
        del command
        raise no_writer()


@dataclass(frozen=True, slots=True)
class Writing:
    """The writing part of a replica: what appends, its gate, and what runs for it."""

    writer: Writer
    gate: Gate
    cached: CachedSubjectKeys | None = None
    tasks: dict[str, Task] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)


def servicers(ports: Ports, gate: Gate) -> list[Servicer]:
    """Wiring only."""
    return [
        Servicer(add_ConsentServiceServicer_to_server, ConsentServicer(ports), dict.fromkeys(CONSENT_WRITES, gate)),
        Servicer(add_RegistryServiceServicer_to_server, RegistryServicer(ports), dict.fromkeys(REGISTRY_WRITES, gate)),
    ]


def auditing(pool: postgres.Pool, ports: Ports, keys: SubjectKeys | None) -> AuditPorts:
    """What auditors ask; any replica answers."""
    tree = PostgresTree(pool)
    audit = Audit(ports.ledger, PostgresEntries(pool), Proofs(tree), ports.registries, ports.clock, keys)
    return AuditPorts(audit, tree, PostgresReliance(pool))


def rotations(ports: RotationPorts, gate: Gate) -> Servicer:
    """What operators say of the checkpoint key."""
    return Servicer(
        add_CheckpointKeyServiceServicer_to_server, CheckpointKeyServicer(ports), dict.fromkeys(KEY_WRITES, gate)
    )


def statement_key(path: Path, ledger: str) -> StatementKey:
    """The key that signs statements; its id is that of the verifier key named like the ledger."""
    key = read_private_key(path)
    return StatementKey(key, verifier_key(ledger, key.public_key()).key_id)


def verifier(settings: Settings) -> Verifier:
    """Of the statements that this ledger has signed: with the key of today, and those of before that the settings name."""
    own = verifier_key(settings.ledger, read_private_key(settings.statement_key).public_key())
    earlier = read_vkeys(settings.basis_keys) if settings.basis_keys is not None else ()
    return Verifier(public_keys([own, *earlier]), ledger=ledger_id(settings.ledger))


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """Open the databases and the bus."""
    async with AsyncExitStack() as opened:
        pool, folds = await _pools(settings, opened)
        bus = await opened.enter_async_context(nats.connect(settings.nats, settings.service))
        identity = ServiceIdentity(settings.service, read_private_key(settings.auth.service_key))
        tasks: dict[str, Task] = {}
        keys = subject_keys(settings, tasks)
        ends = await rights.ending(settings, opened, keys)
        keys = ends.keys if ends is not None else keys
        ledger = PostgresLedger(pool, ledger_id(settings.ledger), keys)
        await ledger.require_own()
        registries, watches = Registries(), Watches()
        writing = await _writing(settings, opened, bus, SignerClient(bus, identity), keys, registries, watches)
        channel = bus.channel(SERVICE, identity=identity)
        ports = Ports(
            ledger=ledger,
            writer=writing.writer,
            registries=registries,
            clock=SystemClock(),
            key=statement_key(settings.statement_key, settings.ledger),
            consent=Forwarding(writing.gate, ConsentServiceStub(channel)),
            registry=Forwarding(writing.gate, RegistryServiceStub(channel)),
            feed=Feed(ledger_id(settings.ledger), ledger, PostgresFeed(pool), watches),
        )
        audit = auditing(pool, ports, keys)
        rotating = Forwarding(writing.gate, CheckpointKeyServiceStub(channel))
        kept = folding.Folding(PostgresReliance(folds), ledger, registries, verifier(settings))
        ended = _officers(
            settings, ends, folds, pool, ports, writing, Forwarding(writing.gate, RightsServiceStub(channel))
        )
        yield App(
            servicers=[
                *servicers(replace(ports, audit=audit.audit), writing.gate),
                Servicer(add_AuditServiceServicer_to_server, AuditServicer(audit)),
                rotations(RotationPorts(writing.writer, audit.proofs, ports.key, rotating), writing.gate),
                *ended.servicers,
            ],
            subscriptions=[folding.subscription(kept)],
            tasks={**tasks, **ended.tasks, **writing.tasks},
            checks={"database": partial(postgres.check, pool), **writing.checks, **ended.checks},
            on_drain=[watches.drain],
            bus=bus,
        )


async def _pools(settings: Settings, opened: AsyncExitStack) -> tuple[postgres.Pool, postgres.Pool]:
    """What is read with, and what folds decisions and keeps cases."""
    reader = settings.reader.database or settings.database
    folding_settings = settings.database.model_copy(update={"max_size": 4})
    return (
        await opened.enter_async_context(postgres.pool(reader, schema=SCHEMA)),
        await opened.enter_async_context(postgres.pool(folding_settings, schema=SCHEMA)),
    )


def _officers(
    settings: Settings,
    ends: rights.Ending | None,
    folds: postgres.Pool,
    pool: postgres.Pool,
    ports: Ports,
    writing: Writing,
    forwarding: Forwarding,
) -> App:
    """People's rights, where this replica can end a record; nothing otherwise."""
    if ends is None:
        return App(servicers=[])
    cached = writing.cached or CachedSubjectKeys(ends.keys)
    lent = rights.Lent(ports.ledger, writing.writer, writing.gate, cached, ports.key, forwarding)
    servicer, stepping = rights.serving(settings, ends, folds, pool, lent)
    return App(servicers=[servicer], tasks={**ends.tasks, "cases": stepping}, checks=ends.checks)


def subject_keys(settings: Settings, tasks: dict[str, Task]) -> SubjectKeys | None:
    """The subjects' keys, which may come later than the service does; None when they are not configured."""
    database, folder = settings.keys.database, settings.keys.folder
    if database is None or folder is None:
        return None
    clock = SystemClock()
    keys: Eventual[SubjectKeys] = Eventual(database, lambda pool: PostgresSubjectKeys(pool, KekFolder(folder), clock))
    tasks["keys"] = keys.hold
    return EventualSubjectKeys(keys)


async def _writing(
    settings: Settings,
    opened: AsyncExitStack,
    bus: nats.Bus,
    confirmations: Confirmations,
    keys: SubjectKeys | None,
    registries: Registries,
    watches: Watches,
) -> Writing:
    """A candidate for the writer, with its relay, where database and keys are configured for one."""
    database, ledger = settings.writer.database, ledger_id(settings.ledger)
    if database is None or keys is None:
        return Writing(Elsewhere(), Gate())
    pool = await opened.enter_async_context(postgres.pool(database, schema=SCHEMA))
    cached = CachedSubjectKeys(keys)
    given = With(
        log=PostgresLog(pool, ledger),
        keys=cached,
        registries=registries,
        clock=SystemClock(),
        confirmations=confirmations,
        name=settings.instance,
    )
    writer = LedgerWriter(given)
    relay = Relay(PostgresOutbox(pool), bus, ledger, writer.gate, writer.appended, watches.wake)
    return Writing(
        writer,
        writer.gate,
        cached,
        {"writer": writer.run, "relay": relay.run},
        {"writer": known(writer.settled, "Nobody knows yet who writes.", "NO_WRITER")},
    )
