"""How fast an auditor recomputes the ledger: `python -m benchmarks.consent.bench_audit`.

`assent ledger verify --export` itself is timed, with one process and with two, less the time that it takes for an export of one entry
(starting Python). leaves: an export in which no body opens, so that leaf bytes are all there is; opened: one that the service made, with
every public body and the salt that opens it. Target (consent.md, section 13): 90,000 entries a second and core from leaf bytes, linear.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import click
import uvloop

from benchmarks.consent.ledger import Engine, a_grant, engine
from benchmarks.consent.signed_log import IDENTITY, LEDGER, ORIGIN, a_leaf
from consent_service.auditing.entries_store import PostgresEntries
from consent_service.auditing.exporting import Export, export
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.proving import Audit
from consent_service.auditing.tree_store import PostgresTree
from consent_service.domain.export import CheckpointLine, EntryLine, Header, Line, export_lines
from consent_service.registries import Registries
from consent_service.store import PostgresLedger
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings
from tlog import Checkpoint, format_vkey, leaf_hashes, root_of, sign_checkpoint

PROCESSES = (1, 2)


def leaves_only(path: Path, entries: int) -> None:
    """An export of leaves whose bodies nobody opens."""
    now = SystemClock().now_us()
    leaves = [a_leaf(now) for _ in range(entries)]
    note = sign_checkpoint(Checkpoint(ORIGIN, entries, root_of(leaf_hashes(leaves))), IDENTITY.signers)

    def lines() -> Iterator[Line]:
        yield from (EntryLine(index, leaf) for index, leaf in enumerate(leaves))
        yield CheckpointLine(note)

    with path.open("wb") as file:
        file.writelines(export_lines(Header(LEDGER, ORIGIN, 0, entries), lines()))


async def opened(path: Path, entries: int, folder: Path) -> None:
    """The export of a ledger that the engine wrote."""
    async with engine(folder, entries // 10) as given:
        chance = random.Random(4)
        for start in range(len(given.subjects), entries, 512):
            more = min(512, entries - start)
            await asyncio.gather(
                *(given.writer.append(a_grant(chance.choice(given.subjects), chance)) for _ in range(more))
            )
        await signed(given)
        settings = DatabaseSettings(dsn=given.dsns["consent_reader"], max_size=3)
        async with postgres.pool(settings, schema="consent") as pool:
            tree, ledger = PostgresTree(pool), PostgresLedger(pool, LEDGER, given.keys)
            audit = Audit(ledger, PostgresEntries(pool), Proofs(tree), Registries(), SystemClock(), given.keys)
            await write(path, export(Export(), audit, tree))


async def signed(given: Engine) -> None:
    """A checkpoint of all there is."""
    connection = await asyncpg.connect(given.dsns["postgres"], server_settings={"search_path": "consent"})
    try:
        head = await connection.fetchrow("SELECT size, root FROM log_head")
        assert head is not None
        note = sign_checkpoint(Checkpoint(ORIGIN, head["size"], head["root"]), IDENTITY.signers)
        told = head["size"], head["root"], note, SystemClock().now_us()
        await connection.execute("INSERT INTO checkpoint VALUES ($1, $2, $3, '{}', $4)", *told)
    finally:
        await connection.close()


async def write(path: Path, chunks: AsyncIterable[bytes]) -> None:
    """All of them."""
    with path.open("wb") as file:
        async for chunk in chunks:
            file.write(chunk)


def verified(path: Path, processes: int) -> tuple[float, int]:
    """Seconds that the command takes, and how many entries it found."""
    command = [sys.executable, "-m", "assent_cli", "ledger", "verify", "--export", str(path), "--json"]
    trusted = ["--vkey", format_vkey(IDENTITY.signers[0].vkey), "--origin", ORIGIN, "--processes", str(processes)]
    started = time.perf_counter()
    done = subprocess.run([*command, *trusted], capture_output=True, text=True, check=False)
    took, told = time.perf_counter() - started, json.loads(done.stdout or "{}")
    if not told.get("ok"):
        raise click.ClickException(f"the export does not verify: {told.get('code', done.stderr[-300:])}")
    return took, told["end"] - told["first"]


def rates(path: Path, start_s: float, rounds: int) -> dict[str, Any]:
    """Entries a second by processes, which take turns; the median of the rounds."""
    turns = [[verified(path, processes) for processes in PROCESSES] for _ in range(rounds)]
    entries = turns[0][0][1]
    one, two = (median(entries / max(turn[at][0] - start_s, 0.001) for turn in turns) for at in range(2))
    return {
        "entries": entries,
        "per_s_1": round(one),
        "per_s_2": round(two),
        "per_core_2": round(two / 2),
        "speedup": round(two / one, 2),
    }


async def measure(folder: Path, leaves: int, bodies: int, rounds: int) -> dict[str, Any]:
    """The exports first, so that nothing else is at work while they are verified."""
    paths = {name: folder / f"{name}.jsonl" for name in ("empty", "leaves", "opened")}
    leaves_only(paths["empty"], 1)
    leaves_only(paths["leaves"], leaves)
    await opened(paths["opened"], bodies, folder / "server")
    start_s = min(verified(paths["empty"], 1)[0] for _ in range(3))
    found = {name: rates(paths[name], start_s, rounds) for name in ("leaves", "opened")}
    return {"start_s": round(start_s, 3), **found}


@click.command()
@click.option("--leaves", default=600_000, show_default=True, help="Entries of which nothing opens.")
@click.option("--bodies", default=30_000, show_default=True, help="Entries with their public bodies.")
@click.option("--rounds", default=2, show_default=True)
def main(leaves: int, bodies: int, rounds: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(Path(folder), leaves, bodies, rounds))
    for name, value in found.items():
        click.echo(f"{name}: {value}")


if __name__ == "__main__":
    main()
