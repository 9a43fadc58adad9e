"""Processor time of processes, from /proc: what a wall clock on a busy machine cannot tell."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from assent_cli.stack import Stack

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
QUIET_SHARE = 0.15
LONGEST_QUIET_S = 6.0
LOOK_S = 0.25

Pids = Mapping[str, Sequence[int]]
"""Processes by what they are called."""


def of_stack(stack: Stack) -> dict[str, list[int]]:
    """Every process of a stack as of now; PostgreSQL's include those of its connections."""
    found = {status.name: [status.pid] for status in stack.statuses() if status.pid}
    postgres, nats = stack.postgres.pid, stack.nats.pid
    if postgres:
        found["postgresql"] = [postgres, *_children(postgres)]
    if nats:
        found["nats-server"] = [nats]
    return found


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text().split()] if tasks.exists() else []


def cpu_s(stack: Stack, more: Pids | None = None) -> dict[str, float]:
    """Seconds of processor time so far, by process."""
    return {name: sum(map(_cpu_s, each)) for name, each in {**of_stack(stack), **(more or {})}.items()}


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(map(int, fields[11:15])) * TICK_S  # its own and that of children that ended


async def idle_share(stack: Stack, seconds: float = 1.0) -> float:
    """The part of one core that a stack uses when nobody asks it anything."""
    before = sum(cpu_s(stack).values())
    await asyncio.sleep(seconds)
    return (sum(cpu_s(stack).values()) - before) / seconds


async def until_quiet(stack: Stack) -> float:
    """Wait until what was left to do is done (archiving, folding); the seconds it took, with a bound."""
    started = time.monotonic()
    while time.monotonic() - started < LONGEST_QUIET_S:
        if await idle_share(stack, LOOK_S) < QUIET_SHARE:
            break
    return time.monotonic() - started - LOOK_S
