"""The gRPC client's side, for channel apps, the command line and tests: a channel that knows its token and the trace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc

from servicekit import telemetry

KEEPALIVE_MS: Final = 60_000


@asynccontextmanager
async def channel(
    target: str,
    *,
    token: Callable[[], str] | None = None,
    ca: Path | None = None,
    certificate: tuple[Path, Path] | None = None,
    max_message_bytes: int = 4 * 1024 * 1024,
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to `host:port`; `token` is asked for each call, `ca` means TLS, `certificate` is (certificate, key).

    Stubs raise grpc.aio.AioRpcError: `status.translated()` around a call raises our errors instead.
    """
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ]
    interceptors = _interceptors(token)
    credentials = _credentials(ca, certificate)
    if credentials is None:
        opened = grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)
    else:
        opened = grpc.aio.secure_channel(target, credentials, options=options, interceptors=interceptors)
    async with opened:
        yield opened


def _credentials(ca: Path | None, certificate: tuple[Path, Path] | None) -> grpc.ChannelCredentials | None:
    if ca is None:
        return None
    chain, key = (path.read_bytes() for path in certificate) if certificate else (None, None)
    return grpc.ssl_channel_credentials(ca.read_bytes(), key, chain)


class _Heading:
    """Adds the bearer token and the trace to a call's metadata."""

    def __init__(self, token: Callable[[], str] | None) -> None:
        self._token = token

    def details(self, given: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        """The same call, with our headers."""
        metadata = list(given.metadata or ())
        if self._token is not None:
            metadata.append(("authorization", f"Bearer {self._token()}"))
        traceparent = telemetry.inject()
        if traceparent:
            metadata.append(("traceparent", traceparent))
        return grpc.aio.ClientCallDetails(
            given.method, given.timeout, grpc.aio.Metadata(*metadata), given.credentials, given.wait_for_ready
        )


def _interceptors(token: Callable[[], str] | None) -> Sequence[grpc.aio.ClientInterceptor]:
    """Grpc tells interceptors of the four kinds of call apart by their class, so there is one for each."""
    heading = _Heading(token)
    return [_UnaryUnary(heading), _UnaryStream(heading), _StreamUnary(heading), _StreamStream(heading)]


class _Headed:
    def __init__(self, heading: _Heading) -> None:
        self._heading = heading

    async def _go(self, continuation: Any, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        return await continuation(self._heading.details(details), request)


class _UnaryUnary(_Headed, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._go(continuation, client_call_details, request)


class _UnaryStream(_Headed, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self._go(continuation, client_call_details, request)


class _StreamUnary(_Headed, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._go(continuation, client_call_details, request_iterator)


class _StreamStream(_Headed, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self._go(continuation, client_call_details, request_iterator)
