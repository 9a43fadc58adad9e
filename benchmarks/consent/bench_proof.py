"""How long an inclusion proof takes in a log of 300,000 entries: `python -m benchmarks.consent.bench_proof`.

cold: nothing is remembered, so that checkpoint and tiles are read from PostgreSQL; tiles in memory: only the tree's arithmetic is left. Each
proof is verified before it is counted, by the service and again offline. Target (consent.md, section 13): p99 4 ms and 1 ms.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import click
import uvloop

from benchmarks import machine, report
from benchmarks.consent.signed_log import IDENTITY, ORIGIN, Appender, database, percentiles
from consent_service.auditing.nodes import Nodes
from consent_service.auditing.proofs import Proofs, SignedRoot
from consent_service.auditing.tree_store import PostgresTree
from consent_service.signing.derivation import Tiles
from consent_service.signing.signer import Signer
from consent_service.signing.store import PostgresLog
from consent_service.signing.volume import Volume
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings
from tlog import TileId, Verifier, verify_proof

COLD_MS, WARM_MS = 4.0, 1.0
SAMPLES = 3000


class InMemory(PostgresTree):
    """Remembers everything that it was asked, partial tiles too."""

    def __init__(self, pool: postgres.Pool) -> None:
        super().__init__(pool)
        self._tiles: dict[TileId, bytes] = {}
        self._latest: SignedRoot | None = None

    async def latest(self) -> SignedRoot | None:
        """Once."""
        self._latest = self._latest or await super().latest()
        return self._latest

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """Once each."""
        ids = list(wanted)
        missing = [tile for tile in ids if tile not in self._tiles]
        self._tiles |= await super().tiles(missing) if missing else {}
        return {tile: self._tiles[tile] for tile in ids}


async def timed(proofs: Proofs, indices: Iterable[int]) -> tuple[list[float], list[str]]:
    """Milliseconds of each, and the texts."""
    took, texts = [], []
    for index in indices:
        started = time.perf_counter()
        proof = await proofs.inclusion(index)
        texts.append(proof.text)
        took.append((time.perf_counter() - started) * 1000)
        if len(texts) % 100 == 0:
            verify_proof(texts[-1], proof.leaf_hash, Verifier(IDENTITY.signers[0].vkey), ORIGIN)
    return took, texts


async def measure(entries: int, folder: Path) -> dict[str, object]:
    """Fill, sign, prove."""
    async with (
        database(folder) as dsns,
        postgres.pool(DatabaseSettings(dsn=dsns["consent_signer"]), schema="consent") as signing,
        postgres.pool(DatabaseSettings(dsn=dsns["consent"]), schema="consent") as pool,
    ):
        appender = await Appender.open(dsns["consent_writer"])
        signer = Signer(IDENTITY, PostgresLog(signing), Volume(files_folder(folder)), SystemClock())
        await signer.round()
        while appender.size < entries:
            await appender.append(min(8192, entries - appender.size))
        started = time.perf_counter()
        await signer.round()
        caught_up = entries / (time.perf_counter() - started)
        indices = [random.randrange(entries) for _ in range(SAMPLES)]
        floor = await select_one(pool)
        store = PostgresTree(pool)
        cold, _ = await timed(Proofs(store, Nodes(store, most_tiles=0, most_nodes=0)), indices)
        warm_store = Proofs(InMemory(pool))
        await timed(warm_store, indices)
        warm, texts = await timed(warm_store, indices)
        await appender.close()
    return {
        "entries": entries,
        "samples": SAMPLES,
        "cold_ms": percentiles(cold),
        "tiles_in_memory_ms": percentiles(warm),
        "select_1_ms": percentiles(floor),
        "p50_cold_x_select_1": round(percentiles(cold)["p50"] / percentiles(floor)["p50"], 2),
        "text_bytes": max(map(len, texts)),
        "signer_entries_per_s": round(caught_up),
        "met": percentiles(cold)["p99"] <= COLD_MS and percentiles(warm)["p99"] <= WARM_MS,
    }


def files_folder(folder: Path) -> Path:
    """The signer's volume."""
    made = folder / "volume"
    made.mkdir()
    return made


async def select_one(pool: postgres.Pool) -> list[float]:
    """The floor: one statement there and back."""
    took = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        async with postgres.connection(pool) as connection:
            await connection.fetchval("SELECT 1")
        took.append((time.perf_counter() - started) * 1000)
    return took


@click.command()
@click.option("--entries", default=300_000, show_default=True)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=None)
def main(entries: int, results: Path | None) -> None:
    """Print the figures; with --results also write proof.json there."""
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(entries, Path(folder)))
    for name, value in found.items():
        click.echo(f"{name}: {value}")
    if results:
        report.write("proof", facts | {"load_after": machine.load()}, found, results)


if __name__ == "__main__":
    main()
