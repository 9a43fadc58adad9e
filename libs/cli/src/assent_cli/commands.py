"""`assent up`, `down` and `status`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import click
from rich.console import Console

from assent_cli import folder
from assent_cli.discovery import NoSuchService, installed
from assent_cli.screen import shown
from assent_cli.stack import running_stack
from embedded.process import StartFailed
from servicekit.errors import AssentError

STOP_S = 60.0

state_folder = click.option(
    "--dir",
    "state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".assent"),
    show_default=True,
    help="Where data, keys, tokens and logs are kept.",
)


def _ports(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    ports = {}
    for text in given:
        service, equals, port = text.partition("=")
        if not equals or not port.isdigit() or not 0 < int(port) < 1 << 16:
            raise click.BadParameter(f"{text}: not SERVICE=PORT")
        ports[service] = int(port)
    return ports


@click.command(short_help="Start the whole suite here.")
@state_folder
@click.option(
    "--grpc-port",
    "ports",
    multiple=True,
    metavar="SERVICE=PORT",
    callback=_ports,
    help="A fixed gRPC port; repeat it for more services.",
)
@click.option("--service", "services", multiple=True, metavar="NAME", help="Start only this one; repeat it for more.")
@click.option("--keep-logs", is_flag=True, help="Append to the logs of the last run.")
def up(state: Path, ports: dict[str, int], services: tuple[str, ...], *, keep_logs: bool) -> None:
    """Start PostgreSQL, NATS and every service as processes of this machine, and show their health.

    Nothing else is needed: no containers, no root. Ctrl-C or SIGTERM drains and stops everything.

    \b
    Examples:
      assent up
      assent up --grpc-port orchestration=50051
      assent up --dir /tmp/try --service consent --service profile
    """  # noqa: D301  click reads the backspace: keep these lines as they are
    strangers = sorted(set(ports) - set(installed()))
    if strangers:
        raise click.ClickException(f"no such service: {', '.join(strangers)}")
    try:
        asyncio.run(_up(state, ports, services, keep_logs=keep_logs))
    except folder.AlreadyRunning:
        click.echo(f"A suite is already running in {state}: see assent status, stop it with assent down.")
    except (StartFailed, NoSuchService, AssentError) as error:
        raise click.ClickException(str(error)) from error


async def _up(state: Path, ports: dict[str, int], services: tuple[str, ...], *, keep_logs: bool) -> None:
    console = Console()
    stop = _stop_on_signals()
    try:
        async with (
            running_stack(
                state,
                services or None,
                ports=ports,
                keep_logs=keep_logs,
                progress=lambda words: console.print(words, highlight=False),
            ) as stack,
            shown(stack, console),
        ):
            await stop.wait()
    except asyncio.CancelledError:
        stop.set()  # the signal came while the suite was starting
    console.print("stopped")


def _stop_on_signals() -> asyncio.Event:
    """An event that a signal sets; a signal during the start cancels it. A second one changes nothing: draining is bounded."""
    stop = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, on_signal)
    return stop


@click.command(short_help="Stop the suite that runs here.")
@state_folder
def down(state: Path) -> None:
    """Drain and stop the suite that `assent up` started in this folder, and wait until it is gone."""
    description = folder.read_description(state)
    if description is None or not folder.is_locked(state):
        click.echo(f"Nothing is running in {state}.")
        return
    os.kill(description["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_S
    while folder.is_locked(state):
        if time.monotonic() > deadline:
            raise click.ClickException(f"it has not stopped in {STOP_S:g} s")
        time.sleep(0.1)
    click.echo("Stopped.")


@click.command(short_help="Say what runs here.")
@state_folder
def status(state: Path) -> None:
    """Say what runs in this folder, and where. Exit code 3 when nothing does."""
    description = folder.read_description(state)
    if description is None or not folder.is_locked(state):
        click.echo(f"Nothing is running in {state}.")
        raise click.exceptions.Exit(3)
    click.echo(f"postgresql  pid {description['postgres']['pid']}  port {description['postgres']['port']}")
    click.echo(f"nats  pid {description['nats']['pid']}  {description['nats']['url']}")
    for name, service in description["services"].items():
        click.echo(f"{name}  {service['state']}  pid {service['pid']}  {service['grpc']}")
    click.echo(f"tokens: {', '.join(description['tokens'].values())}")
