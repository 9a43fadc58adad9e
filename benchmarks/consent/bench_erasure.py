"""How soon a key is dead after the second approval: `python -m benchmarks.consent.bench_erasure`.

Cases of one subject each, on a durable PostgreSQL with the keys in a database of their own: alone, and beside callers who grant and withdraw all
the time. The time is from the moment the second approval is kept to the moment the keys' database has committed its death; what goes
afterwards (bodies, ids, certificate) is timed too. Target (consent.md, section 13): 1 s.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks import machine, report
from benchmarks.consent.ledger import NOTICE, WORDS, Agreeing, a_grant, a_request, a_withdrawal, document
from benchmarks.consent.signed_log import LEDGER, database, percentiles
from consent_service.announcements import Relay
from consent_service.commands import Publish
from consent_service.keys import CachedSubjectKeys, KekFolder, PostgresKeyShredder, PostgresSubjectKeys
from consent_service.ports import NoticeBytes
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from consent_service.rights import cases as life
from consent_service.rights.cases import Case, Stage
from consent_service.rights.running import Runner, With, kept
from consent_service.rights.store import PostgresCases, PostgresEraser
from consent_service.storage import PostgresLog, PostgresOutbox
from consent_service.store import PostgresLedger
from consent_service.writer import LedgerWriter
from consent_service.writer import With as Writing
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.migrate import migrate
from servicekit.provision import KEYS, in_database, provision_store
from servicekit.settings import DatabaseSettings
from testkit.waiting import until

DEAD_MS = 1000.0


class Quiet:
    """A stream that takes everything at once: how long a bus takes is no part of the measure."""

    async def publish(self, subject: str, envelope: object) -> None:
        """Taken."""
        del subject, envelope


class Office:
    """Officers, and a writer with load if wanted."""

    def __init__(self, writer: LedgerWriter, given: With) -> None:
        self.writer = writer
        self.dead_at = 0.0
        self.given = replace(given, at=self._at)
        self.runner = Runner(self.given, writer.gate)

    def _at(self, step: str) -> None:
        if step == "shredded":
            self.dead_at = time.perf_counter()

    async def erase(self, subject: str, chance: random.Random) -> tuple[float, float]:
        """Milliseconds until the key is dead, and until the case is certified."""
        for _ in range(3):
            await self.writer.append(a_grant(subject, chance))
        cases, clock = self.given.cases, self.given.clock
        case = await cases.open(Case(os.urandom(8).hex(), (subject,), "OBJECTED", clock.now_us(), "clerk"))
        await self.runner.advance(case.id)
        for by in ("ada", "bob"):
            approve = partial(life.approve, by=by, role="officer", now_us=clock.now_us())
            started = time.perf_counter()
            await kept(cases, case.id, approve)
        await self.runner.advance(case.id)
        await until(partial(self._certified, case.id))
        return (self.dead_at - started) * 1000, (time.perf_counter() - started) * 1000

    async def _certified(self, case_id: str) -> bool:
        return (await self.runner.advance(case_id)).stage is Stage.CERTIFIED


@asynccontextmanager
async def office(folder: Path) -> AsyncIterator[Office]:
    """Both databases, filled with a registry."""
    async with AsyncExitStack() as opened:
        dsns = await opened.enter_async_context(database(folder))
        await provision_store(
            dsns["postgres"], KEYS, {role: unquote(urlsplit(dsns[role]).password or "") for role in KEYS.everybody}
        )
        await migrate(in_database(dsns[KEYS.owner], KEYS.database), KEYS.schema, "post", package=KEYS.package)

        async def pool(role: str) -> postgres.Pool:
            keys = role in KEYS.everybody
            dsn = in_database(dsns[role], KEYS.database) if keys else dsns[role]
            settings = DatabaseSettings(dsn=dsn, max_size=4)
            return await opened.enter_async_context(postgres.pool(settings, schema="keys" if keys else "consent"))

        clock, keks, writing = SystemClock(), KekFolder(folder / "keks"), await pool("consent_writer")
        keys = PostgresSubjectKeys(await pool("key_user"), keks, clock)
        cached = CachedSubjectKeys(keys)
        writer = LedgerWriter(Writing(PostgresLog(writing, LEDGER), cached, Registries(), clock, Agreeing(), "bench"))
        given = With(
            cases=PostgresCases(await pool("consent")),
            eraser=PostgresEraser(await pool("consent_eraser")),
            shredder=PostgresKeyShredder(await pool("key_shredder"), keks, clock),
            cached=cached,
            ledger=PostgresLedger(await pool("consent_reader"), LEDGER, keys),
            writer=writer,
            clock=clock,
            key=StatementKey(Ed25519PrivateKey.from_private_bytes(bytes(32)), "bench"),
            ledger_id=LEDGER,
        )
        relay = Relay(PostgresOutbox(writing), Quiet(), LEDGER, writer.gate, writer.appended)
        async with at_work(writer.run()), at_work(relay.run()):
            await writer.gate.opened()
            await writer.append(Publish(a_request(), document(), (NoticeBytes(NOTICE, WORDS),), ("one", "two")))
            yield Office(writer, given)


@asynccontextmanager
async def at_work(*tasks: object) -> AsyncIterator[None]:
    """Run these until left."""
    running = [asyncio.ensure_future(task) for task in tasks]  # type: ignore[call-overload]
    try:
        yield
    finally:
        for task in running:
            task.cancel()
        for task in running:
            with suppress(asyncio.CancelledError):
                await task


async def _busy(found: Office, chance: random.Random) -> None:
    """One caller who grants and withdraws all the time."""
    while True:
        subject = chance.randbytes(16).hex()
        await found.writer.append(a_grant(subject, chance))
        await found.writer.append(a_withdrawal(subject, chance))


async def measure(cases: int, callers: int, folder: Path) -> dict[str, object]:
    """Alone, then beside callers."""
    rows = []
    async with office(folder) as found:
        for load in (0, callers):
            chance = random.Random(load)
            async with at_work(*(_busy(found, random.Random(number)) for number in range(load))):
                times = [await found.erase(os.urandom(16).hex(), chance) for _ in range(cases)]
            dead, done = (percentiles(each) for each in zip(*times, strict=True))
            rows.append({"callers": load, "cases": cases, "dead_ms": dead, "certified_ms": done})
    return {"rows": rows, "met": all(dead <= DEAD_MS for row in rows for dead in row["dead_ms"].values())}


@click.command()
@click.option("--cases", default=100, show_default=True)
@click.option("--callers", default=32, show_default=True, help="Who grant and withdraw meanwhile.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=None)
def main(cases: int, callers: int, results: Path | None) -> None:
    """Print the figures; with --results also write erasure.json there."""
    facts = machine.facts()
    with tempfile.TemporaryDirectory(prefix="assent-bench-") as folder:
        Path(folder).chmod(0o755)  # the embedded PostgreSQL runs as nobody when we are root
        found = uvloop.run(measure(cases, callers, Path(folder)))
    for row in found["rows"]:
        click.echo("  ".join(f"{name} {value}" for name, value in row.items()))
    click.echo(f"met: {found['met']}")
    if results:
        report.write("erasure", facts | {"load_after": machine.load()}, found, results)


if __name__ == "__main__":
    main()
