"""Verifying a ledger where it lives: leaves, tiles, checkpoints, head and open bodies, all in one snapshot of the database.

The role needs SELECT on log_head, log_entry, log_tile, checkpoint, event, registry and notice; a replica will do. Subjects' bodies are not opened: their
salts are derived from keys that an auditor does not have.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any, Final, TypeVar

import asyncpg

from consent_service.domain.export import EntryLine, NoticeLine
from consent_service.domain.leaf import LeafClass
from consent_service.domain.shapes import NoticeKey, document_notices
from consent_service.domain.verification import (
    TILE_BITS,
    Assembly,
    Checked,
    Edge,
    Refused,
    Task,
    blocks,
    check_block,
    check_notices,
    check_tiles,
)
from consent_service.verifying import Progress, Report, Trust, class_counts, in_processes, quiet, require_signed
from servicekit.postgres import Connection, translated
from tlog import Checkpoint, leaf_hashes

T = TypeVar("T")

SCHEMA: Final = "consent"
BLOCKS_AT_ONCE: Final = 8
"""Blocks that one process reads through one connection."""

_HEAD: Final = "SELECT ledger_id, size, root, frontier FROM log_head"
_NOTES: Final = "SELECT size, root, note FROM checkpoint ORDER BY size"
_LEAVES: Final = "SELECT idx, leaf FROM log_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"
_BODIES: Final = "SELECT idx, pub FROM event WHERE idx >= $1 AND idx < $2 AND class <> $3"
_OTHER_CLASS: Final = """
SELECT idx FROM event JOIN log_entry USING (idx)
WHERE idx >= $1 AND idx < $2 AND class <> get_byte(leaf, 1) ORDER BY idx LIMIT 1
"""
_TILES: Final = "SELECT n, hashes FROM log_tile WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n"
_REGISTRIES: Final = (
    "SELECT idx, pub, document FROM event FULL JOIN registry USING (idx) WHERE class = $1 OR class IS NULL"
)
_WORDS: Final = "SELECT id, version, locale, bytes FROM notice ORDER BY id, version, locale"
_ABOVE: Final = "SELECT count(*) FROM log_tile WHERE level >= $1"
_BEYOND: Final = """
SELECT 'log_entry', (SELECT count(*) FROM log_entry WHERE idx >= $1)
UNION ALL SELECT 'event', (SELECT count(*) FROM event WHERE idx >= $1)
UNION ALL SELECT 'log_tile', (SELECT count(*) FROM log_tile WHERE level = 0 AND n >= ($1 + 255) / 256)
"""
NO_END: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Source:
    """A snapshot of a database, which other connections may look at too."""

    dsn: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class Head:
    """What the database says of its own end, and the notes that it holds."""

    ledger: str
    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    notes: Sequence[Any]


@dataclass(slots=True)
class _Session:
    """The snapshot that everybody looks at, held open by a connection that does nothing else meanwhile."""

    runner: asyncio.Runner
    connection: Connection
    source: Source

    def run(self, asked: Coroutine[Any, Any, T]) -> T:
        """Ask the database something."""
        return self.runner.run(asked)


@contextmanager
def _session(dsn: str) -> Iterator[_Session]:
    with asyncio.Runner() as runner:
        connection = runner.run(_connected(dsn))
        try:
            snapshot = runner.run(connection.fetchval("SELECT pg_export_snapshot()"))
            yield _Session(runner, connection, Source(dsn, snapshot))
        finally:
            runner.run(connection.close())


@translated()
async def _connected(dsn: str) -> Connection:
    connection = await asyncpg.connect(
        dsn, server_settings={"search_path": SCHEMA, "application_name": "ledger verify"}
    )
    await connection.execute(
        "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    )
    return connection


def verify_database(dsn: str, trust: Trust, *, progress: Progress = quiet, processes: int | None = None) -> Report:
    """Verify the whole ledger of a database; Refused with the first thing that does not hold, Unavailable when it is away."""
    known = trust.known_checkpoints()
    with _session(dsn) as session:
        head = session.run(_head(session.connection))
        signed = [_checkpoint(row, trust) for row in head.notes]
        assembly, tile_roots = Assembly(Edge(0, ())), list[bytes]()
        work = _work(session.source, head, [checkpoint.size for checkpoint in (*signed, *known)])
        for checked in chain.from_iterable(in_processes(work, processes)):
            assembly.add(checked)
            tile_roots += checked.tile_roots
            progress(assembly.end, head.size)
        session.run(_check_upper_tiles(session.connection, tile_roots))
        notices = session.run(_check_words(session.connection))
    _check_head(head, assembly)
    return Report(
        ledger=head.ledger,
        first=0,
        end=head.size,
        signed=require_signed(assembly, signed, known, whole=False),
        root=head.root.hex(),
        checkpoints=len(signed),
        known=len(known),
        classes=class_counts(assembly),
        opened=assembly.opened,
        notices=notices,
    )


@translated()
async def _head(connection: Connection) -> Head:
    rows = await connection.fetch(_HEAD)
    if len(rows) != 1:
        raise Refused("HEAD", "the database has no head, or several")
    ledger, size, root, frontier = rows[0]
    head = Head(_hex(ledger), size, root, tuple(frontier), await connection.fetch(_NOTES))
    for table, count in await connection.fetch(_BEYOND, head.size):
        if count:
            raise Refused("HEAD", f"{count} rows of {table} lie beyond the head")
    return head


def _checkpoint(row: Mapping[str, Any], trust: Trust) -> Checkpoint:
    checkpoint = trust.verify(_bytes(row["note"]) or b"")
    if (checkpoint.size, checkpoint.root) != (row["size"], row["root"]):
        raise Refused("CHECKPOINT", f"the columns of the checkpoint at {row['size']} are not what its note says")
    return checkpoint


def _check_head(head: Head, assembly: Assembly) -> None:
    if assembly.end != head.size or assembly.root(head.size) != head.root or assembly.edge.hashes != head.frontier:
        raise Refused("HEAD", "the head is not what the leaves give")


def _work(source: Source, head: Head, sizes: Iterable[int]) -> Iterable[partial[list[Checked]]]:
    wanted, ledger = sorted(set(sizes)), bytes.fromhex(head.ledger)
    tasks = [
        Task(ledger, span.start, span.stop, tuple(size for size in wanted if span.start < size <= span.stop))
        for span in blocks(0, head.size)
    ]
    for place in range(0, len(tasks), BLOCKS_AT_ONCE):
        yield partial(check_rows, source, tasks[place : place + BLOCKS_AT_ONCE])


def check_rows(source: Source, tasks: Sequence[Task]) -> list[Checked]:
    """Check some blocks, in a process or between two questions of the session: with a connection of its own."""
    return asyncio.run(_check_rows(source, tasks))


@translated()
async def _check_rows(source: Source, tasks: Sequence[Task]) -> list[Checked]:
    connection = await _connected(source.dsn)
    try:
        await connection.execute(f"SET TRANSACTION SNAPSHOT '{source.snapshot}'")
        return [await _check_block(connection, task) for task in tasks]
    finally:
        await connection.close()


async def _check_block(connection: Connection, task: Task) -> Checked:
    rows = await connection.fetch(_LEAVES, task.first, task.end)
    bodies = _pairs(await connection.fetch(_BODIES, task.first, task.end, LeafClass.SUBJECT.value))
    entries = [EntryLine(index, leaf, _bytes(bodies.get(index))) for index, leaf in rows]
    checked = check_block(task, entries)
    other = await connection.fetchval(_OTHER_CLASS, task.first, task.end)
    if other is not None:
        raise Refused("EVENT", f"event {other} is of another class than its leaf")
    lowest = leaf_hashes([entry.leaf for entry in entries])
    stored = await connection.fetch(_TILES, 0, task.first >> TILE_BITS, -(-task.end >> TILE_BITS))
    return replace(checked, tile_roots=tuple(check_tiles(0, task.first >> TILE_BITS, lowest, _pairs(stored))))


@translated()
async def _check_upper_tiles(connection: Connection, roots: Sequence[bytes]) -> None:
    """Level by level, from the roots of the full tiles below; above the last level there must be nothing."""
    level = 1
    while roots:
        stored = await connection.fetch(_TILES, level, 0, NO_END)
        roots = check_tiles(level, 0, roots, _pairs(stored))
        level += 1
    if await connection.fetchval(_ABOVE, level):
        raise Refused("TILE", f"there are tiles from level {level} on, where there is no tree")


@translated()
async def _check_words(connection: Connection) -> int:
    """Each document is the one that its entry names, and each notice has the words that a document names. How many notices there are."""
    vouched: dict[NoticeKey, set[str]] = {}
    for index, pub, document in await connection.fetch(_REGISTRIES, LeafClass.REGISTRY.value):
        try:
            for key, digest in document_notices(json.loads(pub), document):
                vouched.setdefault(key, set()).add(digest)
        except (ValueError, KeyError, TypeError):
            raise Refused("REGISTRY", f"the document of entry {index} is not the one that it names") from None
    return check_notices([NoticeLine(*row) for row in await connection.fetch(_WORDS)], vouched)


def _hex(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.hex()


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value


def _pairs(rows: Iterable[Any]) -> dict[int, Any]:
    return {number: value for number, value in rows}  # noqa: C416  rows are no tuples
