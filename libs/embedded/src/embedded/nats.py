"""A real NATS server with JetStream on 127.0.0.1, from the wheel, with one user per service."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from embedded import binaries, files, nats_config
from embedded.nats_accounts import ACCOUNTS, Account
from embedded.process import Process, Program


class Nats:
    """One server: `start`, `stop`, and `kill` and `restart` for fault tests. Its port stays the same over restarts."""

    def __init__(
        self,
        state: Path,
        *,
        port: int | None = None,
        accounts: Mapping[str, Account] = ACCOUNTS,
        max_payload: int = nats_config.MAX_PAYLOAD,
    ) -> None:
        self._state = state
        self._accounts = accounts
        self._max_payload = max_payload
        self._process: Process | None = None
        self.port = port or files.free_port()

    @property
    def home(self) -> Path:
        """The folder of configuration, store and log."""
        self._state.mkdir(parents=True, exist_ok=True)
        return files.own_folder(self._state / "nats", mode=0o700)

    @property
    def log(self) -> Path:
        """Where the server writes what happens."""
        return self.home / "nats.log"

    @property
    def url(self) -> str:
        """Where clients connect, without a password."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process else None

    @property
    def passwords(self) -> dict[str, str]:
        """The password of each user."""
        return files.passwords(self._state / "nats.secrets", self._accounts)

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start the server without waiting. Call it from a thread that lives as long as the server."""
        config = self.home / "nats.json"
        files.write_secret(config, self._config())
        program = [str(binaries.beside_python("nats-server")), "--config", str(config)]
        self._process = Process(Program("nats-server", program, log=self.log, cwd=self.home))
        self._process.launch()

    def _config(self) -> str:
        return nats_config.render(
            port=self.port,
            store=self.home / "store",
            accounts=self._accounts,
            passwords=self.passwords,
            max_payload=self._max_payload,
        )

    def wait_ready(self, timeout: float = 30) -> None:
        """Block until it accepts connections."""
        assert self._process is not None, "launch first"
        self._process.wait_ready(self._greets, timeout=timeout)

    def _greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(5) == b"INFO "
        except OSError:
            return False

    def stop(self) -> None:
        """Shut down cleanly."""
        if self._process:
            self._process.stop()

    def kill(self) -> None:
        """Crash it."""
        if self._process:
            self._process.kill()

    def restart(self) -> None:
        """Start again on the same port and store, after `stop` or `kill`."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop, and delete configuration, store, log and passwords."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        (self._state / "nats.secrets").unlink(missing_ok=True)
