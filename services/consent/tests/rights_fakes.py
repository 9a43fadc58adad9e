"""Cases on a real database: a writer, a relay to a list, keys in memory or in PostgreSQL, and a process that can be killed at any step."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import unquote, urlsplit

from consent_fakes import KEY, LEDGER, VKEY
from key_fakes import MemoryKeys
from signing_fakes import KEY as LOG_KEY
from writing_fakes import role_pool, writing_bench

from consent_service.announcements import Relay
from consent_service.auditing.proofs import Proofs
from consent_service.auditing.tree_store import PostgresTree
from consent_service.keys import CachedSubjectKeys
from consent_service.reading import StatementKey
from consent_service.rights import cases as life
from consent_service.rights.cases import Case, Stage
from consent_service.rights.exporting import Copying
from consent_service.rights.running import Runner, With, kept
from consent_service.rights.store import PostgresCases, PostgresEraser, PostgresRecords
from consent_service.storage import PostgresOutbox
from embedded import binaries
from servicekit import postgres
from servicekit.settings import DatabaseSettings
from testkit.waiting import until
from tlog import Checkpoint, sign_checkpoint

_numbers = itertools.count()
STATEMENT_KEY = StatementKey(KEY, VKEY.key_id)


class Killed(BaseException):
    """What kill -9 looks like from inside: nothing after this line runs."""


class Bus:
    """A stream that keeps what it is told; unless it is `there` nothing gets to it."""

    def __init__(self):
        self.told = []
        self.there = asyncio.Event()
        self.there.set()

    async def publish(self, subject, envelope):
        await self.there.wait()
        self.told.append((subject, envelope))

    def erased(self):
        return [e.subject_erased.change.subject_id for _, e in self.told if e.WhichOneof("body") == "subject_erased"]


@dataclasses.dataclass
class RightsBench:
    """What an officer can do."""

    bench: object
    cases: PostgresCases
    eraser: PostgresEraser
    copying: Copying
    given: With
    bus: Bus
    runner: Runner

    def __getattr__(self, name):
        return getattr(self.bench, name)

    def restarted(self, kill_at: str = "", die=None) -> Runner:
        """Another process; one that dies at a step when it is named."""

        def at(step: str) -> None:
            if step == kill_at:
                if die is not None:
                    die()
                raise Killed(step)

        cached = CachedSubjectKeys(self.given.shredder)
        self.runner = Runner(dataclasses.replace(self.given, at=at, cached=cached), self.bench.writer.gate)
        return self.runner

    async def ask(self, *subjects: str) -> Case:
        """A case, requested and sealed."""
        members = set(subjects)
        for subject in subjects:
            members |= (await self.bench.ledger.read(subject)).members
        now_us = self.bench.clock.now_us()
        case = Case(f"case-{next(_numbers)}", tuple(sorted(members)), "OBJECTED", now_us, "clerk")
        case = await self.cases.open(case)
        return await self.runner.advance(case.id)

    async def approve(self, case: Case, *who: str, **changed) -> Case:
        for by in who or ("ada", "bob"):
            now_us = self.bench.clock.now_us()
            case = await kept(
                self.cases,
                case.id,
                lambda case, by=by, now_us=now_us: life.approve(case, by, role="officer", now_us=now_us, **changed),
            )
        return case

    async def finish(self, case: Case) -> Case:
        """Wait until the case is certified."""

        async def certified():
            found = await self.runner.advance(case.id)
            return found if found.stage is Stage.CERTIFIED else None

        return await until(certified)

    async def erase(self, *subjects: str) -> Case:
        """All of it."""
        return await self.finish(await self.approve(await self.ask(*subjects)))

    async def checkpoint(self) -> int:
        """What the signer would do; the size."""
        [head] = await self.bench.fetch("select size, root from log_head")
        note = sign_checkpoint(Checkpoint(LOG_KEY.vkey.name, head["size"], head["root"]), [LOG_KEY])
        await self.bench.execute(
            "insert into checkpoint values ($1, $2, $3, '{}', 0) on conflict do nothing",
            head["size"],
            head["root"],
            note,
        )
        return head["size"]


@asynccontextmanager
async def rights_bench(database, *, keys=None, **changed):
    keys = keys or MemoryKeys()
    async with AsyncExitStack() as opened:
        bench = await opened.enter_async_context(writing_bench(database, keys=keys, **changed))
        main = await opened.enter_async_context(
            postgres.pool(DatabaseSettings(dsn=database.dsn, max_size=2), schema="consent")
        )
        deleting, reading, relaying = [
            await opened.enter_async_context(role_pool(database, role, max_size=2))
            for role in ("consent_eraser", "consent_reader", "consent_writer")
        ]
        cases, eraser, bus = PostgresCases(main), PostgresEraser(deleting), Bus()
        given = With(
            cases=cases,
            eraser=eraser,
            shredder=keys,
            cached=CachedSubjectKeys(keys),
            ledger=bench.ledger,
            writer=bench.writer,
            clock=bench.clock,
            key=STATEMENT_KEY,
            ledger_id=LEDGER,
        )
        relay = Relay(PostgresOutbox(relaying), bus, LEDGER, bench.writer.gate, bench.writer.appended)
        running = asyncio.create_task(relay.run())
        copying = Copying(bench.ledger, PostgresRecords(reading), keys, Proofs(PostgresTree(reading)), STATEMENT_KEY)
        try:
            yield RightsBench(bench, cases, eraser, copying, given, bus, Runner(given, bench.writer.gate))
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def dump(dsn: str) -> str:
    """Everything that the database holds, as a backup would."""
    parts = urlsplit(dsn)
    env = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    address = dsn.replace(f":{parts.password}@", "@", 1)
    program = str(binaries.postgres() / "pg_dump")
    return subprocess.run([program, "--inserts", address], capture_output=True, text=True, check=True, env=env).stdout
