"""Checks of a service's SQL: the dump that people read, every query, and files that a release carried.

`python -m testkit.schema consent` writes `schema.sql`; with `--release` it also enters the migrations of today into `released.sha256`.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

import asyncpg

from embedded import binaries
from servicekit import migrate, queries
from testkit.databases import Database, Databases
from testkit.platform import running_platform

NOISE = ("--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict")


def sql_folder(package: str) -> Path:
    """The folder `sql` of a package."""
    return Path(str(resources.files(package))) / "sql"


def schema_dump(dsn: str, schema: str) -> str:
    """What pg_dump says about `schema`, without comments, settings and bookkeeping: the same on every machine."""
    bookkeeping = f"--exclude-table={schema}.{migrate.TABLE}"
    options = ["--schema-only", f"--schema={schema}", "--no-owner", "--no-privileges", bookkeeping]
    parts = urlsplit(dsn)
    # The password travels in the environment, because everybody can read a command line.
    env = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    address = dsn.replace(f":{parts.password}@", "@", 1)
    program = str(binaries.postgres() / "pg_dump")
    ran = subprocess.run([program, *options, address], capture_output=True, text=True, check=True, env=env)  # noqa: S603  ours
    return normalised(ran.stdout)


def normalised(dump: str) -> str:
    """The statements of a dump, one empty line between paragraphs."""
    lines = [line.rstrip() for line in dump.splitlines() if not line.startswith(NOISE)]
    paragraphs = "\n".join(lines).split("\n\n")
    return "\n\n".join(text.strip("\n") for text in paragraphs if text.strip()) + "\n"


def assert_schema_matches(database: Database) -> None:
    """Fail with a diff unless `schema.sql` is the dump of the migrated database."""
    path = sql_folder(database.package) / "schema.sql"
    written = path.read_text() if path.exists() else ""
    dumped = schema_dump(database.owner_dsn, database.service)
    diff = list(difflib.unified_diff(written.splitlines(), dumped.splitlines(), "schema.sql", "migrated", lineterm=""))
    assert not diff, "\n".join(["run: python -m testkit.schema " + database.service, *diff])


async def assert_queries_prepare(database: Database, package: str | None = None) -> None:
    """Fail naming each query that PostgreSQL does not accept on the migrated schema, as the role that runs it."""
    connection = await asyncpg.connect(database.dsn, server_settings={"search_path": database.service})
    try:
        found = queries.statements(package or database.package)
        problems = [f"{name}: {text}" for name, sql in found.items() if (text := await _problem(connection, sql))]
    finally:
        await connection.close()
    assert not problems, "\n".join(problems)


async def _problem(connection: asyncpg.Connection[asyncpg.Record], sql: str) -> str | None:
    try:
        await connection.prepare(sql)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


def assert_released_unchanged(package: str) -> None:
    """Fail naming each migration that a release carried and that has since changed or gone."""
    today = dict(_checksums(package))
    changed = [name for name, digest in _released(package).items() if today.get(name) != digest]
    assert not changed, f"a release carried these migrations, add a new one instead: {', '.join(changed)}"


def _checksums(package: str) -> Iterator[tuple[str, str]]:
    phases: tuple[migrate.Phase, migrate.Phase] = ("pre", "post")
    for phase in phases:
        for file in migrate.migrations(package, phase):
            yield f"{phase}/{file.name}", hashlib.sha256(file.read_bytes()).hexdigest()


def _released(package: str) -> dict[str, str]:
    """In the format of sha256sum, so that `sha256sum -c` understands it too."""
    path = sql_folder(package) / "migrations" / "released.sha256"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def release(package: str) -> None:
    """Enter the migrations of today; from now on they must not change."""
    assert_released_unchanged(package)
    text = "".join(f"{digest}  {name}\n" for name, digest in _checksums(package))
    (sql_folder(package) / "migrations" / "released.sha256").write_text(text)


async def write_schema(service: str, package: str) -> None:
    """Migrate an empty database and write its dump to `schema.sql`."""
    with running_platform() as platform:
        database = await Databases(platform.postgres).fresh(service, package=package)
        (sql_folder(package) / "schema.sql").write_text(schema_dump(database.owner_dsn, service))


def main(argv: list[str]) -> None:
    """The command."""
    for service in (name for name in argv if not name.startswith("-")):
        asyncio.run(write_schema(service, f"{service}_service"))
        if "--release" in argv:
            release(f"{service}_service")


if __name__ == "__main__":
    main(sys.argv[1:])
