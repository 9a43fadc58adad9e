"""`python -m benchmarks consent`, or `python -m benchmarks.consent`: see its --help."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final

import click
import uvloop

from benchmarks import ROOT, machine, report
from benchmarks.consent import (
    bench_algebra,
    bench_append,
    bench_asof,
    bench_audit,
    bench_check,
    bench_erasure,
    bench_proof,
    bench_signer,
    bench_tlog,
    bench_withdraw,
    page,
    targets,
)
from servicekit.run import COLLECT

Measure = Callable[[Path, bool], Coroutine[Any, Any, Mapping[str, Any]]]


async def algebra(_folder: Path, quick: bool) -> Mapping[str, Any]:
    """One verdict, one basis."""
    return await asyncio.to_thread(bench_algebra.measure, 500 if quick else 5000)


async def append(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Engine and plain."""
    return await bench_append.measure(folder, *((1, 1.0, 2000) if quick else (3, 4.0, 20_000)))


async def asof(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Small and large."""
    sizes, samples = ((10_000, 50_000), 100) if quick else ((100_000, 1_000_000), 500)
    return await bench_asof.measure(folder, sizes, samples)


async def audit(folder: Path, quick: bool) -> Mapping[str, Any]:
    """The command, timed."""
    return await bench_audit.measure(folder, *((60_000, 5000, 1) if quick else (400_000, 20_000, 2)))


async def check(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Floor, check and basis."""
    return await bench_check.measure(folder, *((200, 1, 0.7, 300) if quick else (2000, 4, 1.5, 3000)))


async def erasure(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Alone, and beside callers."""
    return await bench_erasure.measure(*((5, 8) if quick else (60, 32)), folder)


async def growth(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Until it is large."""
    return await bench_append.growth(folder, *((8000, 500, 4000) if quick else (1_000_000, 20_000)))


async def proof(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Cold and warm."""
    return await bench_proof.measure(20_000 if quick else 300_000, folder)


async def signer(folder: Path, quick: bool) -> Mapping[str, Any]:
    """Slow and fast."""
    if quick:
        return await bench_signer.measure((1000,), 2, folder)
    return await bench_signer.measure((5, 1000, 5000), 4, folder)


async def tlog(_folder: Path, quick: bool) -> Mapping[str, Any]:
    """A proof, and the tree."""
    return await asyncio.to_thread(bench_tlog.measure, *((20_000, 2, 500) if quick else (300_000, 5, 3000)))


async def withdraw(folder: Path, quick: bool) -> Mapping[str, Any]:
    """At 2,000 writes a second."""
    return await bench_withdraw.measure(folder, 2000, *((1.0, 500) if quick else (8.0, 20_000)))


MEASURES: Final[Mapping[str, Measure]] = {
    measure.__name__: measure
    for measure in (append, withdraw, check, algebra, proof, tlog, signer, audit, asof, erasure, growth)
}
LONG: Final = ("growth",)
"""Measured only when named."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(tuple(MEASURES)), metavar="[NAME]...")
@click.option(
    "--quick", is_flag=True, help="A short look: to see that it works. Writes no files unless --results is given."
)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), help="Folder of the JSON files.")
def main(names: tuple[str, ...], results: Path | None, *, quick: bool) -> None:
    """Measure the consent ledger on this machine, and judge it by its targets; without a NAME, all but growth. Takes under four minutes.

    \b
    append    entries a second of the writer, as a part of plain COPY, and bytes stored an entry
    withdraw  how long a withdrawal waits among 2,000 writes a second
    check     CheckConsent and EvaluateBasis over NATS, as parts of an empty handler; a read beside SELECT 1
    algebra   one verdict, and one basis, in process
    proof     an inclusion proof, cold and warm
    tlog      a proof verified offline; the tree beside a bare loop of hashlib
    signer    how long an entry waits for its checkpoint
    audit     assent ledger verify, with one process and with two
    asof      a state as of a time, among 100,000 and among 1,000,000 entries
    erasure   how soon a key is dead
    growth    the writer's rate until the ledger has 1,000,000 entries (three minutes more; only when named)

    Each name writes benchmarks/results/consent-NAME.json, with the facts of the machine; docs/benchmarks-consent.md is then written anew from
    all of them. Every measure is a program of its own too, with options of its own: python -m benchmarks.consent.bench_append --help

    \b
    Examples:
      python -m benchmarks consent                     everything but growth
      python -m benchmarks consent --quick check tlog  a first look
      python -m benchmarks consent growth              does it slow down?
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    gc.set_threshold(*COLLECT)  # as the service has it
    keep = results or (None if quick else report.RESULTS)
    started = time.monotonic()
    for name in names or [name for name in MEASURES if name not in LONG]:
        _measured(name, keep, quick=quick)
    if keep == report.RESULTS:
        page.PAGE.write_text(page.page())
        click.echo(f"written: {page.PAGE.relative_to(ROOT)}")
    click.echo(f"took {time.monotonic() - started:.0f} s")


def _measured(name: str, keep: Path | None, *, quick: bool) -> None:
    facts, started = machine.facts(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found: Mapping[str, Any] = uvloop.run(MEASURES[name](Path(folder), quick))
    gc.collect()
    judged = targets.OF[name](found)
    click.echo(f"{name} ({time.monotonic() - started:.0f} s)")
    for row in judged:
        click.echo(f"  {row['quantity']}: {row['found']} (target {row['target']}), {'met' if row['met'] else 'missed'}")
    if keep:
        told = {"quick": quick, "targets": judged, **found}
        report.write(f"consent-{name}", facts | {"load_after": machine.load()}, told, keep)


if __name__ == "__main__":
    main()
