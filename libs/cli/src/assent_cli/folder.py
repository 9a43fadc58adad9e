"""The state folder `.assent/`: one stack at a time, and a file that says what runs."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STACK = "stack.json"


class AlreadyRunning(Exception):
    """Another process runs a stack in this folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder; raises AlreadyRunning while somebody else does. The kernel lets go when the holder dies, however it does."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise AlreadyRunning(str(folder)) from error
    finally:
        os.close(descriptor)


def is_locked(folder: Path) -> bool:
    """Whether a stack runs in this folder."""
    if not (folder / "lock").exists():
        return False
    try:
        with locked(folder):
            return False
    except AlreadyRunning:
        return True


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Say what runs: readers see the old file or the new one, never half of one."""
    part = folder / f"{STACK}.part"
    part.write_text(json.dumps(description, indent=2) + "\n")
    part.replace(folder / STACK)


def read_description(folder: Path) -> dict[str, Any] | None:
    """What runs, or ran last; None when nothing ever did."""
    try:
        found: dict[str, Any] = json.loads((folder / STACK).read_text())
    except FileNotFoundError:
        return None
    return found
