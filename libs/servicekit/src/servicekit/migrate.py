"""Migrations with dbmate, one run at a time per service.

Files are `<package>/sql/migrations/{pre,post}/NNNN_name.sql`, numbered without repeats over both folders. `pre` runs before new code
starts, `post` when no old replica is left. A `post` file that is followed by a `pre` file belongs to an earlier release, so `pre` runs it
in its turn: a new database and an old one take the same steps in the same order.

The lock is polled: a session that waits in pg_advisory_lock holds a snapshot, which stalls CREATE INDEX CONCURRENTLY. It is a
session's lock, so a killed run leaves nothing behind; what its dbmate was doing is waited for, by application name.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from servicekit.errors import FailedPrecondition, Invalid, Unavailable
from servicekit.postgres import Connection, translated

Phase: TypeAlias = Literal["pre", "post"]

LIMITS = "-c lock_timeout=4s -c statement_timeout=5s"
"""A migration that would queue behind a long transaction gives up instead of stopping everybody behind it."""
POLL_S = 0.2
TABLE = "schema_migrations"


async def migrate(
    dsn: str, service: str, phase: Phase = "pre", *, package: str | None = None, patience_s: float = 120
) -> None:
    """Bring the schema of `service` up to `phase`; `dsn` is its owner's. Repeating it is harmless, and so is a
    service without migrations.

    Raises FailedPrecondition with dbmate's text when a file fails, Unavailable when another run does not end in `patience_s`.
    """
    with staged(package or f"{service}_service", phase) as files:
        if any(files.iterdir()):
            async with _alone(dsn, service, patience_s):
                await _dbmate(dsn, service, files)


class staged:  # noqa: N801  a context, used like a function
    """A folder that holds exactly the files of a phase: dbmate runs whatever its folders hold."""

    def __init__(self, package: str, phase: Phase) -> None:
        self._files = plan(migrations(package, "pre"), migrations(package, "post"), phase)
        self._folder = tempfile.TemporaryDirectory(prefix="assent-migrate-")

    def __enter__(self) -> Path:
        folder = Path(self._folder.name)
        for file in self._files:
            shutil.copyfile(file, folder / file.name)
        return folder

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def migrations(package: str, phase: Phase) -> list[Path]:
    """The files of one folder, in order; none when the folder is absent."""
    folder = Path(str(resources.files(package))) / "sql" / "migrations" / phase
    return sorted(folder.glob("*.sql"))


def plan(pre: Sequence[Path], post: Sequence[Path], phase: Phase) -> list[Path]:
    """What `phase` may run, in order; raises Invalid when a number is missing or used twice."""
    numbered = {**_numbered(pre), **_numbered(post)}
    if len(numbered) != len(pre) + len(post):
        raise Invalid("Two migrations have one number.", reason="MIGRATION_NUMBER_TWICE")
    last = max(_numbered(pre), default=0)
    wanted = numbered if phase == "post" else {number: file for number, file in numbered.items() if number <= last}
    return [wanted[number] for number in sorted(wanted)]


def _numbered(files: Iterable[Path]) -> dict[int, Path]:
    numbered: dict[int, Path] = {}
    for file in files:
        number = file.name.partition("_")[0]
        if not number.isdigit():
            raise Invalid(f"{file.name} does not begin with a number.", reason="MIGRATION_WITHOUT_NUMBER")
        if int(number) in numbered:
            raise Invalid(f"{file.name} repeats a number.", reason="MIGRATION_NUMBER_TWICE")
        numbered[int(number)] = file
    return numbered


@asynccontextmanager
async def _alone(dsn: str, service: str, patience_s: float) -> AsyncIterator[None]:
    async with translated():
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "assent migrate"})
    try:
        await _until_alone(connection, service, patience_s)
        yield
    finally:
        await connection.close()


async def _until_alone(connection: Connection, service: str, patience_s: float) -> None:
    try:
        async with asyncio.timeout(patience_s):
            while not await _locked(connection, service) or await _orphans(connection, service):  # noqa: ASYNC110  it happens in PostgreSQL
                await asyncio.sleep(POLL_S)
    except TimeoutError as error:
        raise Unavailable("Another migration of this service is running.", reason="MIGRATION_RUNNING") from error


async def _locked(connection: Connection, service: str) -> bool:
    """Whether we hold the lock now. Asking again while holding it only counts."""
    key = f"assent.migrate.{service}"
    async with translated():
        return bool(await connection.fetchval("select pg_try_advisory_lock(hashtextextended($1, 0))", key))


async def _orphans(connection: Connection, service: str) -> bool:
    """Whether a dbmate whose lock holder was killed is still at work."""
    asked = "select exists (select from pg_stat_activity where application_name = $1 and datname = current_database())"
    async with translated():
        return bool(await connection.fetchval(asked, _application(service)))


def _application(service: str) -> str:
    return f"dbmate {service}"


async def _dbmate(dsn: str, service: str, files: Path) -> None:
    """Run it. The DSN travels in the environment, because everybody can read a command line."""
    child = await asyncio.create_subprocess_exec(
        dbmate(),
        *("--migrations-dir", str(files), "--migrations-table", TABLE, "--no-dump-schema", "migrate"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "DATABASE_URL": url(dsn, service), "PGOPTIONS": LIMITS, "PGAPPNAME": _application(service)},
        cwd=files,
    )
    try:
        output, _ = await child.communicate()
    except asyncio.CancelledError:
        child.kill()
        await child.wait()
        raise
    if child.returncode != 0:
        raise FailedPrecondition(f"The migration failed: {output.decode().strip()}", reason="MIGRATION_FAILED")


def url(dsn: str, schema: str) -> str:
    """The DSN as dbmate wants it: bookkeeping and unqualified names go to `schema`."""
    parts = urlsplit(dsn)
    query = {"sslmode": "disable" if _local(parts.hostname) else "prefer", **dict(parse_qsl(parts.query))}
    return urlunsplit(parts._replace(scheme="postgres", query=urlencode({**query, "search_path": schema})))


def _local(host: str | None) -> bool:
    return host in {None, "localhost", "127.0.0.1", "::1"}


def dbmate() -> str:
    """The program, beside our interpreter or on PATH; raises FailedPrecondition when there is none."""
    beside = Path(sys.executable).parent / "dbmate"
    found = str(beside) if beside.exists() else shutil.which("dbmate")
    if found is None:
        raise FailedPrecondition("dbmate is neither beside the interpreter nor on PATH.", reason="NO_DBMATE")
    return found
