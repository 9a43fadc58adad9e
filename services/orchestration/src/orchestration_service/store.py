"""PostgreSQL behind the ports: the archive of decisions, and the ids of outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.ports import Archive, Archived
from servicekit import queries
from servicekit.postgres import Pool, connection, transaction

sql = queries.load("orchestration_service")


class PostgresArchive:
    """Decisions in the schema `orchestration`, partitioned by month."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._days: set[int] = set()

    async def add(self, record: bytes, digest: bytes, sequence: int) -> None:
        """Keep a decision; a repeat changes nothing."""
        parsed = DecisionRecord.FromString(record)
        async with transaction(self._pool) as tx:
            day = parsed.now_ms // 86_400_000
            if day not in self._days:
                await sql.ensure_month(tx, at_ms=parsed.now_ms)
            await sql.archive(
                tx,
                decision_id=parsed.decision_id,
                now_ms=parsed.now_ms,
                subject_id=parsed.subject_id or None,
                channel=parsed.request.channel,
                record=record,
                digest=digest,
                sequence=sequence,
            )
        self._days.add(day)

    async def find(self, decision_ids: Sequence[str]) -> Mapping[str, Archived]:
        """Those that are archived and not forgotten."""
        async with connection(self._pool) as reader:
            rows = [row async for row in sql.find(reader, decision_ids=list(decision_ids))]
        kept = [row for row in rows if row["record"] is not None]
        return {row["decision_id"]: Archived(row["record"], row["digest"], row["sequence"]) for row in kept}

    async def forget(self, subject_id: str) -> None:
        """Make a subject's decisions unreadable. Idempotent."""
        async with connection(self._pool) as writer:
            await sql.forget(writer, subject_id=subject_id)


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


_: type[Archive] = PostgresArchive
