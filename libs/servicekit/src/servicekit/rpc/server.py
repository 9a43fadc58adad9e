"""The server's side: what a generated `add_*_to_server` needs of a server, served by NATS queue groups.

Replicas of a service subscribe each method in one queue group, so a call reaches one of them. A call that is too late,
malformed or one too many is refused before any work is done; what a handler raises leaves as google.rpc.Status.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from servicekit.app import Servicer
from servicekit.calls import Invoker, Route, routes
from servicekit.cancelling import ended
from servicekit.errors import AssentError, Exhausted, Invalid, Unavailable
from servicekit.gates import Gate
from servicekit.nats import Bus
from servicekit.rpc import headers, micro
from servicekit.rpc.channel import subject_of
from servicekit.status import to_status
from servicekit.wire import Receive


class NoContext:
    """What handlers get where gRPC has a context: who calls is `auth.caller()`, errors are raised.

    A generated base servicer says UNIMPLEMENTED to it and then raises NotImplementedError, which is what counts here.
    """

    def set_code(self, code: object) -> None:
        """Nothing."""

    def set_details(self, details: str) -> None:
        """Nothing."""


NO_CONTEXT = NoContext()


@dataclass(frozen=True, slots=True)
class Served:
    """A unary method, where calls of it arrive, how that goes, and the gate that lets them in, if there is one."""

    route: Route
    endpoint: micro.Endpoint
    gate: Gate | None = None


class NatsServer:
    """Runs the calls of one replica."""

    def __init__(self, bus: Bus, service: str, invoker: Invoker, max_concurrent: int) -> None:
        self._nc = bus.nc
        self._service = service
        self._invoker = invoker
        self._max_concurrent = max_concurrent
        self._running: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Calls being served now."""
        return len(self._running)

    def receiver(self, served: Served) -> Receive:
        """What NATS hands the calls of one method to."""
        loop = asyncio.get_running_loop()

        def receive(_subject: bytes, reply: bytes, data: bytes, head: bytes | None) -> None:
            if len(self._running) >= self._max_concurrent:
                served.endpoint.count(0, "OVERLOADED")
                self._refuse(reply, Exhausted("This replica has enough to do.", reason="OVERLOADED"))
                return
            task = loop.create_task(self._serve(served, reply, data, head))
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

    async def _serve(self, served: Served, reply: bytes, data: bytes, head: bytes | None) -> None:
        started = time.monotonic_ns()
        reason = ""
        try:
            body = await self._answer(served.route, data, headers.read(head))
            self._nc.check_size(len(headers.OK) + len(body))
            self._send(reply, headers.OK, body)
        except asyncio.CancelledError:
            reason = "SHUTTING_DOWN"
            self._refuse(reply, Unavailable("This replica is going away.", reason=reason))
        except Exception as error:  # noqa: BLE001  # every failure is answered
            reason = error.code if isinstance(error, AssentError) else "INTERNAL"
            self._refuse(reply, error)
        served.endpoint.count(time.monotonic_ns() - started, reason)

    async def _answer(self, route: Route, data: bytes, fields: dict[bytes, bytes]) -> bytes:
        async def work() -> bytes:
            return _encode(route, await route.handler.unary_unary(_decode(route, data), NO_CONTEXT))

        return await self._invoker.invoke(
            route.method,
            work,
            token=fields.get(headers.TOKEN, b"").decode("ascii", "replace"),
            remaining_s=_milliseconds(fields.get(headers.DEADLINE, b"")) / 1000,
            traceparent=fields.get(headers.TRACEPARENT, b"").decode("ascii", "replace"),
        )

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


def _decode(route: Route, data: bytes) -> Any:
    try:
        return route.handler.request_deserializer(data)
    except DecodeError as error:
        raise Invalid("The request's bytes are not its message.", reason="MALFORMED") from error


def _encode(route: Route, response: Any) -> bytes:
    data: bytes = route.handler.response_serializer(response)
    return data


def served_methods(service: str, servicers: Sequence[Servicer]) -> list[Served]:
    """The unary methods of the servicers; the others are gRPC only."""
    return [
        Served(route, _endpoint(service, name), servicer.gates.get(name.rpartition("/")[2]))
        for servicer in servicers
        for name, route in routes([servicer]).items()
        if route.handler.unary_unary is not None
    ]


def _endpoint(service: str, name: str) -> micro.Endpoint:
    label = name.rpartition(".")[2].replace("/", "-")
    return micro.Endpoint(name=label, subject=subject_of(name), queue_group=service)


@asynccontextmanager
async def serve(
    bus: Bus,
    service: str,
    servicers: Sequence[Servicer],
    *,
    invoker: Invoker,
    max_concurrent: int = 1000,
    drain_seconds: float = 10,
    instance: str = "1",
    version: str = "0.0.0",
) -> AsyncIterator[NatsServer]:
    """Serve the unary methods over NATS; leaving takes no new calls, then finishes the running ones.

    Methods behind a gate are subscribed while it is open, so that without an open one a caller hears at once that nobody listens.
    """
    methods = served_methods(service, servicers)
    server = NatsServer(bus, service, invoker, max_concurrent)
    endpoints = [served.endpoint for served in methods]
    instance = re.sub(r"[^A-Za-z0-9_-]", "-", instance)
    async with micro.answering(bus.nc, service=service, instance=instance, version=version, endpoints=endpoints):
        subscriptions = await _subscribed(bus, server, service, [served for served in methods if served.gate is None])
        await bus.nc.flush()
        gated = [
            asyncio.create_task(_while_open(gate, bus, server, service, behind, drain_seconds))
            for gate, behind in _by_gate(methods).items()
        ]
        try:
            yield server
        finally:
            await asyncio.gather(_leave(bus, subscriptions, drain_seconds), ended(*gated))
            await server.finish(drain_seconds)


def _by_gate(methods: Sequence[Served]) -> dict[Gate, list[Served]]:
    found: dict[Gate, list[Served]] = {}
    for served in methods:
        if served.gate is not None:
            found.setdefault(served.gate, []).append(served)
    return found


async def _subscribed(bus: Bus, server: NatsServer, queue: str, methods: Sequence[Served]) -> list[Any]:
    return [
        await bus.nc.subscribe_raw(served.endpoint.subject, server.receiver(served), queue=queue) for served in methods
    ]


async def _while_open(
    gate: Gate, bus: Bus, server: NatsServer, queue: str, methods: Sequence[Served], seconds: float
) -> None:
    """Serve the methods whenever their gate is open; what was on its way when it closed is still answered."""
    while True:
        await gate.opened()
        subscriptions = await _subscribed(bus, server, queue, methods)
        try:
            await gate.closed()
        finally:
            await _leave(bus, subscriptions, seconds)


async def _leave(bus: Bus, subscriptions: Sequence[Any], seconds: float) -> None:
    """Say that no more is wanted, and wait until what was on its way has come."""
    if not bus.connected or bus.nc.is_draining:
        return
    drains = [asyncio.ensure_future(subscription.drain()) for subscription in subscriptions]
    _, late = await asyncio.wait(drains, timeout=seconds) if drains else ((), ())
    for drain in late:
        drain.cancel()
