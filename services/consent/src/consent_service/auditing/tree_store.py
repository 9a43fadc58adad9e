"""Checkpoints and tiles in PostgreSQL: a role that may read them will do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consent_service.auditing.proofs import SignedRoot, TreeStore
from consent_service.signing.derivation import Tiles
from servicekit import postgres, queries
from tlog import TileId

sql = queries.load("consent_service.auditing")


class PostgresTree:
    """One statement each."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def latest(self) -> SignedRoot | None:
        """By the primary key."""
        async with postgres.connection(self._pool) as connection:
            return _signed(await sql.checkpoint_latest(connection))

    async def of_size(self, size: int) -> SignedRoot | None:
        """By the primary key."""
        async with postgres.connection(self._pool) as connection:
            return _signed(await sql.checkpoint_of_size(connection, size=size))

    async def at_least(self, size: int) -> SignedRoot | None:
        """By the primary key."""
        async with postgres.connection(self._pool) as connection:
            return _signed(await sql.checkpoint_at_least(connection, size=size))

    async def published_by(self, at_us: int) -> SignedRoot | None:
        """By the time of publishing."""
        async with postgres.connection(self._pool) as connection:
            return _signed(await sql.checkpoint_published_by(connection, at_us=at_us))

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """By the primary key."""
        ids = list(wanted)
        levels, numbers = [tile.level for tile in ids], [tile.index for tile in ids]
        async with postgres.connection(self._pool) as connection:
            rows = await sql.tree_tiles(connection, levels=levels, numbers=numbers)
        return {TileId(row["level"], row["n"]): row["hashes"] for row in rows}


def _signed(row: Any) -> SignedRoot | None:
    return None if row is None else SignedRoot(row["size"], row["root"], row["note"], row["published_us"])


_: type[TreeStore] = PostgresTree
