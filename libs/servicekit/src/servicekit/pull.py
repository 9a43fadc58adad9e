"""Pulling messages from a JetStream consumer, many per request, with the next request under way before the last is used up.

Over nats-py's `fetch` this keeps one subscription and no task per batch, and notices a consumer or a server that went away:
a missed heartbeat asks again, a consumer that is gone raises `Gone`, and whoever made it makes it anew.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from servicekit.errors import Unavailable
from servicekit.nats import Bus
from servicekit.rpc import headers

WAIT_S: Final = 10.0
HEARTBEAT_S: Final = 1.0
ACK: Final = b"+ACK"
PROGRESS: Final = b"+WPI"
TERM: Final = b"+TERM"


class Gone(Unavailable):
    """The consumer is not there any more."""

    reason = "CONSUMER_GONE"


@dataclass(frozen=True, eq=False)
class Delivered:
    """One message as it was delivered; its numbers are in the reply subject: $JS.ACK.<...>."""

    raw_subject: bytes
    reply: bytes
    data: bytes
    head: bytes | None

    @cached_property
    def _tokens(self) -> list[str]:
        """Stream, consumer, deliveries, stream sequence, consumer sequence, nanoseconds, pending; with a domain there are more."""
        tokens = self.reply.decode().split(".")
        return tokens[2:9] if len(tokens) == 9 else tokens[4:11]

    @property
    def subject(self) -> str:
        """Where it was published."""
        return self.raw_subject.decode()

    @property
    def stream(self) -> str:
        """The stream it is on."""
        return self._tokens[0]

    @property
    def deliveries(self) -> int:
        """How often it was delivered, this time included."""
        return int(self._tokens[2])

    @property
    def sequence(self) -> int:
        """Its place in the stream."""
        return int(self._tokens[3])

    @property
    def consumer_sequence(self) -> int:
        """Its place among what the consumer delivered."""
        return int(self._tokens[4])

    @property
    def timestamp_ms(self) -> int:
        """When the stream took it: epoch milliseconds."""
        return int(self._tokens[5]) // 1_000_000

    @property
    def pending(self) -> int:
        """How many more the consumer has."""
        return int(self._tokens[6])


class Pull:
    """The messages of one consumer, as they come."""

    def __init__(self, bus: Bus, stream: str, consumer: str, *, batch: int) -> None:
        self._bus = bus
        self._ask = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        self._batch = batch
        self._buffer: list[Delivered] = []
        self._outstanding = 0
        self._more = False
        self._gone = False
        self._heard = asyncio.Event()
        self._inbox = b""
        self._subscription: Any = None

    async def open(self) -> None:
        """Subscribe the inbox that messages come to."""
        self._inbox = self._bus.nc.new_inbox().encode()
        self._subscription = await self._bus.nc.subscribe_raw(self._inbox.decode(), self._receive)

    async def close(self) -> None:
        """Want no more."""
        nc = self._bus.nc
        if self._subscription is not None and not (nc.is_closed or nc.is_draining):
            await self._subscription.unsubscribe()

    @property
    def waiting(self) -> tuple[Delivered, ...]:
        """What came and is not taken yet."""
        return tuple(self._buffer)

    def left(self) -> list[Delivered]:
        """Take what came, without waiting."""
        left, self._buffer = self._buffer, []
        return left

    async def take(self, *, linger_s: float = 0) -> list[Delivered]:
        """Wait for one message, and up to `linger_s` for a batch of them. Raises Gone, or Unavailable while the bus is away."""
        while not self._buffer:
            await self._wait()
        if linger_s and len(self._buffer) < self._batch:
            await self._linger(linger_s)
        taken, self._buffer = self._buffer[: self._batch], self._buffer[self._batch :]
        self._request()
        return taken

    async def gather(self, seconds: float) -> list[Delivered]:
        """Wait for one message and then `seconds` for others, which come in one burst: many little awakenings cost more than they do.

        While there is more than a batch nothing is waited for. Raises as `take`.
        """
        taken: list[Delivered] = []
        while not taken:
            if not self._more:
                await self._first()
                await asyncio.sleep(seconds)
            await self._burst()
            taken, self._buffer = self._buffer[: self._batch], self._buffer[self._batch :]
            self._more = len(taken) == self._batch
        return taken

    async def _first(self) -> None:
        while not self._buffer:
            await self._wait(most=1)

    async def _burst(self) -> None:
        """Ask for what there is, and wait until it came: the server says when there is no more."""
        room = self._batch - len(self._buffer)
        if room <= 0 or self._gone:
            return
        self._send(room, no_wait=True)
        ends = asyncio.get_running_loop().time() + 2 * HEARTBEAT_S
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                while self._outstanding > 0 and not self._gone:
                    self._heard.clear()
                    await self._heard.wait()
        self._outstanding = 0

    async def _wait(self, *, most: int | None = None) -> None:
        if self._gone:
            raise Gone
        self._request(most)
        self._heard.clear()
        try:
            async with asyncio.timeout(2 * HEARTBEAT_S):
                await self._heard.wait()
        except TimeoutError:
            self._outstanding = 0

    async def _linger(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while len(self._buffer) < self._batch and (left := until - loop.time()) > 0:
            self._heard.clear()
            try:
                async with asyncio.timeout(left):
                    await self._heard.wait()
            except TimeoutError:
                return

    def _request(self, most: int | None = None) -> None:
        """Ask for more when less than half of that is here or on its way; a request lasts ten seconds."""
        wanted = most or self._batch
        if not self._gone and len(self._buffer) + self._outstanding <= wanted // 2:
            self._send(wanted, expires=int(WAIT_S * 1e9), idle_heartbeat=int(HEARTBEAT_S * 1e9))

    def _send(self, batch: int, **asked: bool | int) -> None:
        body = json.dumps({"batch": batch, **asked}).encode()
        self._bus.nc.send(b"PUB %b %b %d\r\n%b\r\n" % (self._ask, self._inbox, len(body), body))
        self._outstanding += batch

    def _receive(self, subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
        if reply.startswith(b"$JS.ACK."):
            self._outstanding -= 1
            self._buffer.append(Delivered(subject, reply, data, head))
        elif head is not None:
            self._hear(head[len(b"NATS/1.0 ") : len(b"NATS/1.0 ") + 3], head)
        self._heard.set()

    def _hear(self, status: bytes, head: bytes) -> None:
        """404 and 408 end a request; 409 too, and some say that the consumer is gone; 503 says that nobody listens."""
        if status in {b"404", b"408", b"409"}:
            left = headers.read(head).get(b"Nats-Pending-Messages", b"")
            self._outstanding = max(0, self._outstanding - int(left)) if left.isdigit() else 0
        if status == b"503" or b"Consumer Deleted" in head or b"Stream Deleted" in head:
            self._gone = True


def respond(bus: Bus, message: Delivered, verdict: bytes) -> None:
    """Tell the consumer what became of a message; while the bus is away it is told by time instead."""
    try:
        bus.nc.send(b"PUB %b %d\r\n%b\r\n" % (message.reply, len(verdict), verdict))
    except Unavailable:
        return


def nak(seconds: float) -> bytes:
    """The answer that asks for a redelivery after a while."""
    return b'-NAK {"delay":%d}' % int(seconds * 1e9) if seconds > 0 else b"-NAK"
