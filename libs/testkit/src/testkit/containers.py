"""The same servers in containers, where a container engine answers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

from embedded import files, nats_config
from embedded.nats_accounts import ACCOUNTS

POSTGRES = "postgres:18-alpine"
NATS = "nats:2-alpine"


class _Server:
    """A container with one published port, which stays the same over restarts."""

    def __init__(self, container: Any, port: int, ready: str) -> None:
        self._container = container
        self._ready = ready
        self.port = port

    @property
    def host(self) -> str:
        """Where the port is published."""
        return str(self._container.get_container_host_ip())

    def stop(self) -> None:
        """Shut down cleanly."""
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        """Crash it."""
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Start again on the same port and data."""
        self._container.get_wrapped_container().restart()
        wait_for_logs(self._container, self._ready, timeout=60)


class ContainerPostgres(_Server):
    """PostgreSQL in a container."""

    password = ""

    def dsn(self, database: str = "postgres", *, role: str = "postgres", password: str | None = None) -> str:
        """A connection URL; without role and password the administrator's."""
        return f"postgresql://{role}:{password or self.password}@{self.host}:{self.port}/{database}"


class ContainerNats(_Server):
    """NATS in a container."""

    passwords: dict[str, str] = {}  # noqa: RUF012  set once, below

    @property
    def url(self) -> str:
        """Where clients connect, without a password."""
        return f"nats://{self.host}:{self.port}"


@contextmanager
def postgres(folder: Path) -> Iterator[ContainerPostgres]:
    """A PostgreSQL container."""
    del folder
    port, password = files.free_port(), secrets.token_urlsafe(16)
    container = DockerContainer(POSTGRES).with_bind_ports(5432, port).with_env("POSTGRES_PASSWORD", password)
    with container.with_command("-c fsync=off -c max_connections=300"):
        ready = r"ready to accept connections[\s\S]*ready to accept connections"
        wait_for_logs(container, ready, timeout=60)
        server = ContainerPostgres(container, port, ready)
        server.password = password
        yield server


@contextmanager
def nats(folder: Path) -> Iterator[ContainerNats]:
    """A NATS container with our accounts."""
    port, passwords = files.free_port(), files.passwords(folder / "nats.secrets", ACCOUNTS)
    config = folder / "nats.json"
    text = nats_config.render(port=4222, store=Path("/data"), accounts=ACCOUNTS, passwords=passwords, host="0.0.0.0")  # noqa: S104  inside its container
    config.write_text(text)
    container = DockerContainer(NATS).with_bind_ports(4222, port).with_volume_mapping(str(config), "/etc/assent.json")
    with container.with_command("--config /etc/assent.json"):
        wait_for_logs(container, "Server is ready", timeout=60)
        server = ContainerNats(container, port, "Server is ready")
        server.passwords = passwords
        yield server
