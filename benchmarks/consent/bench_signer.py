"""How long a committed entry waits for its checkpoint: `python -m benchmarks.consent.bench_signer`.

A writer appends batches of 64 at a steady rate to a durable PostgreSQL; the signer is a process of its own with its default interval. An
entry's lag is from its COMMIT to `published_us` of the first checkpoint that covers it. Target (consent.md, section 13): at most 1 s.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import asyncpg
import click
import uvloop

from benchmarks import ROOT, machine, report
from benchmarks.consent.signed_log import IDENTITY, Appender, database, percentiles
from consent_service.signing.settings import Settings
from consent_service.signing.signer import Signer
from consent_service.signing.store import PostgresLog
from consent_service.signing.volume import NAME, Volume
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings
from testkit.waiting import until

BATCH = 64
LAG_MS = 1000.0
INTERVAL_S = Settings.model_fields["interval_ms"].default / 1000


async def sign(dsn: str, folder: Path) -> None:
    """The signer's process."""
    async with postgres.pool(DatabaseSettings(dsn=dsn), schema="consent") as pool:
        await Signer(IDENTITY, PostgresLog(pool), Volume(folder), SystemClock()).run(INTERVAL_S)


async def measure(rates: Sequence[int], seconds: float, folder: Path) -> dict[str, object]:
    """Each rate in its turn on one log."""
    volume = folder / "volume"
    volume.mkdir()
    async with database(folder) as dsns:
        appender = await Appender.open(dsns["consent_writer"])
        reader = await asyncpg.connect(dsns["consent_reader"], server_settings={"search_path": "consent"})
        command = [
            sys.executable,
            "-m",
            "benchmarks.consent.bench_signer",
            "--sign",
            dsns["consent_signer"],
            str(volume),
        ]
        child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=dict(os.environ))
        try:
            await until((volume / NAME).exists, timeout=60)  # as a writer waits for the first ConfirmHead
            rows = [await _at(rate, seconds, appender, reader) for rate in rates]
        finally:
            child.kill()
            await child.wait()
            await reader.close()
            await appender.close()
    return {"interval_s": INTERVAL_S, "rows": rows, "met": all(row["lag_ms"]["max"] <= LAG_MS for row in rows)}


async def _at(rate: int, seconds: float, appender: Appender, reader: asyncpg.Connection) -> dict[str, object]:
    """Batches at a steady rate; how long each waited."""
    before = await reader.fetchval("SELECT count(*) FROM checkpoint")
    loop, committed = asyncio.get_running_loop(), dict[int, int]()
    started, batch = loop.time(), min(BATCH, max(1, rate // 10))
    for number in range(int(seconds * rate / batch)):
        await asyncio.sleep(max(0.0, started + number * batch / rate - loop.time()))
        committed[await appender.append(batch)] = SystemClock().now_us()
    took = loop.time() - started
    await until(lambda: _covers(reader, appender.size), timeout=60, every=0.05)
    published = await reader.fetch("SELECT size, published_us FROM checkpoint ORDER BY size")
    ends = iter(published)
    size, at_us = next(ends)
    lags = []
    for wanted, us in committed.items():
        while size < wanted:
            size, at_us = next(ends)
        lags.append((at_us - us) / 1000)
    row = {
        "asked_per_s": rate,
        "appended_per_s": round(len(committed) * batch / took),
        "entries": len(committed) * batch,
    }
    return {**row, "checkpoints": len(published) - before, "lag_ms": percentiles(lags)}


async def _covers(reader: asyncpg.Connection, size: int) -> bool:
    return await reader.fetchval("SELECT max(size) FROM checkpoint") == size


@click.command()
@click.option("--seconds", default=10.0, show_default=True, help="For each rate.")
@click.option(
    "--rate", "rates", type=int, multiple=True, default=(5, 1000, 5000), show_default=True, help="Entries a second."
)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=None)
@click.option("--sign", "signing", nargs=2, type=str, default=None, hidden=True)
def main(seconds: float, rates: tuple[int, ...], results: Path | None, signing: tuple[str, str] | None) -> None:
    """Print the figures; with --results also write signer.json there."""
    if signing is not None:
        uvloop.run(sign(signing[0], Path(signing[1])))
        return
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(rates, seconds, Path(folder)))
    for row in found["rows"]:
        click.echo("  ".join(f"{name} {value}" for name, value in row.items()))
    click.echo(f"met: {found['met']}")
    if results:
        report.write("signer", facts | {"load_after": machine.load()}, found, results)


if __name__ == "__main__":
    main()
