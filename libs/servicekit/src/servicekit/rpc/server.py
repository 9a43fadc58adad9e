"""The server's side: what a generated `add_*_to_server` needs of a server, served by NATS queue groups.

Replicas of a service subscribe each method in one queue group, so a call reaches one of them. A call that is too late,
malformed or one too many is refused before any work is done; what a handler raises leaves as google.rpc.Status.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from servicekit import deadline
from servicekit.app import Servicer
from servicekit.errors import AssentError, DeadlineExceeded, Exhausted, Invalid, Unavailable
from servicekit.nats import Bus
from servicekit.rpc import headers, micro
from servicekit.rpc.channel import subject_of
from servicekit.status import to_status

Handler = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a call says about itself. `method` is `/package.Service/Method`."""

    method: str
    token: bytes
    traceparent: str


Invoke = Callable[[Incoming, Handler, Any], Awaitable[Any]]
"""Authenticates the caller, checks the method's scope, opens the span, and awaits the handler with the request."""


@dataclass(frozen=True, slots=True)
class Method:
    """One unary method as the generated code registered it."""

    path: str
    handler: Handler
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    endpoint: micro.Endpoint


class Registry:
    """What a generated `add_*_to_server` takes for a server; keeps the unary methods, the others are gRPC only."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.methods: list[Method] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Nothing: the registered handlers say the same."""

    def add_registered_method_handlers(self, service_name: str, handlers: Mapping[str, Any]) -> None:
        """Keep the unary ones."""
        for name, handler in handlers.items():
            if handler.unary_unary is not None:
                self.methods.append(self._method(f"/{service_name}/{name}", handler))

    def _method(self, path: str, handler: Any) -> Method:
        name = path.rpartition(".")[2].replace("/", "-")
        endpoint = micro.Endpoint(name=name, subject=subject_of(path), queue_group=self._service)
        return Method(path, handler.unary_unary, handler.request_deserializer, handler.response_serializer, endpoint)


class NatsServer:
    """Runs the calls of one replica."""

    def __init__(self, bus: Bus, service: str, invoke: Invoke, max_concurrent: int) -> None:
        self._nc = bus.nc
        self._service = service
        self._invoke = invoke
        self._max_concurrent = max_concurrent
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Calls being served now."""
        return len(self._running)

    def receiver(self, method: Method) -> Callable[[bytes, bytes, bytes, bytes | None], None]:
        """What NATS hands the calls of one method to."""
        loop = asyncio.get_running_loop()

        def receive(_subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
            if len(self._running) >= self._max_concurrent:
                method.endpoint.count(0, "OVERLOADED")
                self._refuse(reply, Exhausted("This replica has enough to do.", reason="OVERLOADED"))
                return
            task = loop.create_task(self._serve(method, reply, data, head))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return receive

    async def finish(self, seconds: float) -> None:
        """Let the running calls end; those that do not within the time are cancelled and answered UNAVAILABLE."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        left = list(self._running)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, method: Method, reply: bytes, data: bytes, head: bytes | None) -> None:
        started = time.monotonic_ns()
        reason = ""
        try:
            body = await self._answer(method, started, data, head)
            self._nc.check_size(len(headers.OK) + len(body))
            self._send(reply, headers.OK, body)
        except asyncio.CancelledError:
            reason = "SHUTTING_DOWN"
            self._refuse(reply, Unavailable("This replica is going away.", reason=reason))
        except Exception as error:  # noqa: BLE001  # every failure is answered
            reason = error.code if isinstance(error, AssentError) else "INTERNAL"
            self._refuse(reply, error)
        method.endpoint.count(time.monotonic_ns() - started, reason)

    async def _answer(self, method: Method, started: int, data: bytes, head: bytes | None) -> bytes:
        fields = headers.read(head)
        seconds = _milliseconds(fields.get(headers.DEADLINE, b"")) / 1000
        if seconds <= 0:
            raise DeadlineExceeded
        try:
            request = method.decode(data)
        except DecodeError as error:
            raise Invalid("The request's bytes are not its message.", reason="MALFORMED") from error
        deadline.end_at(started / 1e9 + seconds)
        call = Incoming(
            method.path, fields.get(headers.TOKEN, b""), fields.get(headers.TRACEPARENT, b"").decode("ascii", "replace")
        )
        return method.encode(await self._invoke(call, method.handler, request))

    def _refuse(self, reply: bytes, error: BaseException) -> None:
        self._send(reply, headers.write_error(to_status(error, service=self._service)), b"")

    def _send(self, reply: bytes, head: bytes, body: bytes) -> None:
        """Answer if anybody asked; a caller that the bus cannot reach now has given up by the time it can."""
        if not reply:
            return
        frame = b"HPUB %b %d %d\r\n%b%b\r\n" % (reply, len(head), len(head) + len(body), head, body)
        try:
            self._nc.send(frame)
        except Unavailable:
            return


def _milliseconds(value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        raise Invalid("The call does not say how long it may take.", reason="NO_DEADLINE") from None


def collect(service: str, servicers: Sequence[Servicer]) -> list[Method]:
    """The unary methods of the servicers."""
    registry = Registry(service)
    for servicer in servicers:
        servicer.add(servicer.implementation, registry)
    return registry.methods


@asynccontextmanager
async def serve(
    bus: Bus,
    service: str,
    servicers: Sequence[Servicer],
    *,
    invoke: Invoke,
    max_concurrent: int = 256,
    drain_seconds: float = 10,
    instance: str = "1",
    version: str = "0.0.0",
) -> AsyncIterator[NatsServer]:
    """Serve the unary methods over NATS; leaving takes no new calls, then finishes the running ones."""
    methods = collect(service, servicers)
    server = NatsServer(bus, service, invoke, max_concurrent)
    endpoints = [method.endpoint for method in methods]
    instance = re.sub(r"[^A-Za-z0-9_-]", "-", instance)
    async with micro.answering(bus.nc, service=service, instance=instance, version=version, endpoints=endpoints):
        subscriptions = [
            await bus.nc.subscribe_raw(method.endpoint.subject, server.receiver(method), queue=service)
            for method in methods
        ]
        await bus.nc.flush()
        try:
            yield server
        finally:
            await _leave(bus, subscriptions, drain_seconds)
            await server.finish(drain_seconds)


async def _leave(bus: Bus, subscriptions: Sequence[Any], seconds: float) -> None:
    """Say that no more is wanted, and wait until what was on its way has come."""
    if not bus.connected or bus.nc.is_draining:
        return
    drains = [asyncio.ensure_future(subscription.drain()) for subscription in subscriptions]
    _, late = await asyncio.wait(drains, timeout=seconds) if drains else ((), ())
    for drain in late:
        drain.cancel()
