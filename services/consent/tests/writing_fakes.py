"""A writer on a real database, with keys in memory and a signer that says yes: what tests of the use cases stand on."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
from consent_fakes import LEDGER, NOW, Bench
from key_fakes import MemoryKeys

from consent_service.keys import CachedSubjectKeys
from consent_service.ports import Confirmations
from consent_service.registries import Registries
from consent_service.storage import PostgresLog
from consent_service.store import PostgresLedger
from consent_service.writer import LedgerWriter, With
from servicekit import postgres
from servicekit.clock import FixedClock
from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.settings import DatabaseSettings
from testkit.databases import Database

SCHEMA = "consent"


@dataclass
class Agreeing:
    """A signer that has seen everything; `away` and `forked` make it say no."""

    away: bool = False
    forked: bool = False
    asked: list[tuple[int, bytes, int]] = field(default_factory=list)

    async def confirm(self, size: int, root: bytes, epoch: int) -> None:
        self.asked.append((size, root, epoch))
        if self.away:
            raise Unavailable(reason="NO_SIGNER")
        if self.forked:
            raise FailedPrecondition(reason="FORK")


_: type[Confirmations] = Agreeing


def role_settings(database: Database, role: str, **changed) -> DatabaseSettings:
    """As one of the ledger's further roles."""
    return DatabaseSettings(dsn=database.dsn_of(role), **changed)


@asynccontextmanager
async def role_pool(database: Database, role: str, **changed):
    async with postgres.pool(role_settings(database, role, **changed), schema=SCHEMA) as pool:
        yield pool


@asynccontextmanager
async def candidate(database: Database, *, keys=None, clock=None, ledger=LEDGER, name="a", **changed):
    """A replica's candidate for the writer, at work."""
    async with role_pool(database, "consent_writer", max_size=3) as pool:
        given = With(
            log=changed.pop("log", PostgresLog)(pool, ledger),
            keys=CachedSubjectKeys(keys or MemoryKeys()),
            registries=Registries(),
            clock=clock or FixedClock(NOW),
            confirmations=changed.pop("signer", None) or Agreeing(),
            name=name,
            **{"random": os.urandom, **changed},
        )
        writer = LedgerWriter(given)
        running = asyncio.create_task(writer.run())
        try:
            yield writer
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


class DatabaseBench(Bench):
    """The use cases on a database."""

    def __init__(self, database: Database, keys: MemoryKeys, *given) -> None:
        super().__init__(*given)
        self.database = database
        self.keys = keys

    async def entomb(self, subject: str) -> None:
        """A tombstone, and no key: what an erasure leaves."""
        await self.keys.destroy([subject])
        await self.execute(
            "insert into subject_state (subject_id, status, root, members, seq, last_idx, last_leaf_hash, statements)"
            " values ($1, 'ERASED', $1, array[$1], 0, 0, decode(repeat('00', 32), 'hex'), '[]')"
            " on conflict (subject_id) do update set status = 'ERASED', root = excluded.root, survivor = null,"
            " link = null, members = excluded.members, sealed = '{}', statements = '[]'",
            subject,
        )

    async def execute(self, statement: str, *values) -> str:
        """As the administrator, who can do everything."""
        async with self.connected() as connection:
            return await connection.execute(statement, *values)

    async def fetch(self, statement: str, *values):
        """As the administrator."""
        async with self.connected() as connection:
            return await connection.fetch(statement, *values)

    @asynccontextmanager
    async def connected(self):
        """As the administrator."""
        connection = await asyncpg.connect(self.database.admin_dsn, server_settings={"search_path": SCHEMA})
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def writing_bench(database: Database, *, clock=None, **changed):
    """The use cases on a database, with a writer that writes."""
    clock, keys = clock or FixedClock(NOW), changed.pop("keys", None) or MemoryKeys()
    async with (
        role_pool(database, "consent_reader") as pool,
        candidate(database, keys=keys, clock=clock, **changed) as writer,
    ):
        async with asyncio.timeout(10):
            await writer.gate.opened()
        yield DatabaseBench(database, keys, PostgresLedger(pool, LEDGER, keys), writer, clock)
