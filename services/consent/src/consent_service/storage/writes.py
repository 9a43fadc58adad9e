"""The ledger as its one writer holds it: a session of PostgreSQL that has the advisory lock, and one transaction for each batch."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import asyncpg

from consent_service import codec
from consent_service.batching import Chain, First, Recalled
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import SALT_PUB, SubjectKey
from consent_service.domain.entries import Entry
from consent_service.domain.registry import NoticeId
from consent_service.log import End, Log, Session
from consent_service.ports import NoticeBytes, Opened, Published
from consent_service.results import Stored
from consent_service.sealing_batch import EVENT_COLUMNS, Batch
from consent_service.storage.rows import (
    bare_head,
    entry_of,
    notice_of,
    primary,
    published_of,
    sql,
    state_of,
    text_array,
    unavailable,
)
from servicekit import postgres
from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.postgres import translated
from tlog import EMPTY_ROOT, CompactRange, TileId, right_edge

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

# Without statistics of the tables a look-up by request id would become a scan. A session whose client vanished ends within seconds.
SETTINGS: Final = "SET enable_seqscan = off; SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"


class _Moved(Exception):
    """Nothing was stored: the head is not where it was left."""


def _working(method: F) -> F:
    """Work in the session. Once an answer did not come, nothing more is asked of it: a driver in the middle of a message has no way back."""

    @functools.wraps(method)
    async def worked(self: PostgresSession, *args: Any, **kwargs: Any) -> Any:
        try:
            async with translated():
                return await method(self, *args, **kwargs)
        except (Unavailable, asyncpg.InterfaceError) as error:
            self.end_session()
            raise unavailable() from error

    return cast("F", worked)


class PostgresLog:
    """Where a writer begins its sessions."""

    def __init__(self, pool: postgres.Pool, ledger: str) -> None:
        self._pool = pool
        self._ledger = ledger

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PostgresSession]:
        """A connection of its own."""
        async with primary(), postgres.session(self._pool) as connection, postgres.session(self._pool) as reading:
            for each in (connection, reading):
                await each.execute(SETTINGS)
            yield PostgresSession(connection, reading, self._ledger)


class PostgresSession:
    """One connection that leads and stores, and one that reads meanwhile."""

    def __init__(self, connection: postgres.Connection, reading: postgres.Connection, ledger: str) -> None:
        self._connection = connection
        self._reading = reading
        self._ledger = ledger

    def end_session(self) -> None:
        """Let nobody else use the connections, and the server end what they were at."""
        for each in (self._connection, self._reading):
            if not postgres.is_lost(each):
                each.terminate()

    @_working
    async def lead(self) -> bool:
        """By an advisory lock."""
        found: bool = await sql.try_to_lead(self._connection)
        return found

    @_working
    async def end(self) -> End | None:
        """As stored."""
        row = await sql.head(self._connection)
        return await self._end(row) if row is not None else None

    @_working
    async def take_over(self, writer: str, now_us: int) -> End:
        """Begin the ledger if there is none, and its next epoch."""
        await sql.create_head(self._connection, ledger_id=self._ledger, root=EMPTY_ROOT)
        row = await sql.raise_epoch(self._connection, ledger_id=self._ledger, writer=writer, now_us=now_us)
        if row is None:
            raise FailedPrecondition("This database holds another ledger.", reason="LEDGER_OTHER")
        return await self._end(row)

    async def _end(self, row: Mapping[str, Any]) -> End:
        head, edge = bare_head(row), list(right_edge(row["size"]))
        rows = await sql.tiles(
            self._connection, levels=[tile.level for tile in edge], numbers=[tile.index for tile in edge]
        )
        tiles = {TileId(found["level"], found["n"]): found["hashes"] for found in rows}
        tree = CompactRange.of(head.size, row["frontier"])
        if tree.root() != row["root"]:
            raise FailedPrecondition("The head is not what its own tree gives.", reason="HEAD_BROKEN")
        return End(head, tree, tiles)

    @_working
    async def recall(
        self,
        requests: Collection[str],
        subjects: Collection[str],
        entries: Collection[int] = (),
        notices: Collection[NoticeRef] = (),
    ) -> Recalled:
        """One statement, and others for what is rarely asked."""
        states, chains, known = {}, {}, {}
        for row in await sql.recall(self._reading, requests=list(requests), subjects=list(subjects)):
            subject = row["subject_id"]
            if subject is None:
                known[row["request_id"]] = First(row["seq"], row["last_idx"], row["last_leaf_hash"])
            elif subject not in states:
                states[subject] = state_of(row)
                chains[subject] = Chain(row["seq"], row["last_leaf_hash"])
        return Recalled(known, states, chains, await self._entries(entries), await self._hashes(notices))

    async def _entries(self, indices: Collection[int]) -> dict[int, Entry]:
        """What planning asks of an entry is in its public body and its columns."""
        if not indices:
            return {}
        rows = await sql.events_at(self._reading, indices=list(indices))
        return {row["idx"]: entry_of(row, b"", None) for row in rows}

    async def _hashes(self, notices: Collection[NoticeRef]) -> dict[NoticeId, str]:
        if not notices:
            return {}
        rows = await sql.notice_hashes(self._reading, ids=sorted({ref.id for ref in notices}))
        return {(row["id"], row["version"], row["locale"]): row["sha256"] for row in rows}

    @_working
    async def stored(self, indices: Sequence[int], keys_of: Callable[[Collection[str]], Any]) -> dict[int, Stored]:
        """Entries, opened as far as a receipt shows them."""
        leaves = {row["idx"]: row["leaf"] for row in await sql.leaves_at(self._reading, indices=indices)}
        rows = await sql.events_at(self._reading, indices=indices)
        keys: Mapping[str, SubjectKey] = await keys_of({row["subject_id"] for row in rows if row["subject_id"]})
        return {row["idx"]: _stored(row, leaves[row["idx"]], keys) for row in rows}

    @_working
    async def registry_at(self, index: int) -> Published:
        """By index."""
        row = await sql.registry_at(self._reading, idx=index)
        if row is None:
            raise unavailable()
        return published_of(row)

    @_working
    async def registry_before(self, index: int) -> int | None:
        """The index of the registry in force when the entry was planned."""
        found: int | None = await sql.registry_known_at(self._reading, size=index, recorded_us=(1 << 62))
        return found

    @_working
    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        """By id, version and locale."""
        return notice_of(await sql.notice_bytes(self._reading, id=ref.id, version=ref.version, locale=ref.locale))

    @_working
    async def store(self, batch: Batch, at: Callable[[str], None]) -> bool:
        """One transaction; False when the head has moved, and nothing is stored."""
        try:
            async with self._connection.transaction():
                at("begun")
                await self._append(batch)
                at("appended")
                await self._publish(batch)
                await self._move(batch)
                at("moved")
        except _Moved:
            return False
        at("committed")
        return True

    async def _append(self, batch: Batch) -> None:
        await self._connection.copy_records_to_table("log_entry", records=batch.leaves, columns=("idx", "leaf"))
        await self._connection.copy_records_to_table("event", records=batch.events, columns=EVENT_COLUMNS)

    async def _publish(self, batch: Batch) -> None:
        for found in batch.registries:
            await sql.add_registry(self._connection, idx=found.index, digest=found.digest, document=found.document)
        for notice in batch.notices:
            await sql.add_notice(self._connection, **notice.ref._asdict(), bytes=notice.bytes)

    async def _move(self, batch: Batch) -> None:
        base, head, tree = batch.base, batch.tip.head, batch.tip.tree
        moved = await sql.move_head(
            self._connection,
            **_states(batch),
            levels=[tile.level for tile in batch.tiles],
            numbers=[tile.index for tile in batch.tiles],
            hashes=list(batch.tiles.values()),
            size=base.size,
            epoch=base.epoch,
            new_size=head.size,
            root=tree.root(),
            frontier=tree.hashes,
            recorded_us=head.recorded_us,
            registry_idx=head.registry_index,
            registry_digest=head.registry_digest,
        )
        if moved is None:
            raise _Moved
        for root, subjects in batch.rerooted:
            await sql.reroot(self._connection, root=root, subjects=sorted(subjects))


def _states(batch: Batch) -> dict[str, list[Any]]:
    """The columns of the states that change."""
    states = [state for state, _ in batch.states]
    chains = [chain for _, chain in batch.states]
    return {
        "subjects": [state.subject for state in states],
        "statuses": [state.status.value for state in states],
        "survivors": [state.survivor for state in states],
        "links": [state.link for state in states],
        "members": [text_array(state.members) for state in states],
        "sealed": [text_array(state.sealed) for state in states],
        "seqs": [chain.seq for chain in chains],
        "indices": [state.last_index for state in states],
        "leaf_hashes": [chain.last for chain in chains],
        "statements": [codec.write_statements(state.statements) for state in states],
    }


def _stored(row: Mapping[str, Any], leaf: bytes, keys: Mapping[str, SubjectKey]) -> Stored:
    subject = row["subject_id"]
    salt = keys[subject].sub(SALT_PUB, row["event_id"]) if subject else b""
    return Stored(entry_of(row, b"", None), Opened(leaf, row["pub"].encode(), salt))


_: tuple[type[Log], type[Session]] = (PostgresLog, PostgresSession)
