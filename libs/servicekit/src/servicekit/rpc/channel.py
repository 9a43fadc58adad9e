"""The client's side: a channel for generated stubs whose calls travel as NATS request-reply.

One inbox subscription serves all calls of the process: a reply's last subject token says which call it answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from google.protobuf.message import DecodeError

from servicekit import deadline, telemetry
from servicekit.errors import AssentError, DeadlineExceeded, Unavailable, Unimplemented
from servicekit.rpc import headers
from servicekit.status import from_status

if TYPE_CHECKING:
    from servicekit.wire import Wire


class Tokens(Protocol):
    """What a caller shows; `servicekit.auth.ServiceIdentity` is one."""

    def token(self, audience: str) -> str:
        """A token that the service `audience` accepts."""
        ...


class Replies:
    """The one inbox of the process and the calls that wait on it."""

    def __init__(self, nc: Wire) -> None:
        self.nc = nc
        self._inbox = b""
        self._waiting: dict[bytes, asyncio.Future[tuple[bytes, bytes]]] = {}
        self._numbers = itertools.count()

    async def open(self) -> None:
        """Subscribe the inbox."""
        self._inbox = self.nc.new_inbox().encode() + b"."
        await self.nc.subscribe_raw(self._inbox.decode() + "*", self._receive)

    def ask(self, subject: bytes, head: bytes, payload: bytes, seconds: float) -> asyncio.Future[tuple[bytes, bytes]]:
        """Send one request; the future holds the reply's raw headers and payload, DeadlineExceeded or Unavailable."""
        size = len(head) + len(payload)
        self.nc.check_size(size)
        number = b"%d" % next(self._numbers)
        frame = b"HPUB %b %b%b %d %d\r\n%b%b\r\n" % (subject, self._inbox, number, len(head), size, head, payload)
        self.nc.send(frame)
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[tuple[bytes, bytes]] = loop.create_future()
        self._waiting[number] = waiting
        timer = loop.call_later(seconds, _expire, waiting)
        waiting.add_done_callback(lambda _: self._forget(number, timer))
        return waiting

    def _forget(self, number: bytes, timer: asyncio.TimerHandle) -> None:
        timer.cancel()
        del self._waiting[number]

    def lose_all(self) -> None:
        """Fail the calls whose replies cannot come any more because the connection is gone."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable("The connection went away during the call.", reason="BUS_AWAY"))

    def _receive(self, subject: bytes, _reply: bytes, data: bytes, head: bytes | None) -> None:
        waiting = self._waiting.get(subject[len(self._inbox) :])
        if waiting is not None and not waiting.done():
            waiting.set_result((head or b"", data))


def _expire(waiting: asyncio.Future[tuple[bytes, bytes]]) -> None:
    if not waiting.done():
        waiting.set_exception(DeadlineExceeded())


class NatsChannel:
    """Looks like a gRPC channel to the constructor of a generated stub; errors are raised as kit errors."""

    def __init__(self, replies: Replies, target: str, *, identity: Tokens | None, timeout: float) -> None:
        self._replies = replies
        self._target = target
        self._identity = identity
        self._timeout = timeout

    def unary_unary(
        self,
        method: str,
        request_serializer: Callable[[Any], bytes],
        response_deserializer: Callable[[bytes], Any],
        _registered_method: bool | None = None,
    ) -> Call:
        """The callable for `/package.Service/Method`."""
        return Call(self, method, request_serializer, response_deserializer)

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., NoReturn]:
        """A callable that refuses: streams are gRPC only."""
        return _refuse(method)

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Callable[..., NoReturn]:
        """A callable that refuses: streams are gRPC only."""
        return _refuse(method)

    def stream_stream(self, method: str, *_: Any, **__: Any) -> Callable[..., NoReturn]:
        """A callable that refuses: streams are gRPC only."""
        return _refuse(method)

    async def ask(self, subject: bytes, payload: bytes, limit_s: float | None) -> tuple[bytes, bytes]:
        """Send one call with what is left of the time, and who asks."""
        seconds = deadline.remaining_s(self._timeout if limit_s is None else limit_s)
        if seconds <= 0:
            raise DeadlineExceeded
        token = self._identity.token(self._target) if self._identity else ""
        head = headers.write_call(max(1, int(seconds * 1000)), token, telemetry.inject())
        return await self._replies.ask(subject, head, payload, seconds)


class Call:
    """One method of a stub: `await stub.Method(request, timeout=seconds)`."""

    def __init__(
        self, channel: NatsChannel, method: str, serialize: Callable[[Any], bytes], deserialize: Callable[[bytes], Any]
    ) -> None:
        self._channel = channel
        self._subject = subject_of(method).encode()
        self._serialize = serialize
        self._deserialize = deserialize

    async def __call__(self, request: Any, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109  # as gRPC's stubs take it
        """The response; raises the kit error that the service answered, or why there is no answer."""
        head, data = await self._channel.ask(self._subject, self._serialize(request), timeout)
        if head == headers.OK:
            return self._deserialize(data)
        raise _error_of(head)


def _error_of(head: bytes) -> AssentError:
    if head.startswith(headers.NO_RESPONDERS):
        return Unavailable("No replica of the service is listening.", reason="NO_RESPONDERS")
    try:
        return from_status(headers.read_error(headers.read(head)))
    except (KeyError, ValueError, DecodeError):
        return Unavailable("The reply is not one of a service of ours.", reason="BAD_REPLY")


def _refuse(method: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise Unimplemented(f"{method} streams: it is served over gRPC only.", reason="STREAMS_ARE_GRPC_ONLY")

    return refuse


def subject_of(method: str) -> str:
    """`/assent.consent.v1.ConsentService/Withdraw` travels on `rpc.assent.consent.v1.ConsentService.Withdraw`."""
    return "rpc." + method.removeprefix("/").replace("/", ".")
