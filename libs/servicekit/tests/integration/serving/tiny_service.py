"""A service as small as one can be, for tests to run as a process: what the files of TINY_FOLDER say is what it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

from assent.events.v1.envelope_pb2 import Envelope
from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit.app import App, Servicer, Subscription
from servicekit.errors import Unavailable
from servicekit.nats import connect
from servicekit.run import run
from servicekit.settings import ServiceSettings
from servicekit.streams import ensure_streams

logger = logging.getLogger("tiny")


class Settings(ServiceSettings, prefix="TINY"):
    service: ClassVar[str] = "tiny"
    folder: Path
    with_bus: bool = False


async def appears(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240  # another process makes it, in a test
        await asyncio.sleep(0.01)


class Tiny(rpc.ProfileServiceServicer):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def ResolveSubject(self, request, context):
        if request.create:
            (self._folder / "started").touch()
            await appears(self._folder / "go-on")
            logger.info("call answered")
        return pb.ResolveSubjectResponse(subject_id="tiny")


def fail_to_drain(folder: Path) -> None:
    if (folder / "drain-fails").exists():
        message = "the stream of account 4711"
        raise RuntimeError(message)


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    folder = settings.folder

    async def dependency() -> None:
        if (folder / "dependency-away").exists():
            raise Unavailable(reason="AWAY")

    async def loop() -> None:
        try:
            await appears(folder / "crash")
            (folder / "crash").unlink()
            message = "the task of account 4711"
            raise RuntimeError(message)
        except asyncio.CancelledError:
            logger.info("task stopped")
            raise

    async def handled(envelope: Envelope) -> None:
        logger.info("event handled")
        (folder / "handled").touch()

    async def close() -> None:
        if (folder / "pool-stuck").exists():
            await asyncio.Event().wait()
        logger.info("pool closed")

    logger.info("pool opened")
    if (folder / "pool-stuck").exists():
        await asyncio.Event().wait()
    async with AsyncExitStack() as opened:
        opened.push_async_callback(close)
        app = App(
            servicers=[Servicer(rpc.add_ProfileServiceServicer_to_server, Tiny(folder))],
            tasks={"loop": loop},
            checks={"dependency": dependency},
            on_drain=[partial(fail_to_drain, folder), partial(logger.info, "draining")],
        )
        if settings.with_bus:
            bus = await opened.enter_async_context(connect(settings.nats, settings.service))
            await ensure_streams(bus)
            events = Subscription("CONSENT", "tiny", {"consent_widened": handled})
            app = replace(app, bus=bus, subscriptions=[events])
        yield app


if __name__ == "__main__":
    run(build, Settings)
