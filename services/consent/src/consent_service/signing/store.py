"""The log in PostgreSQL, as the role `consent_signer` sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from consent_service.signing.derivation import Tiles
from consent_service.signing.last_signed import LastSigned
from consent_service.signing.ports import Log, Snapshot
from consent_service.signing.rules import Head, Published, Refused
from servicekit import postgres, queries
from tlog import TileId

sql = queries.load("consent_service.signing")

SCHEMA: Final = "consent"
INSERTED: Final = "INSERT 0 1"


class PostgresSnapshot:
    """One moment of the log, seen by one transaction."""

    def __init__(self, connection: postgres.Connection) -> None:
        self._connection = connection

    async def head(self) -> Head | None:
        """One row, or none."""
        return _head(await sql.head(self._connection))

    async def latest(self) -> Published | None:
        """By the primary key."""
        row = await sql.latest_checkpoint(self._connection)
        return Published(row["size"], row["root"]) if row else None

    async def leaves(self, first: int, end: int) -> Sequence[bytes]:
        """Every index once, or Refused."""
        rows = await sql.leaves(self._connection, first=first, past=end)
        for index, row in enumerate(rows, first):
            if row["idx"] != index:
                raise _missing(index)
        if len(rows) != end - first:
            raise _missing(first + len(rows))
        return [row["leaf"] for row in rows]

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """By the primary key."""
        ids = list(wanted)
        if not ids:
            return {}
        levels, numbers = [tile.level for tile in ids], [tile.index for tile in ids]
        rows = await sql.tiles(self._connection, levels=levels, numbers=numbers)
        return {TileId(row["level"], row["n"]): row["hashes"] for row in rows}


class PostgresLog:
    """The ledger's database."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """A read-only transaction that sees one moment."""
        async with postgres.transaction(self._pool, isolation="repeatable_read", readonly=True) as connection:
            yield PostgresSnapshot(connection)

    async def head(self) -> Head | None:
        """The head now."""
        async with postgres.connection(self._pool) as connection:
            return _head(await sql.head(connection))

    async def publish(self, signed: LastSigned, now_us: int) -> None:
        """Insert, or compare with what is there."""
        async with postgres.connection(self._pool) as connection:
            status = await sql.publish(
                connection, size=signed.size, root=signed.root, note=signed.note, published_us=now_us
            )
            if status != INSERTED and await sql.root_at(connection, size=signed.size) != signed.root:
                raise Refused("Another checkpoint of that size is published.", reason="CHECKPOINT")


def _head(row: Any) -> Head | None:
    if row is None:
        return None
    return Head(row["ledger_id"], row["epoch"], row["size"], row["root"], tuple(row["frontier"]))


def _missing(index: int) -> Refused:
    return Refused(f"Entry {index}: It is not there.", reason="LEAF")


_log: type[Log] = PostgresLog
_snapshot: type[Snapshot] = PostgresSnapshot
