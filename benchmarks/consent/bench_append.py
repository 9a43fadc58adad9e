"""How fast the ledger appends: `python -m benchmarks.consent.bench_append`.

64 callers append one grant each to the writer (planned, deduplicated by request id, sealed, committed to, put into the tree), and ask again
when they are answered. plain is COPY of the same bytes into one table with a key, in batches of 64, a transaction each. Both take turns on
one durable PostgreSQL. Target (consent.md, section 13): 8,000 entries a second, 0.10 of plain, p99 25 ms; 1.7 kB stored an entry, of
which leaves and tiles 400 B. With --entries the ledger grows to that many, and the rate of each 100,000 shows that it does not slow down.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import os
import pstats
import random
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import click
import uvloop

from benchmarks import machine, report
from benchmarks.consent import targets
from benchmarks.consent.ledger import Engine, a_grant, engine
from benchmarks.consent.signed_log import percentiles
from servicekit.run import COLLECT

CALLERS = 64
RATE, RATIO, P99_MS, BYTES, LOG_BYTES = 8000.0, 0.10, 25.0, 1700.0, 400.0
STEP, AT_A_TIME = 100_000, 20_000
SIZES = """
SELECT (SELECT count(*) FROM event) AS entries,
       pg_total_relation_size('event') + pg_total_relation_size('log_entry') + pg_total_relation_size('log_tile') AS all,
       pg_total_relation_size('log_entry') + pg_total_relation_size('log_tile') AS log
