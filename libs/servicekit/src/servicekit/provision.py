"""Database, roles and schemas of a suite: run by an administrator before the first migration, and again whenever a service is added.

As a job: `python -m servicekit.provision --admin-dsn-file F --passwords-file F [--database NAME] SERVICE ...`; the second file is a JSON
object of passwords by role. Secrets are read from files, because everybody can read a command line.

Each service gets a schema and two roles: `<service>_owner` migrates it, `<service>` reads and writes its rows and nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from servicekit.postgres import Connection, translated

DATABASE = "assent"


def roles(service: str) -> tuple[str, str]:
    """The roles of a service: the one that migrates, the one that runs."""
    return f"{service}_owner", service


async def provision(
    admin_dsn: str, services: Iterable[str], passwords: Mapping[str, str], *, database: str = DATABASE
) -> None:
    """Create what is missing and set every role's password; `passwords` is by role. Repeating it is harmless."""
    async with translated():
        await _create_database(admin_dsn, database)
        connection = await asyncpg.connect(in_database(admin_dsn, database))
        try:
            await _close_to_public(connection, database)
            for service in services:
                await _provision_service(connection, service, passwords)
        finally:
            await connection.close()


def in_database(dsn: str, database: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{database}"))


async def _create_database(admin_dsn: str, database: str) -> None:
    connection = await asyncpg.connect(admin_dsn)
    try:
        if not await connection.fetchval("select exists (select from pg_database where datname = $1)", database):
            await connection.execute(f'create database "{database}"')
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        pass  # another job was first
    finally:
        await connection.close()


async def _close_to_public(connection: Connection, database: str) -> None:
    """Whoever is not named gets nothing: PUBLIC may by default connect and make temporary tables."""
    await connection.execute(f'revoke all on database "{database}" from public')
    await connection.execute("revoke all on schema public from public")


async def _provision_service(connection: Connection, service: str, passwords: Mapping[str, str]) -> None:
    owner, runner = roles(service)
    async with connection.transaction():
        await connection.fetchval(
            "select set_config('provision.service', $1, true) || set_config('provision.owner_password', $2, true)"
            " || set_config('provision.password', $3, true) is not null",
            service,
            passwords[owner],
            passwords[runner],
        )
        await connection.execute((resources.files("servicekit") / "sql" / "provision.sql").read_text())


def main(argv: Sequence[str]) -> None:
    """The job."""
    parser = argparse.ArgumentParser(prog="python -m servicekit.provision", description="Create roles and schemas.")
    parser.add_argument("--admin-dsn-file", type=Path, required=True)
    parser.add_argument("--passwords-file", type=Path, required=True)
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("services", nargs="+")
    given = parser.parse_args(argv)
    dsn, passwords = given.admin_dsn_file.read_text().strip(), json.loads(given.passwords_file.read_text())
    asyncio.run(provision(dsn, given.services, passwords, database=given.database))


if __name__ == "__main__":
    main(sys.argv[1:])
