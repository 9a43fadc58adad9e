"""A ledger in PostgreSQL as the writer stores it, and ways to damage it that only an administrator has."""

from __future__ import annotations

import asyncpg
from signing_fakes import Rows

UPSERT_TILE = """
INSERT INTO log_tile (level, n, hashes) VALUES ($1, $2, $3)
ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes
"""
UPSERT_HEAD = """
INSERT INTO log_head (ledger_id, epoch, size, root, frontier, recorded_us) VALUES ($1, $2, $3, $4, $5, 0)
ON CONFLICT (ledger_id) DO UPDATE SET epoch = $2, size = $3, root = $4, frontier = $5
"""


class StoredLog:
    """One database. `rows` is what the writer believes; `append` stores it in one transaction."""

    def __init__(self, connection):
        self.connection = connection
        self.rows = Rows()

    @classmethod
    async def open(cls, database):
        """As the administrator, whom no revoked right stops."""
        connection = await asyncpg.connect(database.admin_dsn, server_settings={"search_path": "consent"})
        stored = cls(connection)
        stored.rows.append([])
        await stored._store(0, {})
        return stored

    async def grow(self, count, salt=b""):
        """Append this many leaves."""
        size, before = len(self.rows.leaves), dict(self.rows.tiles)
        self.rows.grow(count, salt)
        await self._store(size, before)

    async def append(self, leaves, *, epoch=None):
        """Append these leaves."""
        size, before = len(self.rows.leaves), dict(self.rows.tiles)
        self.rows.append(leaves, epoch=epoch)
        await self._store(size, before)

    async def _store(self, size, before):
        head = self.rows.head
        new = list(enumerate(self.rows.leaves[size:], size))
        changed = [(*tile, data) for tile, data in self.rows.tiles.items() if before.get(tile) != data]
        async with self.connection.transaction():
            await self.connection.copy_records_to_table("log_entry", records=new, schema_name="consent")
            await self.connection.executemany(UPSERT_TILE, changed)
            await self.connection.execute(
                UPSERT_HEAD, head.ledger, head.epoch, head.size, head.root, list(head.frontier)
            )

    async def force(self, *statements):
        """Whatever triggers say."""
        async with self.connection.transaction():
            await self.connection.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                await self.connection.execute(statement)

    async def restore(self, rows):
        """Put back an earlier state of everything, checkpoints included."""
        await self.force("DELETE FROM log_entry; DELETE FROM log_tile; DELETE FROM log_head; DELETE FROM checkpoint")
        self.rows = rows.copy()
        await self._store(0, {})

    async def notes(self):
        """Every published note by size."""
        return {row["size"]: row["note"] for row in await self.connection.fetch("SELECT size, note FROM checkpoint")}
