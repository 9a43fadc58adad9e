"""How long a withdrawal waits for its acknowledgement: `python -m benchmarks.consent.bench_withdraw`.

2,000 writes a second arrive at their times, whatever became of those before: one in five is a withdrawal, the rest are grants. floor is a
durable INSERT of one row, one after the other, on the same PostgreSQL. Target (consent.md, section 13): p50 5 ms, p99 20 ms; p50 12 floors.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg
import click
import uvloop

from benchmarks import machine
from benchmarks.consent.ledger import Engine, a_grant, a_withdrawal, engine
from benchmarks.consent.signed_log import percentiles
from servicekit.errors import Exhausted
from servicekit.run import COLLECT

P50_MS, P99_MS, FLOORS = 5.0, 20.0, 12.0
INSERTS = 500


async def floor(given: Engine) -> dict[str, float]:
    """A durable INSERT of one row."""
    connection = await asyncpg.connect(given.dsns["postgres"], server_settings={"search_path": "consent"})
    took = []
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS one_row (idx bigint PRIMARY KEY, body bytea NOT NULL)")
        body = random.randbytes(1000)
        for number in range(INSERTS):
            started = time.perf_counter()
            await connection.execute("INSERT INTO one_row VALUES ($1, $2)", number, body)
            took.append((time.perf_counter() - started) * 1000)
    finally:
        await connection.close()
    return percentiles(took)


async def mixed(given: Engine, rate: int, seconds: float) -> dict[str, Any]:
    """Writes at their times; milliseconds from when each was due to its answer."""
    chance = random.Random(3)
    count = int(rate * seconds)
    commands = [
        (a_withdrawal if number % 5 == 0 else a_grant)(chance.choice(given.subjects), chance) for number in range(count)
    ]
    gc.collect()
    withdrawn: list[float] = []
    granted: list[float] = []
    refused = 0
    start = time.perf_counter() + 0.05

    async def one(number: int) -> None:
        nonlocal refused
        due = start + number / rate
        try:
            await given.writer.append(commands[number])
        except Exhausted:
            refused += 1
            return
        (granted if number % 5 else withdrawn).append((time.perf_counter() - due) * 1000)

    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            wait = start + number / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.create_task(one(number))
    return {"withdraw": percentiles(withdrawn), "grant": percentiles(granted), "refused": refused}


async def measure(folder: Path, rate: int, seconds: float, subjects: int) -> dict[str, Any]:
    """The floor before and after, the writes between."""
    async with engine(folder, subjects) as given:
        await mixed(given, rate // 2, 1)
        floors = await floor(given)
        return {"floor": floors, **await mixed(given, rate, seconds)}


@click.command()
@click.option("--rate", default=2000, show_default=True, help="Writes a second.")
@click.option("--seconds", default=10.0, show_default=True)
@click.option("--subjects", default=20_000, show_default=True)
def main(rate: int, seconds: float, subjects: int) -> None:
    """Measure and print."""
    gc.set_threshold(*COLLECT)  # as the service has it
    before = machine.load()
    with tempfile.TemporaryDirectory() as folder:
        found = uvloop.run(measure(Path(folder), rate, seconds, subjects))
    taken, one_row = found["withdraw"], found["floor"]
    click.echo(
        f"withdraw p50 {taken['p50']:.1f} ms (target {P50_MS:.0f}), p99 {taken['p99']:.1f} ms (target {P99_MS:.0f})"
    )
    click.echo(
        f"grant    p50 {found['grant']['p50']:.1f} ms, p99 {found['grant']['p99']:.1f} ms, {found['refused']} refused"
    )
    click.echo(
        f"floor    p50 {one_row['p50']:.2f} ms; withdraw is {taken['p50'] / one_row['p50']:.1f} floors (target {FLOORS:.0f})"
    )
    click.echo(f"load     {before} before, {machine.load()} after")


if __name__ == "__main__":
    main()
