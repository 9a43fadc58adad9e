"""PostgreSQL behind the ports: the archive of decisions, and the ids of outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.ports import Archived, Shelf
from servicekit import queries
from servicekit.grouping import Grouped
from servicekit.postgres import Pool, connection, transaction

DAY_MS = 86_400_000

sql = queries.load("orchestration_service")


@dataclass(frozen=True, slots=True)
class Row:
    """A decision as it is stored; nobody's has no subject."""

    decision_id: str
    now_ms: int
    subject_id: str | None
    channel: str
    record: bytes
    digest: bytes
    sequence: int


class PostgresArchive:
    """Decisions in the schema `orchestration`, partitioned by month. Those that are added side by side share a transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._days: set[int] = set()
        self._rows = Grouped(self._insert)

    async def add(self, record: DecisionRecord, data: bytes, digest: bytes, sequence: int) -> None:
        """Keep a decision; a repeat changes nothing."""
        subject_id = record.subject_id or None
        row = Row(record.decision_id, record.now_ms, subject_id, record.request.channel, data, digest, sequence)
        await self._rows.add(row)

    async def _insert(self, rows: Sequence[Row]) -> None:
        days = {row.now_ms // DAY_MS for row in rows} - self._days
        async with transaction(self._pool) as tx:
            for day in sorted(days):
                await sql.ensure_month(tx, at_ms=day * DAY_MS)
            # A statement of its own: the next one must see who was forgotten while this one waited.
            await sql.read_subjects(tx, subject_ids=sorted({row.subject_id for row in rows if row.subject_id}))
            await sql.archive(tx, **_columns(rows))
        self._days |= days

    async def find(self, decision_ids: Sequence[str]) -> Mapping[str, Archived]:
        """Those that are archived; without their record where it is forgotten."""
        async with connection(self._pool) as reader:
            rows = [row async for row in sql.find(reader, decision_ids=list(decision_ids))]
        return {row["decision_id"]: Archived(row["record"] or b"", row["digest"], row["sequence"]) for row in rows}

    async def forget(self, subject_id: str) -> None:
        """Make a subject's decisions unreadable. Idempotent."""
        async with transaction(self._pool) as tx:
            await sql.own_subject(tx, subject_id=subject_id)
            await sql.note_forgotten(tx, subject_id=subject_id)
            await sql.forget(tx, subject_id=subject_id)


def _columns(rows: Sequence[Row]) -> Mapping[str, Sequence[object]]:
    return {
        "decision_ids": [row.decision_id for row in rows],
        "now_ms": [row.now_ms for row in rows],
        "subject_ids": [row.subject_id for row in rows],
        "channels": [row.channel for row in rows],
        "records": [row.record for row in rows],
        "digests": [row.digest for row in rows],
        "sequences": [row.sequence for row in rows],
    }


class OutcomeIds:
    """Which outcomes were accepted."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def known(self, outcome_ids: Sequence[str]) -> frozenset[str]:
        """Those that were accepted before."""
        async with connection(self._pool) as reader:
            rows = sql.known_outcomes(reader, outcome_ids=list(outcome_ids))
            return frozenset([row["outcome_id"] async for row in rows])

    async def add(self, outcome_ids: Sequence[str], recorded_at_ms: int) -> None:
        """Remember them."""
        async with connection(self._pool) as writer:
            await sql.add_outcomes(writer, outcome_ids=list(outcome_ids), recorded_at_ms=recorded_at_ms)


_: type[Shelf] = PostgresArchive
