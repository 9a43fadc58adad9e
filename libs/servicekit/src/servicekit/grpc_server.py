"""The gRPC port: our servicers behind one `Invoker`, with health, reflection, TLS and limits.

Handlers get the raw bytes and parse them inside the call, so that malformed bytes are refused like any other bad request:
after the caller is known, with a reason, and counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from servicekit import telemetry
from servicekit.app import Servicer
from servicekit.calls import Invoker, Route, routes
from servicekit.errors import Exhausted, Invalid, Unavailable
from servicekit.settings import GrpcSettings
from servicekit.status import DETAILS_KEY, code_of, to_status

LIVE: Final = "live"
"""A name that health always answers SERVING: for probes that restart a process, which a lost dependency must not do."""

Work = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A server that listens. `health` decides what probes are told; it says NOT_SERVING until told otherwise."""

    port: int
    services: Sequence[str]
    health: Health


class Health:
    """What the gRPC health service answers, for the whole server and for each service alike; `live` while it answers at all."""

    def __init__(self, services: Sequence[str]) -> None:
        self.servicer = health_aio.HealthServicer()
        self._names = ("", *services)

    async def say(self, *, serving: bool) -> None:
        """Answer SERVING or NOT_SERVING from now on."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self.servicer.set(name, status)
        await self.servicer.set(LIVE, health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def serve(
    settings: GrpcSettings, service: str, servicers: Sequence[Servicer], invoker: Invoker, *, drain_seconds: float = 10
) -> AsyncIterator[GrpcServer]:
    """Serve over gRPC; leaving takes no new calls and gives the running ones `drain_seconds`."""
    found = routes(servicers)
    names = sorted({name.partition("/")[0] for name in found})
    server = grpc.aio.server(options=_options(settings))
    server.add_generic_rpc_handlers(_handlers(found, service, invoker, Room(settings.max_concurrent)))
    health = Health(names)
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    reflection.enable_server_reflection([*names, "grpc.health.v1.Health", reflection.SERVICE_NAME], server)
    await health.say(serving=False)
    port = _listen(server, settings)
    await server.start()
    try:
        yield GrpcServer(port, names, health)
    finally:
        await server.stop(drain_seconds)


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    keepalive_ms = int(settings.keepalive_seconds * 1000)
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.so_reuseport", 0),
    ]


def _listen(server: grpc.aio.Server, settings: GrpcSettings) -> int:
    address = f"{settings.host}:{settings.port}"
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise Unavailable("The gRPC port cannot be listened on.", reason="PORT_TAKEN") from error


def server_credentials(settings: GrpcSettings) -> grpc.ServerCredentials | None:
    """TLS as configured: none without a certificate; with a client CA, clients must show one of its certificates."""
    if settings.tls_certificate is None and settings.tls_key is None and settings.client_ca is None:
        return None
    if settings.tls_certificate is None or settings.tls_key is None:
        raise Invalid("TLS needs a certificate and its key.", field="grpc.tls_certificate")
    pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
    roots = settings.client_ca.read_bytes() if settings.client_ca else None
    return grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)


class Room:
    """How many calls of ours may run at once. grpc's own limit would refuse probes too, and overload would look like death."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def __enter__(self) -> None:
        if self._left <= 0:
            raise Exhausted("This replica has enough to do.", reason="OVERLOADED")
        self._left -= 1

    def __exit__(self, *_: object) -> None:
        self._left += 1


def _handlers(
    found: Mapping[str, Route], service: str, invoker: Invoker, room: Room
) -> tuple[grpc.GenericRpcHandler, ...]:
    by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}
    for name, route in found.items():
        of, _, method = name.partition("/")
        by_service.setdefault(of, {})[method] = _Endpoint(route, service, invoker, room).grpc_handler()
    return tuple(grpc.method_handlers_generic_handler(of, methods) for of, methods in by_service.items())


class _Endpoint:
    """One method as grpc calls it: bytes in, bytes out."""

    def __init__(self, route: Route, service: str, invoker: Invoker, room: Room) -> None:
        self._method = route.method
        self._parse = route.handler.request_deserializer
        self._serialize = route.handler.response_serializer
        self._behaviour = _behaviour(route.handler)
        self._service = service
        self._invoker = invoker
        self._room = room

    def grpc_handler(self) -> grpc.RpcMethodHandler[Any, Any]:
        """The handler of the method's kind."""
        makers: Mapping[tuple[bool, bool], Any] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self.answer),
            (True, False): (grpc.stream_unary_rpc_method_handler, self.answer),
            (False, True): (grpc.unary_stream_rpc_method_handler, self.stream),
            (True, True): (grpc.stream_stream_rpc_method_handler, self.stream),
        }
        make, behaviour = makers[self._method.streams_request, self._method.streams_response]
        made: grpc.RpcMethodHandler[Any, Any] = make(behaviour)
        return made

    async def answer(self, incoming: Any, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        """One response."""

        async def work() -> bytes:
            return bytes(self._serialize(await self._behaviour(self._request(incoming), context)))

        return bytes(await self._invoke(work, context))

    async def stream(self, incoming: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Many responses, each written when the peer has room for it."""

        async def work() -> None:
            async with aclosing(self._behaviour(self._request(incoming), context)) as responses:
                async for response in responses:
                    await context.write(self._serialize(response))

        await self._invoke(work, context)

    async def _invoke(self, work: Work, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        token, traceparent = _metadata(context)
        try:
            with self._room:
                return await self._invoker.invoke(
                    self._method, work, token=token, remaining_s=context.time_remaining(), traceparent=traceparent
                )
        except Exception as error:  # noqa: BLE001  # every failure is answered
            await self._refuse(error, context)

    async def _refuse(self, error: Exception, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        status = to_status(error, service=self._service, trace_id=telemetry.trace_id())
        trailers = ((DETAILS_KEY, status.SerializeToString()),)
        await context.abort(code_of(error), status.message, trailers)

    def _request(self, incoming: Any) -> Any:
        return self._each(incoming) if self._method.streams_request else self._read(incoming)

    async def _each(self, incoming: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for body in incoming:
            yield self._read(body)

    def _read(self, body: bytes) -> Any:
        try:
            return self._parse(body)
        except DecodeError as error:
            raise Invalid("The request's bytes are not its message.", reason="MALFORMED") from error


def _behaviour(handler: Any) -> Callable[[Any, Any], Any]:
    kinds = (handler.unary_unary, handler.stream_unary, handler.unary_stream, handler.stream_stream)
    found: Callable[[Any, Any], Any] = next(kind for kind in kinds if kind is not None)
    return found


def _metadata(context: grpc.aio.ServicerContext[Any, Any]) -> tuple[str | None, str]:
    token, traceparent = None, ""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            token = value[7:]
        elif key == "traceparent" and isinstance(value, str):
            traceparent = value
    return token, traceparent
