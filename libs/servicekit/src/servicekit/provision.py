"""Databases, roles and schemas of a suite: run by an administrator before the first migration, and again whenever a service or role is added.

As a job: `python -m servicekit.provision --admin-dsn-file F --passwords-file F [--database NAME] [--keys-admin-dsn-file F]
[--keys-database NAME] SERVICE ...`; the second file is a JSON object of passwords by role. Secrets are read from files, because everybody
can read a command line.

Each service gets a schema and two roles: `<service>_owner` migrates it, `<service>` reads and writes its rows and nothing else. A service
may have further roles, which its migrations grant what they need. The ledger's keys live in a database of their own, best on a server of
its own, so that no backup of the ledger can hold a key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from servicekit.postgres import Connection, translated

DATABASE = "assent"

FURTHER: Final[Mapping[str, tuple[str, ...]]] = {
    "consent": ("consent_writer", "consent_reader", "consent_signer", "consent_eraser", "consent_auditor"),
}
"""By service, the roles beside the one that migrates and the one that runs: none may do more than its one job."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A further process of a service, with a role, an account, a key and a volume of its own: it runs `<package of the service>.<module>`."""

    name: str
    of: str
    module: str
    role: str


COMPANIONS: Final = (Companion("consent-signer", "consent", "signing", "consent_signer"),)
"""Processes that must not share anything with the service whose log they watch."""


@dataclass(frozen=True, slots=True)
class Store:
    """A schema in a database of its own: `<schema>_owner` migrates it, with the package's files, and `roles` get what these grant."""

    schema: str
    database: str
    roles: tuple[str, ...]
    package: str

    @property
    def owner(self) -> str:
        """The role that migrates."""
        return f"{self.schema}_owner"

    @property
    def everybody(self) -> tuple[str, ...]:
        """All its roles, the owner first."""
        return (self.owner, *self.roles)


KEYS: Final = Store("keys", "assent_keys", ("key_user", "key_shredder"), "consent_service.keys")
"""The subjects' keys. `key_user` makes and re-wraps them, `key_shredder` ends them."""
KEPT_BY: Final = "consent"
"""The service whose keys they are."""


def roles(service: str) -> tuple[str, str]:
    """The roles of a service: the one that migrates, the one that runs."""
    return f"{service}_owner", service


def every_role(services: Iterable[str]) -> tuple[str, ...]:
    """All roles that these services need, those of the keys included: who has a password."""
    wanted = tuple(services)
    own = [role for service in wanted for role in (*roles(service), *FURTHER.get(service, ()))]
    return (*own, *(KEYS.everybody if KEPT_BY in wanted else ()))


async def provision(
    admin_dsn: str, services: Iterable[str], passwords: Mapping[str, str], *, database: str = DATABASE
) -> None:
    """Create what is missing and set every role's password; `passwords` is by role. Repeating it is harmless.

    A further role of which no password is given is made all the same, and cannot log in.
    """
    async with translated():
        await _create_database(admin_dsn, database)
        connection = await asyncpg.connect(in_database(admin_dsn, database))
        try:
            await _close_to_public(connection, database)
            for service in services:
                owner, runner = roles(service)
                given = {owner: passwords[owner], runner: passwords[runner]}
                more = {role: passwords.get(role) for role in FURTHER.get(service, ())}
                await _provision(connection, service, given | more, runner=runner)
        finally:
            await connection.close()


async def provision_store(
    admin_dsn: str, store: Store, passwords: Mapping[str, str], *, database: str | None = None
) -> None:
    """As `provision`, for a store: its database is that of its name unless another one is given."""
    database = database or store.database
    async with translated():
        await _create_database(admin_dsn, database)
        connection = await asyncpg.connect(in_database(admin_dsn, database))
        try:
            await _close_to_public(connection, database)
            await _provision(connection, store.schema, {role: passwords[role] for role in store.everybody})
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


async def _provision(
    connection: Connection, schema: str, passwords: Mapping[str, str | None], *, runner: str = ""
) -> None:
    async with connection.transaction():
        await connection.fetchval(
            "select set_config('provision.schema', $1, true) || set_config('provision.runner', $2, true)"
            " || set_config('provision.passwords', $3, true) is not null",
            schema,
            runner,
            json.dumps(passwords),
        )
        await connection.execute((resources.files("servicekit") / "sql" / "provision.sql").read_text())


def main(argv: Sequence[str]) -> None:
    """The job."""
    parser = argparse.ArgumentParser(prog="python -m servicekit.provision", description="Create roles and schemas.")
    parser.add_argument("--admin-dsn-file", type=Path, required=True)
    parser.add_argument("--passwords-file", type=Path, required=True)
    parser.add_argument("--database", default=DATABASE)
    parser.add_argument("--keys-admin-dsn-file", type=Path, help="the server of the keys, when it is another one")
    parser.add_argument("--keys-database", default=KEYS.database)
    parser.add_argument("services", nargs="+")
    given = parser.parse_args(argv)
    keys_file: Path = given.keys_admin_dsn_file or given.admin_dsn_file
    dsn, keys_dsn = (file.read_text().strip() for file in (given.admin_dsn_file, keys_file))
    passwords = json.loads(given.passwords_file.read_text())
    asyncio.run(provision(dsn, given.services, passwords, database=given.database))
    if KEPT_BY in given.services:
        asyncio.run(provision_store(keys_dsn, KEYS, passwords, database=given.keys_database))


if __name__ == "__main__":
    main(sys.argv[1:])
