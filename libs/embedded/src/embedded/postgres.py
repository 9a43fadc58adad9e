"""A real PostgreSQL 18 on 127.0.0.1, from the wheel, with its data in a folder of ours."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from embedded import binaries, files
from embedded.process import Process, Program, StartFailed, run

ADMIN = "postgres"
DURABLE: Mapping[str, str] = {}
FAST: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""For tests: survives a crash of the server, not one of the machine. Commits stay synchronous, or a crash would lose some."""

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%a ",
    # The detail of a unique violation names the values, and logs carry no personal data.
    "log_error_verbosity": "terse",
    "jit": "off",
}
READY = "ready"
STATUS_LINE = 7
"""Of postmaster.pid, counted from 0: what pg_ctl reads too."""


class Postgres:
    """One server: `start`, `stop`, and `kill` and `restart` for fault tests. Its port stays the same over restarts.

    Secrets stay in `state`; data and log move to `/var/lib/assent/<hash>` when we are root and `nobody` cannot enter `state`.
    """

    def __init__(self, state: Path, *, port: int | None = None, settings: Mapping[str, str] = DURABLE) -> None:
        self._state = state
        self._chosen = port
        self._settings = {**SETTINGS, **settings}
        self._user = files.unprivileged()
        self._process: Process | None = None
        self.port = port or files.free_port()

    @property
    def home(self) -> Path:
        """The folder of data and log, owned by whom the server runs as."""
        return files.own_folder(files.place_for(self._state, self._user) / "postgres", user=self._user, mode=0o700)

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.home / "data"

    @property
    def log(self) -> Path:
        """Where the server writes what happens."""
        return self.home / "postgres.log"

    @property
    def password(self) -> str:
        """The password of the role `postgres`."""
        return files.passwords(self._state / "postgres.secrets", [ADMIN])[ADMIN]

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    def dsn(self, database: str = "postgres", *, role: str = ADMIN, password: str | None = None) -> str:
        """A connection URL; without role and password the administrator's."""
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Create the cluster if there is none, start, and wait until it answers."""
        self.prepare()
        self.launch()
        self.wait_ready()

    def prepare(self) -> None:
        """Create the cluster if there is none; safe to run in a thread."""
        if (self.data / "PG_VERSION").exists():
            return
        shutil.rmtree(self.data, ignore_errors=True)
        secret = self.home / "initdb.secret"
        files.write_secret(secret, self.password, user=self._user)
        try:
            run(self._program("initdb", *self._initdb(secret)))
        finally:
            secret.unlink()

    def _initdb(self, secret: Path) -> list[str]:
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        quick = [] if self._settings.get("fsync", "on") == "on" else ["--no-sync", "--wal-segsize=4"]
        access = ["--auth=scram-sha-256", f"--username={ADMIN}", f"--pwfile={secret}", "--no-instructions"]
        return [f"--pgdata={self.data}", *locale, *quick, *access]

    def launch(self) -> None:
        """Start the server without waiting. Call it from a thread that lives as long as the server."""
        if self._abandoned():
            (self.data / "postmaster.pid").unlink()
        settings = {**self._settings, "port": str(self.port)}
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._process = Process(self._program("postgres", "-D", str(self.data), *flags))
        self._process.launch()

    def wait_ready(self, timeout: float = 60) -> None:
        """Block until it accepts connections."""
        assert self._process is not None, "launch first"
        self._process.wait_ready(self._is_ready, timeout=timeout)

    def _is_ready(self) -> bool:
        lines = self._status()
        return len(lines) > STATUS_LINE and lines[0] == str(self.pid) and lines[STATUS_LINE].strip() == READY

    def _status(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _abandoned(self) -> bool:
        """Whether postmaster.pid names a process that is gone; its number may since belong to a stranger."""
        lines = self._status()
        return bool(lines) and not _runs_postgres(lines[0])

    def stop(self) -> None:
        """Shut down cleanly: sessions are ended, the log is flushed."""
        if self._process:
            self._process.stop(signal.SIGINT, timeout=30)

    def kill(self) -> None:
        """Crash it."""
        if self._process:
            self._process.kill()

    def restart(self) -> None:
        """Start again on the same port, after `stop` or `kill`."""
        self.stop()
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.start()
            except StartFailed:
                # The children of a killed server hold its shared memory until they notice.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def remove(self) -> None:
        """Stop, and delete cluster, log and secrets."""
        self.stop()
        relocated = self.home.parent != self._state
        shutil.rmtree(self.home.parent if relocated else self.home, ignore_errors=True)
        (self._state / "postgres.secrets").unlink(missing_ok=True)

    def _program(self, name: str, *arguments: str) -> Program:
        program = binaries.postgres(self._user) / name
        env = {"PATH": str(program.parent), "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.home)}
        return Program(
            name,
            [str(program), *arguments],
            log=self.log,
            env=env,
            cwd=self.home,
            user=self._user,
            death_signal=signal.SIGINT,
        )


def _runs_postgres(pid: str) -> bool:
    try:
        return b"postgres" in Path(f"/proc/{int(pid)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return False
