"""One child process: started tied to us, watched until ready, stopped politely, killed for fault tests.

A child is tied to the thread that launches it (that is how Linux counts parents): launch from a thread that outlives the child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from embedded import tether

Ready = Callable[[], bool]


class StartFailed(Exception):
    """A server did not become ready; the text carries the end of its log."""


@dataclass(frozen=True, slots=True)
class User:
    """Whom a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how: `user` None means as we are; `death_signal` arrives when we die."""

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: User | None = None
    death_signal: int = signal.SIGTERM


class Process:
    """A running or ended `Program`."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._child: subprocess.Popen[bytes] | None = None

    def launch(self) -> None:
        """Start the program in its own session, so that Ctrl-C in a terminal reaches only us."""
        program = self.program
        with program.log.open("ab") as log:
            self._child = subprocess.Popen(
                tethered(program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(program.env),
                cwd=program.cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._child.pid if self._child and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self._child is not None and self._child.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or before it started. Negative: the signal."""
        return self._child.poll() if self._child else None

    def wait_ready(self, ready: Ready, *, timeout: float = 30) -> None:
        """Block until `ready()`; raises StartFailed when it ends first or takes longer than `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive:
                raise StartFailed(f"{self.program.name} ended with code {self.exit_code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise StartFailed(f"{self.program.name} was not ready after {timeout:g} s:\n{self.tail()}")
            time.sleep(0.01)

    def send(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self._child is not None and self.alive:
            self._child.send_signal(number)

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        try:
            if self._child is not None:
                self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, number: int = signal.SIGTERM, *, timeout: float = 15) -> None:
        """Ask it to end with `number`; kill it when it has not after `timeout` seconds."""
        self.send(number)
        if not self.wait(timeout):
            self.kill()

    def kill(self) -> None:
        """End it as a crash would."""
        self.send(signal.SIGKILL)
        self.wait(10)

    def tail(self, lines: int = 20) -> str:
        """The end of its log."""
        try:
            return "\n".join(self.program.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


def tethered(program: Program) -> list[str]:
    """The command line that ties `program` to this process."""
    user = program.user or User(-1, -1)
    tie = [str(os.getpid()), str(int(program.death_signal)), str(user.uid), str(user.gid)]
    return [sys.executable, "-I", "-S", tether.__file__, *tie, *program.argv]


def run(program: Program, *, timeout: float = 60) -> None:
    """Run `program` to its end; raises StartFailed unless it succeeds."""
    process = Process(program)
    process.launch()
    if not process.wait(timeout):
        process.kill()
    if process.exit_code != 0:
        raise StartFailed(f"{program.name} ended with code {process.exit_code}:\n{process.tail()}")
