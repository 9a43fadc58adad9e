"""How long it takes to say what was on record: `python -m benchmarks.consent.bench_asof`.

One subject has 200 entries, strewn among those of others; GetConsentState's use case answers as of a time and as known at a time, from all
200 of them, with every verdict. The question is asked in a ledger of 100,000 and again in one of 1,000,000 entries. The writer writes as
many as the subject needs; the rest are copies of those under other ids, which PostgreSQL keeps and indexes as it does the others (their
leaves are left out: the question reads none). Target (consent.md, section 13): p99 5 ms, flat within 20 %.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import click
import uvloop

from benchmarks.consent.ledger import Engine, a_grant, a_withdrawal, engine
from benchmarks.consent.signed_log import LEDGER, percentiles
from consent_service.commands import Look
from consent_service.history import get_consent_state
from consent_service.registries import Registries
from consent_service.store import PostgresLedger
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings

ENTRIES = 200
STREWN = 16
"""Entries of others between two of the subject's."""
COPY = """
INSERT INTO event
SELECT $1 + row_number() OVER (ORDER BY e.idx), e.class, e.kind, uuid_send(gen_random_uuid()), md5(e.subject_id || $1), e.subject_seq,
       e.purpose, e.notice, e.regimes, e.actor_type, e.effective, e.reason, e.event_us, e.recorded_us, e.valid_to_us,
       e.request_id || '.' || $1, e.request_hash, e.request_entries, e.epoch, e.pub, e.nonce, e.sealed
FROM event AS e WHERE e.idx < $2 AND e.class = 1 LIMIT $3
"""


async def strewn(given: Engine) -> str:
    """The subject, who has granted and withdrawn in turn while others did."""
    chance, (who, *others) = random.Random(8), given.subjects
    for number in range(1, ENTRIES):
        said = a_withdrawal if number % 2 else a_grant
        await given.writer.append(said(who, chance))
        await asyncio.gather(*(given.writer.append(a_grant(chance.choice(others), chance)) for _ in range(STREWN)))
    return who


class Table:
    """The entries as the database keeps them."""

    def __init__(self, connection: Any, written: int) -> None:
        self._connection = connection
        self._written = written

    @classmethod
    async def open(cls, dsn: str) -> Table:
        """As somebody with every right, whom no trigger stops."""
        connection = await asyncpg.connect(dsn, server_settings={"search_path": "consent"})
        await connection.execute("SET session_replication_role = replica")
        return cls(connection, await connection.fetchval("SELECT count(*) FROM event"))

    async def grow(self, entries: int) -> int:
        """Copies until there are as many; how many there are."""
        size: int = await self._connection.fetchval("SELECT max(idx) + 1 FROM event")
        while size < entries:
            await self._connection.execute(COPY, size - 1, self._written, entries - size)
            size = await self._connection.fetchval("SELECT max(idx) + 1 FROM event")
        await self._connection.execute("VACUUM ANALYZE event")
        await self._connection.execute("CHECKPOINT")
        return size

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()


async def asked(given: Engine, who: str, samples: int) -> dict[str, Any]:
    """Milliseconds of each answer, which must rest on every entry."""
    settings, clock = DatabaseSettings(dsn=given.dsns["consent_reader"], max_size=2), SystemClock()
    async with postgres.pool(settings, schema="consent") as pool:
        ledger, registries, took = PostgresLedger(pool, LEDGER, given.keys), Registries(), list[float]()
        now_us = clock.now_us()
        whole = Look(who, now_us, now_us, include_ended=True)
        found = await get_consent_state(whole, ledger=ledger, registries=registries, clock=clock)
        if len(found.statements) != ENTRIES:
            raise click.ClickException(f"the subject has {len(found.statements)} statements, not {ENTRIES}")
        for _ in range(samples):
            started = time.perf_counter()
            await get_consent_state(Look(who, now_us, now_us), ledger=ledger, registries=registries, clock=clock)
            took.append((time.perf_counter() - started) * 1000)
    return {"verdicts": len(found.verdicts), **percentiles(took)}


async def measure(folder: Path, sizes: tuple[int, ...], samples: int) -> dict[str, Any]:
    """Each size in its turn."""
    rows = []
    async with engine(folder, 1000) as given:
        who = await strewn(given)
        table = await Table.open(given.dsns["postgres"])
        try:
            for size in sizes:
                entries = await table.grow(size)
                rows.append({"entries": entries, **await asked(given, who, samples)})
        finally:
            await table.close()
    return {"of_subject": ENTRIES, "rows": rows, "p50_last_x_first": round(rows[-1]["p50"] / rows[0]["p50"], 3)}


@click.command()
@click.option("--size", "sizes", type=int, multiple=True, default=(100_000, 1_000_000), show_default=True)
@click.option("--samples", default=1000, show_default=True)
def main(sizes: tuple[int, ...], samples: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(Path(folder), sizes, samples))
    for each in found["rows"]:
        click.echo("  ".join(f"{name} {value}" for name, value in each.items()))
    click.echo(f"p50 of the last x the first: {found['p50_last_x_first']}")


if __name__ == "__main__":
    main()
