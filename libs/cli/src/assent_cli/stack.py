"""The whole suite on one machine, as a library: servers, migrations, and every service as a process of its own.

`async with running_stack(Path(".assent")) as stack:` is what `assent up`, the demonstration, end-to-end tests and benchmarks share.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from assent_cli import folder
from assent_cli.discovery import Service, discover
from assent_cli.environment import Place, environment
from assent_cli.supervised import Status, Supervised
from embedded import files
from embedded.keys import Keys, write_tokens
from embedded.nats import Nats
from embedded.nats_accounts import ACCOUNTS, Account
from embedded.postgres import DURABLE, FAST, Postgres
from embedded.scopes import ROLES
from servicekit import nats as kit_nats
from servicekit.migrate import migrate
from servicekit.provision import DATABASE, FURTHER, KEPT_BY, KEYS, every_role, provision, provision_store, roles
from servicekit.settings import NatsSettings
from servicekit.streams import ensure_streams

READY_S = 60.0

Progress = Callable[[str], None]
"""Told what the stack is doing, in a few words."""


def _silent(_: str) -> None:
    """Nobody listens."""


class Stack:
    """A suite in one folder. `postgres` and `nats` are the servers, for fault tests: `stack.nats.kill()`, `stack.nats.restart()`."""

    def __init__(
        self,
        state: Path,
        services: Sequence[Service],
        *,
        ports: Mapping[str, int] | None = None,
        env: Mapping[str, str] | None = None,
        durable: bool = True,
        keep_logs: bool = False,
        progress: Progress = _silent,
    ) -> None:
        self.state = state.resolve()
        self.services = {service.name: service for service in services}
        self.processes = {process.name: process for service in services for process in service.processes}
        self.keys = Keys(self.state / "keys")
        self.postgres = Postgres(self.state, settings=DURABLE if durable else FAST)
        self.nats = Nats(self.state, accounts={name: Account() for name in self.processes} | dict(ACCOUNTS))
        self.tokens: dict[str, Path] = {}
        self.running: dict[str, Supervised] = {}
        self._ports = dict(ports or {})
        self._env = dict(env or {})
        self._keep_logs = keep_logs
        self._progress = progress

    @property
    def logs(self) -> Path:
        """The folder of the services' logs."""
        return self.state / "logs"

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each role in PostgreSQL."""
        return files.passwords(self.state / "roles.secrets", every_role(self.services))

    def dsn(self, service: str, *, owner: bool = False) -> str:
        """Where a service finds its schema; with `owner` as the role that migrates it."""
        return self._dsn_of(roles(service)[0 if owner else 1])

    def _dsn_of(self, role: str) -> str:
        return self.postgres.dsn(DATABASE, role=role, password=self.passwords[role])

    def keys_dsn(self, role: str) -> str:
        """Where one of the keys' roles finds them."""
        return self.postgres.dsn(KEYS.database, role=role, password=self.passwords[role])

    def grpc_address(self, service: str) -> str:
        """Where a service answers gRPC; the same over restarts."""
        return f"127.0.0.1:{self.running[service].port}"

    def token(self, role: str) -> str:
        """The token of a role, such as `channel` or `auditor`."""
        return self.tokens[role].read_text().strip()

    def nats_settings(self, user: str = "cli") -> NatsSettings:
        """How to connect to the bus as one of its users."""
        return NatsSettings(servers=(self.nats.url,), user=user, password=SecretStr(self.nats.passwords[user]))

    def statuses(self) -> list[Status]:
        """What each service is doing."""
        return [service.status for service in self.running.values()]

    async def kill(self, service: str) -> None:
        """Crash a service, and leave it down until `restart`."""
        await self.running[service].kill()

    async def restart(self, service: str) -> None:
        """Start a service again, drained or killed, and wait until it serves."""
        await self.running[service].restart(READY_S)

    async def until_ready(self, timeout_s: float = READY_S) -> None:
        """Wait until every service is ready; before a first bundle is active some are not, and the stack is up all the same."""
        await asyncio.gather(*(service.until_ready(timeout_s) for service in self.running.values()))

    async def start(self, opened: AsyncExitStack) -> None:
        """Start everything in order; what `opened` undoes is everything in the opposite order."""
        self._prepare_folder()
        self._progress("starting PostgreSQL and NATS")
        await self._start_servers(opened)
        self._progress("preparing schemas and streams")
        await self._prepare_stores()
        self._progress(f"starting {', '.join(self.processes) or 'no services: none is installed'}")
        await self._start_services(opened)

    def _prepare_folder(self) -> None:
        files.own_folder(self.logs)
        files.own_folder(self.state / "run", mode=0o700)
        self.keys.create(self.processes)
        self.tokens = write_tokens(self.state / "tokens", self.keys, ROLES)

    async def _start_servers(self, opened: AsyncExitStack) -> None:
        await asyncio.to_thread(self.postgres.prepare)
        # Launched from this thread: a child is tied to the thread that launched it.
        opened.callback(self.postgres.stop)
        self.postgres.launch()
        opened.callback(self.nats.stop)
        self.nats.launch()
        await asyncio.gather(asyncio.to_thread(self.postgres.wait_ready), asyncio.to_thread(self.nats.wait_ready))

    async def _prepare_stores(self) -> None:
        await provision(self.postgres.dsn(), self.services, self.passwords)
        if KEPT_BY in self.services:
            await self._prepare_keys()
        await asyncio.gather(self._ensure_streams(), *map(self._migrate, self.services.values()))

    async def _prepare_keys(self) -> None:
        await provision_store(self.postgres.dsn(), KEYS, self.passwords)
        await migrate(self.keys_dsn(KEYS.owner), KEYS.schema, "post", package=KEYS.package)

    async def _ensure_streams(self) -> None:
        async with kit_nats.connect(self.nats_settings(), "cli") as bus:
            await ensure_streams(bus)

    async def _migrate(self, service: Service) -> None:
        await migrate(self.dsn(service.name, owner=True), service.name, "post", package=service.package)

    async def _start_services(self, opened: AsyncExitStack) -> None:
        self.running = {name: self._supervised(service) for name, service in self.processes.items()}
        opened.push_async_callback(self._stop_services)
        for service in self.running.values():
            service.start()
        await asyncio.gather(*(service.until_started(READY_S) for service in self.running.values()))

    async def _stop_services(self) -> None:
        self._progress("draining")
        await asyncio.gather(*(service.stop() for service in self.running.values()))

    def _supervised(self, service: Service) -> Supervised:
        log = self.logs / f"{service.name}.log"
        if not self._keep_logs:
            log.write_text("")
        port = self._ports.get(service.name) or files.free_port()
        data = files.own_folder(self.state / "data" / service.name)
        place = Place(
            dsn=self._dsn_of(service.role),
            nats_url=self.nats.url,
            nats_password=self.nats.passwords[service.name],
            grpc_port=port,
            ready_file=self.state / "run" / f"{service.name}.json",
            data=data,
            keys={role: self.keys_dsn(role) for role in KEYS.roles} if service.name == KEPT_BY else {},
            roles={role: self._dsn_of(role) for role in FURTHER.get(service.name, ())},
        )
        env = environment(service, place, self.keys, self._env)
        return Supervised(service, env, log=log, port=port, changed=self._describe)

    def _describe(self) -> None:
        folder.write_description(self.state, self.description())

    def description(self) -> dict[str, Any]:
        """What runs and where, without secrets: what `stack.json` holds."""
        services = {
            status.name: {
                "pid": status.pid,
                "state": status.state.value,
                "grpc": self.grpc_address(status.name),
                "dsn": f"postgresql://{self.processes[status.name].role}@127.0.0.1:{self.postgres.port}/{DATABASE}",
                "log": str(self.running[status.name].log),
            }
            for status in self.statuses()
        }
        return {
            "pid": os.getpid(),
            "postgres": {"pid": self.postgres.pid, "port": self.postgres.port, "log": str(self.postgres.log)},
            "nats": {"pid": self.nats.pid, "url": self.nats.url, "log": str(self.nats.log)},
            "services": services,
            "tokens": {role: str(path) for role, path in self.tokens.items()},
        }


@asynccontextmanager
async def running_stack(
    state: Path,
    services: Sequence[str] | None = None,
    *,
    packages: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
    env: Mapping[str, str] | None = None,
    durable: bool = True,
    keep_logs: bool = False,
    progress: Progress = _silent,
) -> AsyncIterator[Stack]:
    """A stack whose services are up (see `Stack.until_ready`); drained when left: services first, then NATS, then PostgreSQL.

    `services` are names, by default every service that is installed and built; `packages` replaces what is installed.
    Raises AlreadyRunning, NoSuchService, or StartFailed with the end of the log of whatever did not start.
    """
    stack = Stack(
        state,
        discover(services, packages),
        ports=ports,
        env=env,
        durable=durable,
        keep_logs=keep_logs,
        progress=progress,
    )
    with folder.locked(stack.state):
        async with AsyncExitStack() as opened:
            await stack.start(opened)
            yield stack
