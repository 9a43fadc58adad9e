"""PostgreSQL behind the ports: the archive of decisions, and the ids of outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.ports import Archived, Shelf
from servicekit import queries
from servicekit.postgres import Pool, connection, transaction

DAY_MS = 86_400_000

sql = queries.load("orchestration_service")


class PostgresArchive:
    """Decisions in the schema `orchestration`, partitioned by month."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._days: set[int] = set()

    async def add(self, record: DecisionRecord, data: bytes, digest: bytes, sequence: int) -> None:
        """Keep a decision; a repeat changes nothing."""
        async with transaction(self._pool) as tx:
            day = record.now_ms // DAY_MS
            if day not in self._days:
                await sql.ensure_month(tx, at_ms=record.now_ms)
            await sql.read_subject(tx, subject_id=record.subject_id)
            await sql.archive(
                tx,
                decision_id=record.decision_id,
                now_ms=record.now_ms,
                subject_id=record.subject_id or None,
                channel=record.request.channel,
                record=data,
                digest=digest,
                sequence=sequence,
            )
        self._days.add(day)

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
