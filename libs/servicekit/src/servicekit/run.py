"""How a service runs: `serve` (default), `migrate --phase pre|post`, `check-settings [--env-file F]`.

Serving nests lifetimes: telemetry, what `build` opens, background tasks, intake (calls over NATS and gRPC, events), readiness.
A signal sets an event and they are left in the opposite order: not ready first, then `on_drain`, then no intake, the running calls finish, tasks
stop, pools close, telemetry is flushed. All of it ends within `drain_seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Final, NoReturn, TypeVar

import uvloop

from servicekit import grpc_server, jetstream, logs
from servicekit.app import App, Check, Drain
from servicekit.auth import FileKeys, ServiceTokenVerifier, TokenVerifier, key_source
from servicekit.calls import Invoker
from servicekit.errors import AssentError, DeadlineExceeded
from servicekit.exporting import exporting
from servicekit.grpc_server import GrpcServer
from servicekit.lifetimes import Supervised, supervised, together
from servicekit.migrate import Phase, migrate
from servicekit.readiness import announce, ready, withdraw
from servicekit.rpc import server as nats_server
from servicekit.settings import BadSettings, ServiceSettings, parse_env_file

logger = logging.getLogger(__name__)

SettingsT = TypeVar("SettingsT", bound=ServiceSettings)
Build = Callable[[SettingsT], AbstractAsyncContextManager[App]]

CALLS_SHARE: Final = 0.7
"""The part of `drain_seconds` that running calls get; the rest closes pools and flushes telemetry."""
BAD_SETTINGS: Final = 2
COLLECT: Final = (50_000, 20, 20)
"""Calls leave their garbage to reference counting; a service that holds a bundle pays for every look at the rest."""


def run(build: Build[SettingsT], settings_type: type[SettingsT]) -> NoReturn:
    """Do what the command line says, and exit."""
    sys.exit(main(build, settings_type, sys.argv[1:]))


def main(build: Build[SettingsT], settings_type: type[SettingsT], argv: Sequence[str]) -> int:
    """Do what `argv` says; 2 when the settings are wrong, 1 when anything else is."""
    arguments = _arguments(argv)
    try:
        settings = settings_type.read(_variables(arguments))
    except BadSettings as error:
        sys.stderr.write(f"{settings_type.service}: {error}\n")
        return BAD_SETTINGS
    if arguments.command == "check-settings":
        return 0
    gc.set_threshold(*COLLECT)
    logs.configure(service=settings.service, instance=settings.instance, level=settings.telemetry.log_level)
    if arguments.command == "migrate":
        return _run(lambda: _migrate(settings, arguments.phase))
    return _run(lambda: serve(build, settings))


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("serve", help="serve until SIGTERM (default)")
    migration = commands.add_parser("migrate", help="bring the schema up to date")
    migration.add_argument("--phase", choices=("pre", "post"), default="pre")
    check = commands.add_parser("check-settings", help="say what is wrong with the settings")
    check.add_argument("--env-file", type=Path, help="NAME=value lines to check instead of the environment")
    return parser.parse_args(argv, argparse.Namespace(command="serve", env_file=None))


def _variables(arguments: argparse.Namespace) -> Mapping[str, str] | None:
    if arguments.env_file is None:
        return None
    try:
        return parse_env_file(arguments.env_file.read_text())
    except OSError as error:
        raise BadSettings("the file of settings cannot be read") from error


def _run(work: Callable[[], object]) -> int:
    """Run to the end; a kit error is said in one line, any other with its frames."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work())  # type: ignore[arg-type]  # a coroutine; typeshed asks for its exact type
    except AssentError as error:
        logger.error("stopped: %s", error, extra={"reason": error.code})  # noqa: TRY400  # its text says it all
        return 1
    except Exception:
        logger.exception("stopped by a bug")
        return 1
    return 0


async def _migrate(settings: ServiceSettings, phase: Phase) -> None:
    for schema in settings.schemas():
        await migrate(schema.dsn, schema.name, phase, package=schema.package)


async def serve(build: Build[SettingsT], settings: SettingsT, stop: asyncio.Event | None = None) -> None:
    """Serve what `build` opens until `stop` (by default: SIGTERM or SIGINT), then drain."""
    stop = stop or _stop_on_signals(settings.drain_seconds)
    try:
        async with asyncio.timeout(None) as limit:
            draining = asyncio.create_task(_limit_after(stop, limit, settings.drain_seconds))
            try:
                await _serve(build, settings, stop)
            finally:
                draining.cancel()
    except TimeoutError:
        if limit.expired():
            raise DeadlineExceeded("The service did not stop within its time.", reason="DRAIN_EXCEEDED") from None
        raise