"""
SAME_BYTES = """
SELECT row(e.*)::text::bytea || l.leaf AS bytes FROM event e JOIN log_entry l USING (idx) WHERE e.class = 1 LIMIT 4096
"""


async def appended(given: Engine, seconds: float) -> dict[str, Any]:
    """Entries a second, how long each took, and the processor time that this process spent on one."""
    took: list[float] = []
    chance = random.Random(2)
    commands = [a_grant(chance.choice(given.subjects), chance) for _ in range(int(seconds * 2 * RATE))]
    gc.collect()
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (start := time.perf_counter()) < end and commands:
            await given.writer.append(commands.pop())
            took.append((time.perf_counter() - start) * 1000)

    began, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    lasted, spent = time.perf_counter() - began, time.process_time() - spent
    return {"rate": len(took) / lasted, "cpu_us": spent / len(took) * 1e6, **percentiles(took)}


async def grown(given: Engine, entries: int, step: int = STEP) -> list[dict[str, Any]]:
    """The rate of each step until the ledger has so many entries; making the commands is not counted."""
    chance, rows, size = random.Random(9), list[dict[str, Any]](), 0
    while size < entries:
        took, lasted, goal = list[float](), 0.0, min(size + step, entries)
        while size < goal:
            count = min(AT_A_TIME, goal - size)
            lasted += await _answered(
                [a_grant(chance.choice(given.subjects), chance) for _ in range(count)], given, took
            )
            size += count
        rows.append({"entries": size, "per_s": round(len(took) / lasted), **percentiles(took)})
    return rows


async def _answered(commands: list[Any], given: Engine, took: list[float]) -> float:
    """Seconds until all of them are; adds the milliseconds of each."""

    async def caller() -> None:
        while commands:
            start = time.perf_counter()
            await given.writer.append(commands.pop())
            took.append((time.perf_counter() - start) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return time.perf_counter() - began


async def growth(folder: Path, entries: int, subjects: int, step: int = STEP) -> dict[str, Any]:
    """A ledger that grows from nothing but a first grant of each subject."""
    async with engine(folder, subjects) as given:
        await appended(given, 1)
        rows = await grown(given, entries, step)
        return {
            "rows": rows,
            "last_x_first": round(rows[-1]["per_s"] / rows[0]["per_s"], 3),
            "bytes": await stored(given),
        }


async def plain(given: Engine, seconds: float) -> float:
    """Rows a second of the same bytes."""
    connection = await asyncpg.connect(given.dsns["postgres"], server_settings={"search_path": "consent"})
    try:
        rows = [row["bytes"] for row in await connection.fetch(SAME_BYTES)]
        await connection.execute("CREATE TABLE IF NOT EXISTS plain (idx bigint PRIMARY KEY, body bytea NOT NULL)")
        await connection.execute("ALTER TABLE plain ALTER COLUMN body SET STORAGE EXTERNAL")
        start = await connection.fetchval("SELECT coalesce(max(idx) + 1, 0) FROM plain")
        number, began = start, time.perf_counter()
        while time.perf_counter() < began + seconds:
            batch = [(number + i, rows[(number + i) % len(rows)]) for i in range(CALLERS)]
            await connection.copy_records_to_table("plain", records=batch, columns=("idx", "body"))
            number += CALLERS
        return float((number - start) / (time.perf_counter() - began))
    finally:
        await connection.close()


async def stored(given: Engine) -> dict[str, float]:
    """Bytes an entry: rows and indices."""
    connection = await asyncpg.connect(given.dsns["postgres"], server_settings={"search_path": "consent"})
    try:
        found = await connection.fetchrow(SIZES)
        bodies = await connection.fetchrow(
            "SELECT avg(octet_length(pub)) AS pub, avg(octet_length(sealed)) AS priv FROM event WHERE class = 1"
        )
    finally:
        await connection.close()
    assert found is not None
    assert bodies is not None
    entries = found["entries"]
    return {
        "entry": found["all"] / entries,
        "log": found["log"] / entries,
        "pub": float(bodies["pub"]),
        "priv": float(bodies["priv"]),
    }


async def measure(folder: Path, rounds: int, seconds: float, subjects: int) -> dict[str, Any]:
    """Engine and plain in turns; the median of the rounds."""
    async with engine(folder, subjects) as given:
        await appended(given, 1)
        turns = [(await appended(given, seconds), await plain(given, seconds / 2)) for _ in range(rounds)]
        sizes = await stored(given)
    engines = [found for found, _ in turns]
    return {
        "rate": median(found["rate"] for found in engines),
        "plain": median(found for _, found in turns),
        "ratio": median(found["rate"] / other for found, other in turns),
        "cpu_us": median(found["cpu_us"] for found in engines),
        "p50_ms": median(found["p50"] for found in engines),
        "p99_ms": median(found["p99"] for found in engines),
        "bytes": sizes,
        "rounds": [found["rate"] for found in engines],
    }


@click.command()
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Of each engine's round.")
@click.option("--subjects", default=20_000, show_default=True)
@click.option("--profile", is_flag=True, help="Print where the writer's process spends its time instead.")
@click.option(
    "--entries", type=click.IntRange(min=1), help="Grow to so many instead; 1,000,000 take about three minutes."
)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --entries: where consent-growth.json goes.",
)
def main(
    rounds: int, seconds: float, subjects: int, entries: int | None, results: Path | None, *, profile: bool
) -> None:
    """Measure and print."""
    gc.set_threshold(*COLLECT)  # as the service has it
    with tempfile.TemporaryDirectory() as folder:
        if profile:
            _profiled(Path(folder), seconds, subjects)
            return
        facts = machine.facts()
        if entries:
            _tell_growth(uvloop.run(growth(Path(folder), entries, subjects)), facts, results)
            return
        found = uvloop.run(measure(Path(folder), rounds, seconds, subjects))
    sizes = found["bytes"]
    click.echo(f"engine  {found['rate']:8.0f}/s (target {RATE:.0f})   plain {found['plain']:8.0f}/s")
    click.echo(
        f"ratio   {found['ratio']:8.3f} (target {RATIO:.2f})   writer's processor {found['cpu_us']:.0f} us an entry"
    )
    click.echo(f"latency p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms (target {P99_MS:.0f})")
    click.echo(
        f"stored  {sizes['entry']:.0f} B an entry (target {BYTES:.0f}), log {sizes['log']:.0f} B (target {LOG_BYTES:.0f})"
    )
    click.echo(f"bodies  public {sizes['pub']:.0f} B, sealed {sizes['priv']:.0f} B")
    click.echo(f"load    {facts['load_before']} before, {machine.load()} after, {os.cpu_count()} cores")


def _tell_growth(found: dict[str, Any], facts: dict[str, Any], results: Path | None) -> None:
    for row in found["rows"]:
        click.echo("  ".join(f"{name} {value}" for name, value in row.items()))
    click.echo(f"the last {STEP} x the first: {found['last_x_first']}")
    if results:
        told = {"quick": False, "targets": targets.growth(found), **found}
        report.write("consent-growth", facts | {"load_after": machine.load()}, told, results)


def _profiled(folder: Path, seconds: float, subjects: int) -> None:
    async def run() -> None:
        async with engine(folder, subjects) as given:
            await appended(given, 1)
            profiler.enable()
            await appended(given, seconds)
            profiler.disable()

    profiler = cProfile.Profile()
    asyncio.run(run())
    pstats.Stats(profiler).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
