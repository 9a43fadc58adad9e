"""The event rows as an outbox: read in the order of their indices behind a cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from consent_service.announcements import Announced, Outbox, Reading
from consent_service.domain.words import Kind
from consent_service.storage.rows import Row, primary, sql
from consent_service.watching import Rows
from servicekit import postgres
from servicekit.postgres import translated


class PostgresOutbox:
    """Where a relay begins."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresReading | None]:
        """With a lock: None while another relay is at work."""
        async with primary(), postgres.session(self._pool) as connection:
            yield PostgresReading(connection) if await sql.try_to_relay(connection) else None


class PostgresFeed:
    """The rows as whoever watches reads them, a connection for each reading."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def after(self, index: int, amount: int) -> Sequence[Announced]:
        """In order of their indices."""
        async with primary(), postgres.connection(self._pool) as connection:
            return [_announced(row) for row in await sql.to_relay(connection, after=index, amount=amount)]

    async def before(self, index: int, amount: int) -> Sequence[Announced]:
        """The latest first."""
        async with primary(), postgres.connection(self._pool) as connection:
            return [_announced(row) for row in await sql.relayed_before(connection, before=index, amount=amount)]


class PostgresReading:
    """The relay's own connection."""

    def __init__(self, connection: postgres.Connection) -> None:
        self._connection = connection

    @translated()
    async def cursor(self) -> int:
        """-1 before anything was."""
        found: int | None = await sql.relayed(self._connection)
        return -1 if found is None else found

    @translated()
    async def heads(self) -> dict[int, int]:
        """By partition."""
        return {row["partition"]: row["idx"] for row in await sql.partition_heads(self._connection)}

    @translated()
    async def after(self, index: int, amount: int) -> Sequence[Announced]:
        """In order of their indices."""
        rows = await sql.to_relay(self._connection, after=index, amount=amount)
        return [_announced(row) for row in rows]

    @translated()
    async def advance(self, index: int, heads: Mapping[int, int]) -> None:
        """In one statement."""
        await sql.relay_up_to(
            self._connection, idx=index, partitions=list(heads), indices=[heads[partition] for partition in heads]
        )


def _announced(row: Row) -> Announced:
    return Announced(
        index=row["idx"],
        kind=Kind(row["kind"]),
        epoch=row["epoch"],
        effective=row["effective"],
        event_us=row["event_us"],
        recorded_us=row["recorded_us"],
        subject=row["subject_id"],
    )


_: tuple[type[Outbox], type[Reading], type[Rows]] = (PostgresOutbox, PostgresReading, PostgresFeed)
