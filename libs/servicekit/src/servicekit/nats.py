"""The message bus: one NATS connection per process, for calls, facts and leases.

It connects for ever with bounded backoff, so a process outlives its NATS servers; meanwhile everything that needs them
raises Unavailable at once, and `Bus.check` says so to readiness.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, cast

from grpc import aio
from nats.aio.client import Server
from nats.js import JetStreamContext
from nats.js.errors import BucketNotFoundError
from nats.js.kv import KeyValue

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import publishing
from servicekit.errors import AssentError, Unavailable
from servicekit.publishing import PublishAck
from servicekit.rpc.channel import NatsChannel, Replies
from servicekit.wire import Wire

if TYPE_CHECKING:
    from servicekit.auth import ServiceIdentity
    from servicekit.settings import NatsSettings

logger = logging.getLogger(__name__)

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0


class Bus:
    """The connection and what goes over it."""

    def __init__(self, nc: Wire, service: str) -> None:
        self.nc = nc
        self.service = service
        self.js: JetStreamContext = nc.jetstream(timeout=5)
        self.replies = Replies(nc)

    @property
    def connected(self) -> bool:
        """Whether a server answers now."""
        return self.nc.usable

    async def check(self) -> None:
        """Raise Unavailable while no server answers: a readiness check."""
        if not self.connected:
            raise Unavailable("The message bus is away.", reason="BUS_AWAY")

    def channel(self, target: str, *, identity: ServiceIdentity | None = None, timeout: float = 5.0) -> aio.Channel:
        """Where a generated stub calls the service `target`: `ConsentServiceStub(bus.channel("consent", identity=me))`."""
        # It offers what a generated stub asks of a channel, and no more.
        return cast("aio.Channel", NatsChannel(self.replies, target, identity=identity, timeout=timeout))

    async def publish(self, subject: str, envelope: Envelope) -> PublishAck:
        """Return once the stream has the fact; raises Unavailable otherwise. A repeat of an event id is stored once."""
        return await publishing.publish(self, subject, envelope)

    async def publish_many(self, facts: Iterable[tuple[str, Envelope]]) -> list[PublishAck | AssentError]:
        """Publish in order, many at a time; for each fact its acknowledgement, or why there is none."""
        return await publishing.publish_many(self, facts)

    async def kv(self, bucket: str) -> KeyValue:
        """A bucket that `ensure_streams` created; raises Unavailable while there is none."""
        try:
            return await self.js.key_value(bucket)
        except (BucketNotFoundError, TimeoutError) as error:
            raise Unavailable("The bucket is away.", reason="NO_BUCKET", bucket=bucket) from error


@asynccontextmanager
async def connect(settings: NatsSettings, service: str, *, drain_seconds: float = 5.0) -> AsyncIterator[Bus]:
    """The bus of this process; waits for a first server for ever, and drains when left."""
    nc = Wire()
    bus = Bus(nc, service)
    await _open(nc, settings, service, bus.replies.lose_all, drain_seconds)
    try:
        await bus.replies.open()
        yield bus
    finally:
        await _close(nc, drain_seconds)


async def _open(
    nc: Wire, settings: NatsSettings, service: str, on_disconnect: Callable[[], None], drain_seconds: float
) -> None:
    async def disconnected() -> None:
        on_disconnect()
        if not nc.is_closed:
            logger.warning("the message bus went away")

    async def reconnected() -> None:
        logger.info("the message bus is back")

    password = settings.password.get_secret_value() if settings.password else None
    await nc.connect(
        servers=list(settings.servers),
        name=service,
        user=settings.user,
        password=password,
        inbox_prefix=f"_INBOX.{service}",
        error_cb=_log_error,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        reconnect_time_wait=1,
        max_reconnect_attempts=-1,
        reconnect_to_server_handler=_next_server,
        ping_interval=5,
        drain_timeout=math.ceil(drain_seconds),
    )


async def _log_error(error: Exception) -> None:
    """Log what kind of thing went wrong; texts may carry subjects or payloads."""
    logger.warning("message bus error: %s", type(error).__name__)


def _next_server(servers: list[Server], _info: dict[str, object]) -> tuple[Server, float]:
    """The server that failed least, after a wait that doubles up to a bound; jitter keeps replicas apart."""
    server = min(servers, key=lambda s: s.reconnects)
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(server.reconnects, 10))
    return server, wait * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret


async def _close(nc: Wire, seconds: float) -> None:
    """Finish what is on its way within the bound, then close in any case."""
    with suppress(Exception):
        async with asyncio.timeout(seconds + 1):
            await nc.drain()
    if not nc.is_closed:
        with suppress(Exception):
            async with asyncio.timeout(1):
                await nc.close()
