"""What `assent up` shows: a table that stays up to date on a terminal, lines of text elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from assent_cli.stack import Stack
from assent_cli.supervised import State, Status

COLOURS = {State.READY: "green", State.STARTING: "yellow", State.NOT_READY: "yellow"}
REFRESH_S = 0.5


@asynccontextmanager
async def shown(stack: Stack, console: Console) -> AsyncIterator[None]:
    """Show the stack while inside."""
    showing = asyncio.create_task(_table(stack, console) if console.is_terminal else _lines(stack, console))
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


async def _table(stack: Stack, console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Group(table(stack), footer(stack)), refresh=True)
            await asyncio.sleep(REFRESH_S)


async def _lines(stack: Stack, console: Console) -> None:
    console.print(footer(stack), soft_wrap=True)
    seen: dict[str, str] = {}
    while True:
        for status in stack.statuses():
            line = _line(status)
            if seen.get(status.name) != line:
                seen[status.name] = line
                console.print(line, soft_wrap=True, highlight=False)
        await asyncio.sleep(REFRESH_S)


def _line(status: Status) -> str:
    return f"{status.name}: {status.state.value} pid={status.pid or '-'} grpc=127.0.0.1:{status.port} {status.note}".rstrip()


def table(stack: Stack) -> Table:
    """One row per process."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("service", "pid", "address", "health", "uptime"):
        drawn.add_column(heading)
    for row in _server_rows(stack):
        drawn.add_row(*row)
    for status in stack.statuses():
        drawn.add_row(
            status.name, _pid(status.pid), f"127.0.0.1:{status.port}", _health(status), _uptime(status.uptime_s)
        )
    return drawn


def _server_rows(stack: Stack) -> Iterator[tuple[str, str, str, Text, str]]:
    for name, pid, port in (
        ("postgresql", stack.postgres.pid, stack.postgres.port),
        ("nats", stack.nats.pid, stack.nats.port),
    ):
        health = Text("up", "green") if pid else Text("down", "red")
        yield name, _pid(pid), f"127.0.0.1:{port}", health, ""


def _pid(pid: int | None) -> str:
    return str(pid or "-")


def _health(status: Status) -> Text:
    restarts = f"restarts: {status.starts - 1}" if status.starts > 1 else ""
    words = " ".join(filter(None, [status.state.value, status.note, restarts]))
    return Text(words, COLOURS.get(status.state, "red"))


def _uptime(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def footer(stack: Stack) -> Text:
    """Where tokens and logs are."""
    return Text(f"tokens: {stack.state / 'tokens'}\nlogs: {stack.logs}\nCtrl-C drains and stops", "dim")
