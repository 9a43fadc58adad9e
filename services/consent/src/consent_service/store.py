"""The ledger in PostgreSQL: the only place that knows SQL and driver errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consent_service import codec
from consent_service.announcements import announced, announcement
from consent_service.domain.choices import NoticeRef
from consent_service.domain.entries import Entry, Head, Lineage
from consent_service.domain.fold import SubjectState, status_of, unknown
from consent_service.domain.words import Kind, Status
from consent_service.ports import Commit, Ledger, NoticeBytes, Published, Result, Snapshot, Writing
from servicekit import outbox, postgres, queries, streams
from servicekit.clock import Clock
from servicekit.errors import Conflict, FailedPrecondition, Unavailable
from servicekit.partitions import partition_of

sql = queries.load("consent_service")


class PostgresLedger:
    """The ledger on its primary. No replica and no memory answers for it."""

    def __init__(self, pool: postgres.Pool, ledger: str) -> None:
        self._pool = pool
        self._ledger = ledger
        self._epoch = 0
        # One write at work and one at the door: the others wait here, and leave the connections to checks.
        self._writers = asyncio.Semaphore(2)

    async def create(self, clock: Clock) -> None:
        """Begin the ledger unless it exists; raises FailedPrecondition when the database holds another one."""
        async with _primary(), postgres.transaction(self._pool) as connection:
            now_us = clock.now_us()
            if await sql.create_head(connection, ledger_id=self._ledger, recorded_us=now_us) == "INSERT 0 1":
                await sql.create_epoch(connection, epoch=1, start_size=0)
                await sql.add_entries(connection, [_row(_creation(self._ledger, now_us))])
            head = _head(await sql.lock_head(connection))
        if head.ledger != self._ledger:
            raise FailedPrecondition("This database holds another ledger.", reason="LEDGER_OTHER")

    async def read(self, subject: str, *, epoch: int = 0) -> Snapshot:
        """One snapshot; a primary that has been left behind is not believed."""
        async with _primary(), postgres.connection(self._pool) as connection:
            row = await sql.read_subject(connection, subject_id=subject, epoch=epoch)
        if row is None or row["standby"] or row["epoch"] < self._epoch:
            raise _unavailable()
        if row["known"] and row["members"] is None:
            raise _unavailable()  # a subject points to nobody: never the same as having said nothing
        self._epoch = row["epoch"]
        known = row["known"]
        return Snapshot(
            head=_head(row),
            members=frozenset(row["members"]) if known else frozenset({subject}),
            statements=codec.read_statements(row["statements"]) if known else (),
            next_start=row["next_start"],
            status=status_of(row["sealed"], erased=row["erased"]) if known else Status.LIVE,
            subject=row["root"] if known else subject,
        )

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Writing]:
        """One transaction that holds the head row."""
        async with self._writers, _primary(), postgres.transaction(self._pool) as connection:
            yield PostgresWriting(connection, _head(await sql.lock_head(connection)))

    async def registry_at(self, index: int) -> Published:
        """By index."""
        async with _primary(), postgres.connection(self._pool) as connection:
            return await _registry_at(connection, index)

    async def registry(self, digest: str = "") -> Published | None:
        """By digest."""
        async with _primary(), postgres.connection(self._pool) as connection:
            row = await sql.registry_latest(connection, digest=digest)
        return _published(row) if row else None

    async def registry_known_at(self, recorded_us: int, *, size: int) -> int | None:
        """By time."""
        async with _primary(), postgres.connection(self._pool) as connection:
            found: int | None = await sql.registry_known_at(connection, recorded_us=recorded_us, size=size)
            return found

    async def recorded_at(self, index: int) -> int | None:
        """By index."""
        async with _primary(), postgres.connection(self._pool) as connection:
            found: int | None = await sql.recorded_at(connection, idx=index)
            return found

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        """By id, version and locale."""
        async with _primary(), postgres.connection(self._pool) as connection:
            return await _notice(connection, ref)

    async def history(self, subject: str, *, size: int, known_us: int, as_of_us: int) -> Sequence[Entry]:
        """In index order."""
        async with _primary(), postgres.connection(self._pool) as connection:
            rows = sql.history(connection, subject_id=subject, size=size, known_us=known_us, as_of_us=as_of_us)
            return [codec.read_entry(row) async for row in rows]

    async def page(self, subject: str, *, after: int, size: int, amount: int) -> Sequence[Entry]:
        """In index order."""
        async with _primary(), postgres.connection(self._pool) as connection:
            rows = sql.page(connection, subject_id=subject, after=after, size=size, amount=amount)
            return [codec.read_entry(row) async for row in rows]


class PostgresWriting:
    """A write: the transaction, and the head it locked."""

    def __init__(self, connection: postgres.Connection, head: Head) -> None:
        self._connection = connection
        self._head = head

    @property
    def head(self) -> Head:
        """As it was locked."""
        return self._head

    async def registry_at(self, index: int) -> Published:
        """By index."""
        return await _registry_at(self._connection, index)

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        """By id, version and locale."""
        return await _notice(self._connection, ref)

    async def first_result(self, request_id: str) -> tuple[bytes, Result] | None:
        """From the request table."""
        row = await sql.first_result(self._connection, request_id=request_id)
        return (bytes(row["content_hash"]), codec.read_result(row["result"])) if row else None

    async def lineage(self, subject: str) -> Lineage:
        """The subject first, the one that answers last."""
        rows = [row async for row in sql.lineage(self._connection, subject_id=subject)]
        return tuple(map(_state, rows)) or (unknown(subject),)

    async def entry(self, index: int) -> Entry | None:
        """By index."""
        row = await sql.entry_at(self._connection, idx=index)
        return codec.read_entry(row) if row else None

    async def commit(self, commit: Commit) -> None:
        """Entries, states, registry, announcements, the result and the head: all or nothing."""
        entries = commit.write.entries
        await sql.add_entries(self._connection, [_row(entry) for entry in entries])
        for state in commit.write.states:
            await sql.keep_state(self._connection, **_state_row(state))
        for root, subjects in commit.write.rerooted:
            await sql.reroot(self._connection, root=root, subjects=sorted(subjects))
        await self._publish_registry(commit)
        for entry in filter(announced, entries):
            await self._announce(entry)
        await sql.keep_result(
            self._connection,
            request_id=commit.request.id,
            content_hash=commit.request.content_hash,
            result=codec.write_result(commit.result),
        )
        if entries:
            await self._advance(commit)

    async def _publish_registry(self, commit: Commit) -> None:
        found = commit.registry
        if found is not None:
            await sql.add_registry(self._connection, idx=found.index, digest=found.digest, document=found.document)
        for notice in commit.notices:
            await sql.add_notice(self._connection, **notice.ref._asdict(), bytes=notice.bytes)

    async def _announce(self, entry: Entry) -> None:
        assert entry.subject is not None
        previous = await sql.previous_on_partition(
            self._connection, partition=partition_of(entry.subject), idx=entry.index
        )
        envelope = announcement(entry, self._head.ledger, previous)
        await outbox.add(self._connection, envelope, streams.subject("consent", entry.subject))

    async def _advance(self, commit: Commit) -> None:
        moved = await sql.advance_head(
            self._connection,
            size=self._head.size,
            epoch=self._head.epoch,
            new_size=self._head.size + len(commit.write.entries),
            recorded_us=commit.write.entries[-1].recorded_us,
            registry_idx=commit.registry.index if commit.registry else None,
            registry_digest=commit.registry.digest if commit.registry else None,
        )
        if moved != "UPDATE 1":
            raise Conflict("Another writer moved the head.", reason="HEAD_MOVED")


@asynccontextmanager
async def _primary() -> AsyncIterator[None]:
    """Whatever keeps the primary from answering, the caller hears that consent is unavailable."""
    try:
        yield
    except Unavailable as away:
        raise _unavailable() from away


async def _registry_at(connection: postgres.Connection, index: int) -> Published:
    row = await sql.registry_at(connection, idx=index)
    if row is None:
        raise _unavailable()
    return _published(row)


async def _notice(connection: postgres.Connection, ref: NoticeRef) -> NoticeBytes | None:
    row = await sql.notice_bytes(connection, id=ref.id, version=ref.version, locale=ref.locale)
    if row is None:
        return None
    return NoticeBytes(NoticeRef(row["id"], row["version"], row["locale"], row["sha256"]), bytes(row["bytes"]))


def _unavailable() -> Unavailable:
    return Unavailable("The consent ledger does not answer.", reason="CONSENT_UNAVAILABLE")


def _creation(ledger: str, now_us: int) -> Entry:
    return Entry(
        index=0,
        epoch=1,
        kind=Kind.LEDGER,
        recorded_us=now_us,
        event_us=now_us,
        note={"event": "CREATED", "ledger": ledger},
    )


def _head(row: Mapping[str, Any] | None) -> Head:
    if row is None:
        raise _unavailable()
    return Head(
        ledger=row["ledger_id"],
        epoch=row["epoch"],
        size=row["size"],
        recorded_us=row["recorded_us"],
        registry_index=row["registry_idx"],
        registry_digest=row["registry_digest"],
    )


def _row(entry: Entry) -> dict[str, Any]:
    statement = entry.statement
    return {
        "idx": entry.index,
        "epoch": entry.epoch,
        "kind": entry.kind.value,
        "subject_id": entry.subject,
        "recorded_us": entry.recorded_us,
        "event_us": entry.event_us,
        "effective": entry.effective,
        "reason": entry.reason,
        "purpose": statement.scope.purpose if statement else None,
        "notice": " ".join(map(str, statement.notice[:3])) if statement and statement.notice else None,
        "actor_type": entry.actor.type.value if entry.actor else None,
        "valid_to_us": statement.to_us if statement else None,
        "request_id": entry.request_id,
        "body": codec.write_body(entry),
    }


def _state_row(state: SubjectState) -> dict[str, Any]:
    return {
        "subject_id": state.subject,
        "survivor": state.survivor,
        "link": state.link,
        "members": sorted(state.members),
        "last_idx": state.last_index,
        "statements": codec.write_statements(state.statements),
        "sealed": sorted(state.sealed),
        "erased": state.erased,
    }


def _state(row: Mapping[str, Any]) -> SubjectState:
    return SubjectState(
        subject=row["subject_id"],
        members=frozenset(row["members"]),
        survivor=row["survivor"],
        link=row["link"],
        statements=codec.read_statements(row["statements"]),
        last_index=row["last_idx"],
        sealed=frozenset(row["sealed"]),
        erased=row["erased"],
    )


def _published(row: Mapping[str, Any]) -> Published:
    return Published(index=row["idx"], epoch=row["epoch"], digest=row["digest"], document=bytes(row["document"]))


_: type[Ledger] = PostgresLedger
