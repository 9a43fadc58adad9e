"""The servers under the tests: one PostgreSQL and one NATS per pytest process, embedded or in containers, never mocks.

Each pytest-xdist worker has its own pair: starting one takes less than a second, and sharing would make one worker's faults another's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, cast

from embedded.nats import Nats
from embedded.postgres import FAST, Postgres

Engine: TypeAlias = Literal["embedded", "containers"]
ENGINE = "ASSENT_TEST_ENGINE"


class PostgresServer(Protocol):
    """A PostgreSQL that tests may break."""

    def dsn(self, database: str = "postgres", *, role: str = "postgres", password: str | None = None) -> str:
        """A connection URL; without role and password the administrator's."""
        ...

    def stop(self) -> None:
        """Shut down cleanly."""

    def kill(self) -> None:
        """Crash it."""

    def restart(self) -> None:
        """Start again on the same port and data."""


class NatsServer(Protocol):
    """A NATS server with JetStream that tests may break."""

    @property
    def url(self) -> str:
        """Where clients connect, without a password."""
        ...

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each user."""
        ...

    def stop(self) -> None:
        """Shut down cleanly."""

    def kill(self) -> None:
        """Crash it."""

    def restart(self) -> None:
        """Start again on the same port and store."""


class Platform:
    """Both servers, and a folder that they and nobody else need."""

    def __init__(self, folder: Path, postgres: PostgresServer, nats: NatsServer) -> None:
        self.folder = folder
        self.postgres = postgres
        self.nats = nats


def engine() -> Engine:
    """What ASSENT_TEST_ENGINE asks for; `auto` (the default) takes containers when a container engine answers."""
    asked = os.environ.get(ENGINE, "auto")
    if asked not in {"auto", "embedded", "containers"}:
        raise ValueError(f"{ENGINE} is auto, embedded or containers")
    if asked == "auto":
        return "containers" if _container_engine_answers() else "embedded"
    return cast("Engine", asked)


def _container_engine_answers() -> bool:
    program = shutil.which("docker")
    if program is None:
        return False
    asked = subprocess.run([program, "info"], capture_output=True, timeout=10, check=False)  # noqa: S603  a fixed command
    return asked.returncode == 0


@contextmanager
def running_platform(kind: Engine | None = None) -> Iterator[Platform]:
    """Both servers, started; gone without a trace when left."""
    folder = Path(tempfile.mkdtemp(prefix="assent-test-"))
    # As root the embedded PostgreSQL runs as nobody, who must get to its data; secrets in here have modes of their own.
    folder.chmod(0o755)
    try:
        with _containers(folder) if (kind or engine()) == "containers" else _embedded(folder) as platform:
            yield platform
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _embedded(folder: Path) -> Iterator[Platform]:
    postgres, nats = Postgres(folder, settings=FAST), Nats(folder)
    try:
        nats.launch()
        postgres.start()
        nats.wait_ready()
        yield Platform(folder, postgres, nats)
    finally:
        nats.remove()
        postgres.remove()


@contextmanager
def _containers(folder: Path) -> Iterator[Platform]:
    from testkit import containers  # noqa: PLC0415  testcontainers asks for its engine when it is imported

    with containers.postgres(folder) as postgres, containers.nats(folder) as nats:
        yield Platform(folder, postgres, nats)
