"""A ledger's log in a PostgreSQL of its own, durable, filled as the writer fills it, for the measures of signer and proofs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from consent_service.domain.leaf import Leaf, LeafClass, encode
from consent_service.signing.signer import Identity
from embedded import files
from embedded.postgres import Postgres
from servicekit.basis import ledger_id
from servicekit.clock import SystemClock
from servicekit.migrate import migrate
from servicekit.provision import DATABASE, every_role, provision
from tlog import CompactRange, Ed25519Signer, TileId, extend_tiles, leaf_hashes, right_edge

ORIGIN = "bank.example/consent/bench"
LEDGER = ledger_id("bench")
IDENTITY = Identity(ORIGIN, LEDGER, (Ed25519Signer(ORIGIN, bytes(range(32))),))
SUBJECT_FIELDS = 128
"""Random bytes of a subject's leaf: commitments, tag and chain."""

HEAD = """
INSERT INTO log_head (ledger_id, epoch, size, root, frontier, recorded_us) VALUES ($1, 1, $2, $3, $4, $5)
ON CONFLICT (ledger_id) DO UPDATE SET size = $2, root = $3, frontier = $4, recorded_us = $5
"""
TILES = """
INSERT INTO log_tile (level, n, hashes) SELECT * FROM unnest($1::smallint [], $2::bigint [], $3::bytea [])
ON CONFLICT (level, n) DO UPDATE SET hashes = excluded.hashes
"""


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[dict[str, str]]:
    """DSNs by role of a fresh, migrated, durable database."""
    server = Postgres(folder)
    server.start()
    try:
        passwords = files.passwords(folder / "roles.secrets", every_role(["consent"]))
        await provision(server.dsn(), ["consent"], passwords)
        dsns = {role: server.dsn(DATABASE, role=role, password=word) for role, word in passwords.items()}
        await migrate(dsns["consent_owner"], "consent", "post")
        yield dsns | {"postgres": server.dsn(DATABASE)}
    finally:
        server.remove()


class Appender:
    """Appends leaves, tiles and head in one transaction a batch."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._tree = CompactRange.empty()
        self._edge: dict[TileId, bytes] = {}

    @classmethod
    async def open(cls, dsn: str) -> Appender:
        """As the writer."""
        appender = cls(await asyncpg.connect(dsn, server_settings={"search_path": "consent"}))
        await appender._store(0, [], {})
        return appender

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._tree.size

    async def append(self, count: int) -> int:
        """Append this many leaves; the size afterwards, which is committed."""
        now, size = SystemClock().now_us(), self._tree.size
        leaves = [a_leaf(now) for _ in range(count)]
        hashes = leaf_hashes(leaves)
        changed = extend_tiles(size, self._edge, hashes)
        self._tree.extend(hashes)
        held = {**self._edge, **changed}
        self._edge = {tile: held[tile] for tile in right_edge(self._tree.size)}
        await self._store(now, list(enumerate(leaves, size)), changed)
        return self._tree.size

    async def _store(self, now: int, rows: Sequence[tuple[int, bytes]], tiles: dict[TileId, bytes]) -> None:
        async with self._connection.transaction():
            if rows:
                await self._connection.copy_records_to_table("log_entry", records=rows, schema_name="consent")
                levels, numbers = [tile.level for tile in tiles], [tile.index for tile in tiles]
                await self._connection.execute(TILES, levels, numbers, list(tiles.values()))
            tree = self._tree
            await self._connection.execute(HEAD, LEDGER, tree.size, tree.root(), list(tree.hashes), now)

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()


def a_leaf(now: int) -> bytes:
    """As a subject's looks to whoever has no key."""
    said = os.urandom(SUBJECT_FIELDS)
    return encode(
        Leaf(LeafClass.SUBJECT, bytes.fromhex(LEDGER), 1, now, *(said[at : at + 32] for at in (0, 32, 64, 96)))
    )


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the worst, rounded."""
    ordered = sorted(values)
    at = {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}
    return {name: round(value, 3) for name, value in at.items()}
