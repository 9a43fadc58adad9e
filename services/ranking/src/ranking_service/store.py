"""PostgreSQL: the learner's ledger and the versions of the snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from ranking_service.domain.learning import Decision, ItemOutcome
from ranking_service.domain.snapshot import Snapshot, parse
from ranking_service.ports import Forgotten, Learner, Position, SnapshotStore
from ranking_service.transactions import (
    ALL_CHANNELS,
    build,
    learn_decisions,
    learn_outcomes,
    move,
    move_all,
    raise_barrier,
    remove,
    sql,
)
from servicekit.grouping import Grouped
from servicekit.partitions import PARTITIONS
from servicekit.postgres import Pool, connection, transaction


class Lot(NamedTuple):
    """Decisions of one partition, and where it stands with them."""

    decisions: Sequence[Decision]
    at: Position
    now_ms: int


class PostgresLearner:
    """The learner's ledger. Decisions of several partitions that come at the same time share a transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lots = Grouped(self._learn_lots, most=PARTITIONS)

    async def position(self, stream: str, partition: int) -> int:
        """The last folded sequence; 0 before the first."""
        async with connection(self._pool) as reading:
            row = await sql.position_of(reading, stream=stream, partition=partition)
        return row["seq"] if row else 0

    async def learn_decisions(self, decisions: Sequence[Decision], at: Position | None, now_ms: int) -> None:
        """Keep what may be learned of these decisions."""
        if at is not None:
            await self._lots.add(Lot(decisions, at, now_ms))
            return
        async with transaction(self._pool) as tx:
            await sql.share_learning(tx)
            await learn_decisions(tx, decisions, now_ms)

    async def _learn_lots(self, lots: Sequence[Lot]) -> None:
        """Learn from all these lots. Raises Fenced when a newer lease has the partition of any: each is then tried alone."""
        async with transaction(self._pool) as tx:
            await sql.share_learning(tx)
            await move_all(tx, [lot.at for lot in lots])
            decisions = list(chain.from_iterable(lot.decisions for lot in lots))
            if decisions:
                await learn_decisions(tx, decisions, max(lot.now_ms for lot in lots))

    async def learn_outcomes(self, outcomes: Sequence[ItemOutcome], at: Position | None, now_ms: int) -> None:
        """Learn from these outcomes, or park them."""
        async with transaction(self._pool) as tx:
            await sql.share_learning(tx)
            await learn_outcomes(tx, outcomes, now_ms)
            await move(tx, at)

    async def channels(self, subject_id: str) -> Sequence[str]:
        """Where something is known of a subject."""
        async with connection(self._pool) as reading:
            return [row["channel"] for row in await sql.channels_of(reading, subject_id=subject_id)]

    async def unlearn(self, subject_id: str, channels: Sequence[str], *, ledger_index: int, now_ms: int) -> int:
        """Take back what was learned on these channels."""
        async with transaction(self._pool) as tx:
            await sql.stop_learning(tx)
            for channel in sorted(channels):
                await raise_barrier(tx, subject_id, channel, until_ms=0, ledger_index=ledger_index, now_ms=now_ms)
            return await remove(tx, subject_id, list(channels))

    async def forget(self, subject_id: str, *, ledger_index: int, now_ms: int) -> int:
        """Take back everything."""
        async with transaction(self._pool) as tx:
            await sql.stop_learning(tx)
            await raise_barrier(tx, subject_id, ALL_CHANNELS, until_ms=now_ms, ledger_index=ledger_index, now_ms=now_ms)
            return await remove(tx, subject_id, None)

    async def forgotten(self, request: str) -> Forgotten | None:
        """What an earlier request to forget did."""
        async with connection(self._pool) as reading:
            row = await sql.forgotten(reading, id=request)
        return Forgotten(row["rows_removed"], row["snapshot_version"]) if row else None

    async def remember_forgotten(self, request: str, forgotten: Forgotten) -> None:
        """Keep the answer of a request to forget."""
        async with transaction(self._pool) as tx:
            await sql.add_forgotten(tx, id=request, **forgotten._asdict())

    async def tidy(self, before_ms: int) -> None:
        """Drop what nothing can reach any more."""
        async with transaction(self._pool) as tx:
            await sql.drop_passing(tx, before_ms=before_ms)
            await sql.drop_barriers(tx, before_ms=before_ms)


class PostgresSnapshots:
    """Every version of the snapshot."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def build(self, now_ms: int, *, force: bool = False) -> Snapshot | None:
        """Add up what was learned; the new version when one is due. With `force` it waits for another builder, and one is."""
        async with transaction(self._pool) as tx:
            if force:
                await sql.wait_to_build(tx)
            elif not await sql.try_to_build(tx):
                return None
            return await build(tx, now_ms, force=force)

    async def get(self, version: int) -> Snapshot | None:
        """One version; 0 is the newest."""
        async with connection(self._pool) as reading:
            row = await (sql.snapshot_of(reading, version=version) if version else sql.newest_snapshot(reading))
        return parse(row["body"], row["digest"]) if row else None

    async def unpublished(self) -> Sequence[Snapshot]:
        """Versions that the replicas may not have, oldest first."""
        async with connection(self._pool) as reading:
            rows = await sql.unpublished_snapshots(reading)
        return [parse(row["body"], row["digest"]) for row in rows]

    async def mark_published(self, version: int) -> None:
        """The replicas can have it."""
        async with transaction(self._pool) as tx:
            await sql.mark_published(tx, version=version)


_learner: type[Learner] = PostgresLearner
_snapshots: type[SnapshotStore] = PostgresSnapshots
