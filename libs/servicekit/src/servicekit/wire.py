"""nats-py's client with a raw path for calls, where one Python object less per message is what counts.

nats-py hands each message over a queue to a task, with its headers parsed into a dict; a call would pay that twice.
`subscribe_raw` gives a plain function the bytes as they came, and `send` queues bytes that are already framed.
Everything else (connecting, TLS, parsing, re-subscribing, JetStream) stays nats-py's. Private names of nats-py are
overridden here and nowhere else: the locks pin the version, and the tests of calls fail when one of them changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error
from nats.protocol.parser import PERMISSIONS_ERR

from servicekit.errors import Exhausted, Unavailable

Receive = Callable[[bytes, bytes, bytes, bytes | None], None]
"""Takes subject, reply subject, payload and raw headers (with the `NATS/1.0` line) of one message."""

MOST_PENDING = 64 << 20
"""Bytes that may wait for a server that has stopped reading."""
CROWDED = 4 << 20
"""Bytes from which on a sender of many messages should wait for answers."""
CAN_SEND = frozenset({Client.CONNECTED, Client.DRAINING_SUBS})


class Wire(Client):
    """A NATS client that also speaks bytes, and that never gives a connection up for good."""

    def __init__(self) -> None:
        super().__init__()
        self._raw: dict[int, Receive] = {}
        self._flushed: asyncio.Future[None] | None = None
        self._resubscribing = False

    @property
    def usable(self) -> bool:
        """Whether a server listens, and to all our subscriptions: a little later than `is_connected` after a reconnect."""
        return self._status in CAN_SEND and not self._resubscribing

    @property
    def crowded(self) -> bool:
        """Whether whoever sends many messages should let some be answered first."""
        return bool(self._pending_data_size > CROWDED)

    async def subscribe_raw(self, subject: str, receive: Receive, *, queue: str = "") -> Subscription:
        """Call `receive` on the event loop for each message of `subject`; it must not block and not raise."""
        self._raw[self._sid + 1] = receive
        return await self.subscribe(subject, queue=queue)

    def send(self, command: bytes) -> None:
        """Queue one framed command; raises Unavailable while the server is away, so that nothing stale is sent later."""
        if not self.usable:
            raise Unavailable("The message bus is away.", reason="BUS_AWAY")
        if self._pending_data_size > MOST_PENDING:
            raise Unavailable("The message bus does not take what is sent.", reason="BUS_STALLED")
        self._pending.append(command)
        self._pending_data_size += len(command)
        queue = self._flush_queue
        if queue is not None and queue.empty():
            queue.put_nowait(self._flushed or self._make_flushed())

    def check_size(self, size: int) -> None:
        """Refuse what the server would answer by closing the connection. `size` counts headers and payload."""
        if size > self._max_payload:
            raise Exhausted(
                f"The message has {size} bytes, the message bus takes {self._max_payload}.",
                reason="MESSAGE_TOO_LARGE",
                size=str(size),
                limit=str(self._max_payload),
            )

    def _make_flushed(self) -> asyncio.Future[None]:
        self._flushed = asyncio.get_running_loop().create_future()
        self._flushed.set_result(None)
        return self._flushed

    async def _send_ping(self, future: asyncio.Future[bool] | None = None) -> None:
        """Write what is queued first: `flush` and `drain` rely on the PING being the last thing sent, and it would not be."""
        if self._pending and self._transport:
            self._transport.writelines(self._pending)
            self._pending = []
            self._pending_data_size = 0
        await super()._send_ping(future)

    async def _process_pong(self) -> None:
        """Let a PONG come for a `flush` that was given up; nats-py's reader would end at its cancelled future."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _attempt_reconnect(self) -> None:
        self._resubscribing = True
        await super()._attempt_reconnect()
        self._resubscribing = False

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        receive = self._raw.get(sid)
        if receive is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        elif sid in self._subs:
            receive(subject, reply, data, headers)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self._raw.pop(sid, None)

    async def _process_err(self, err_msg: str) -> None:
        """Connect again after an error of the server, where nats-py would close for ever."""
        error: Any = Error(f"nats: {err_msg}")
        if PERMISSIONS_ERR in err_msg:
            await self._error_cb(error)
        else:
            await self._process_op_err(error)