async def _serve(build: Build[SettingsT], settings: SettingsT, stop: asyncio.Event) -> None:
    async with (
        exporting(settings.telemetry, service=settings.service, instance=settings.instance),
        _said("closed"),
        build(settings) as app,
        supervised(app.tasks) as tasks,
        _said("calls finished"),
        intake(app, settings) as server,
        _drained(app.on_drain),
        _said("not ready"),
        _ready(app, settings, tasks, server),
    ):
        await stop.wait()
        logger.info("stopping")


@asynccontextmanager
async def _said(message: str) -> AsyncIterator[None]:
    """Log it once what is inside has been left."""
    yield
    logger.info(message)


@asynccontextmanager
async def _drained(callbacks: Sequence[Drain]) -> AsyncIterator[None]:
    """Tell what would go on for ever to end, before its calls are waited for; one that fails keeps no other from it."""
    try:
        yield
    finally:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("what was to end on draining failed")


def _stop_on_signals(drain_seconds: float) -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if not stop.is_set():
            stop.set()
            _give_up_after(drain_seconds + 1)

    for signal in (SIGTERM, SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal, on_signal)
    return stop


def _give_up_after(seconds: float) -> None:
    """End the process even when its loop is stuck: an orchestrator must not have to kill it."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


async def _limit_after(stop: asyncio.Event, limit: asyncio.Timeout, seconds: float) -> None:
    """Once stopping, whatever the service is at (opening, too) gets the time to drain and no more."""
    await stop.wait()
    limit.reschedule(asyncio.get_running_loop().time() + seconds)


@asynccontextmanager
async def intake(app: App, settings: ServiceSettings) -> AsyncIterator[GrpcServer]:
    """Calls over gRPC and NATS, then events. All stop at once; calls that run are finished."""
    seconds = settings.drain_seconds * CALLS_SHARE
    managers: list[AbstractAsyncContextManager[object]] = [_grpc(app, settings, seconds)]
    if app.bus is not None:
        managers.append(_nats(app, settings, seconds))
        if app.subscriptions:
            consumers = jetstream.ConsumerSettings(drain_s=seconds)
            managers.append(jetstream.consume(app.bus, app.subscriptions, consumers))
    async with together(managers) as opened:
        yield opened[0]


def _grpc(app: App, settings: ServiceSettings, seconds: float) -> AbstractAsyncContextManager[GrpcServer]:
    auth = settings.auth
    verifier = TokenVerifier(key_source(auth.jwks), issuer=auth.issuer, audience=auth.audience)
    invoker = Invoker(verifier, transport="grpc", default_deadline_s=settings.grpc.default_deadline_ms / 1000)
    return grpc_server.serve(settings.grpc, settings.service, app.servicers, invoker, drain_seconds=seconds)


def _nats(app: App, settings: ServiceSettings, seconds: float) -> AbstractAsyncContextManager[object]:
    assert app.bus is not None
    keys = FileKeys(settings.auth.service_keys)
    verifier = ServiceTokenVerifier(keys, service=settings.service, callers=settings.auth.callers)
    return nats_server.serve(
        app.bus,
        settings.service,
        app.servicers,
        invoker=Invoker(verifier, transport="nats", default_deadline_s=settings.grpc.default_deadline_ms / 1000),
        max_concurrent=settings.grpc.max_concurrent,
        drain_seconds=seconds,
        instance=settings.instance,
        version=settings.telemetry.service_version,
    )


@asynccontextmanager
async def _ready(app: App, settings: ServiceSettings, tasks: Supervised, server: GrpcServer) -> AsyncIterator[None]:
    checks: dict[str, Check] = {**app.checks, **tasks.checks()}
    if app.bus is not None:
        checks["bus"] = app.bus.check

    async def say(serving: bool) -> None:  # the one thing it says
        await server.health.say(serving=serving)
        if serving:
            announce(settings.ready_file, server.port)
            logger.info("ready", extra={"port": server.port})

    try:
        async with ready(checks, say):
            yield
    finally:
        withdraw(settings.ready_file)
