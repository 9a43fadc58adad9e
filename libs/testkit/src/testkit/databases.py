"""A fresh, migrated database whenever a test asks: cloned from a template that is migrated once per run."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncpg

from servicekit.migrate import migrate
from servicekit.provision import FURTHER, Store, provision, provision_store, roles
from servicekit.settings import DatabaseSettings
from testkit.platform import PostgresServer


@dataclass(frozen=True, slots=True)
class Database:
    """One service's database: `dsn` is the service's role, `owner_dsn` the one that migrates, `admin_dsn` the administrator."""

    name: str
    service: str
    package: str
    dsn: str
    owner_dsn: str
    admin_dsn: str
    dsns: Mapping[str, str] = field(default_factory=dict)

    def dsn_of(self, role: str) -> str:
        """As another of the service's roles, such as `consent_reader`."""
        return self.dsns[role]

    @property
    def settings(self) -> DatabaseSettings:
        """What `servicekit.postgres.pool` takes."""
        return DatabaseSettings(dsn=self.dsn)


class Databases:
    """Makes databases on one server."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._passwords: dict[str, str] = defaultdict(lambda: secrets.token_urlsafe(16))
        self._templates: dict[str, asyncio.Task[str]] = {}
        self._numbers = itertools.count(1)

    async def fresh(self, service: str, *, package: str | None = None) -> Database:
        """A database of its own for `service`, migrated through both phases."""
        package = package or f"{service}_service"
        if package not in self._templates:
            self._templates[package] = asyncio.create_task(self._template(service, package))
        template = await self._templates[package]
        return await self._clone(service, package, template)

    async def empty(self, service: str, *, package: str | None = None) -> Database:
        """As `fresh`, with the roles and the schema but before the first migration."""
        database = self._named(
            f"{service}_{next(self._numbers)}_{os.getpid()}", service, package or f"{service}_service"
        )
        await provision(self._server.dsn(), [service], self._passwords_of(service), database=database.name)
        return database

    async def store(self, store: Store) -> Database:
        """A database of its own for a store, migrated; `dsn` is the first of its roles."""
        name = f"{store.schema}_{next(self._numbers)}_{os.getpid()}"
        passwords = {role: self._passwords[role] for role in store.everybody}
        await provision_store(self._server.dsn(), store, passwords, database=name)
        dsns = {role: self._server.dsn(name, role=role, password=password) for role, password in passwords.items()}
        await migrate(dsns[store.owner], store.schema, "post", package=store.package)
        first = dsns[store.roles[0]]
        return Database(name, store.schema, store.package, first, dsns[store.owner], self._server.dsn(name), dsns)

    async def _template(self, service: str, package: str) -> str:
        database = await self.empty(service, package=package)
        await migrate(database.owner_dsn, service, "post", package=package)
        return database.name

    async def _clone(self, service: str, package: str, template: str) -> Database:
        database = self._named(f"{template}_{next(self._numbers)}", service, package)
        connection = await asyncpg.connect(self._server.dsn())
        try:
            await connection.execute(f'create database "{database.name}" template "{template}"')
        finally:
            await connection.close()
        # Rights on the database itself, and the roles' search path, are not cloned.
        await provision(self._server.dsn(), [service], self._passwords_of(service), database=database.name)
        return database

    def _passwords_of(self, service: str) -> dict[str, str]:
        return {role: self._passwords[role] for role in (*roles(service), *FURTHER.get(service, ()))}

    def _named(self, name: str, service: str, package: str) -> Database:
        dsns = {
            role: self._server.dsn(name, role=role, password=password)
            for role, password in self._passwords_of(service).items()
        }
        owner, runner = roles(service)
        return Database(name, service, package, dsns[runner], dsns[owner], self._server.dsn(name), dsns)
