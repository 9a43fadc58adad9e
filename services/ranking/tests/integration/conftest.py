"""A migrated database per test, and the ledger with what the builder sees of it."""

import pytest

from ranking_service.domain.snapshot import Snapshot
from ranking_service.store import PostgresLearner, PostgresSnapshots
from ranking_service.transactions import sql
from servicekit import postgres
from servicekit.postgres import transaction


class BuiltLearner(PostgresLearner):
    """The ledger, and the sums as the builder writes them into a snapshot."""

    def __init__(self, pool):
        super().__init__(pool)
        self.pool = pool
        self.snapshots = PostgresSnapshots(pool)
        self.built = 0

    async def counts(self):
        self.built += 1
        while True:
            snapshot: Snapshot = await self.snapshots.build(self.built, force=True)
            if snapshot.version > 1:
                return dict(snapshot.counts)

    async def known_rows(self):
        """Everything that is kept of anybody."""
        async with transaction(self.pool) as tx:
            rows = [await tx.fetchval(f"select count(*) from {table}") for table in ("learner_item", "learner_outcome")]
            state = await sql.state(tx)
        return rows, state


@pytest.fixture
async def pool(database):
    made = await database("ranking")
    async with postgres.pool(made.settings) as opened:
        yield opened


@pytest.fixture
async def postgres_learner(pool):
    return BuiltLearner(pool)
