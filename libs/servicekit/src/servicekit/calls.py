"""What happens around every call, whatever carried it: span, deadline, caller, scope, the work, and the error's translation.

Both transports register the same generated servicers and run their methods through one `Invoker`. A method says in its
proto which scope it needs; one that does not say fails when the server is built, so that nothing is open by omission.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor

from assent.auth.v1 import scope_pb2
from servicekit import deadline, telemetry
from servicekit.app import Servicer
from servicekit.auth.caller import acting_as
from servicekit.auth.tokens import Authenticator
from servicekit.errors import AssentError, DeadlineExceeded, FailedPrecondition
from servicekit.status import Internal, code_of

logger = logging.getLogger(__name__)

EXEMPT: Final = ("grpc.health.", "grpc.reflection.")

_Answer = TypeVar("_Answer")


class ScopeMissing(FailedPrecondition):
    """A method of ours does not say who may call it."""


@dataclass(frozen=True, slots=True)
class Method:
    """A method as its contract has it; `name` is `package.Service/Method`."""

    name: str
    scope: str
    streams_request: bool
    streams_response: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A method and the generated handler that serves it, with its parser and serializer."""

    method: Method
    handler: Any


class _Registered:
    """Stands where the generated `add_*_to_server` expects a server, and keeps what it is given."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Nothing: the registered handlers say the same."""

    def add_registered_method_handlers(self, service_name: str, handlers: Mapping[str, Any]) -> None:
        """Keep them by `package.Service/Method`."""
        self.handlers.update({f"{service_name}/{name}": handler for name, handler in handlers.items()})


def routes(servicers: Sequence[Servicer]) -> dict[str, Route]:
    """All methods of the servicers by name; ScopeMissing names a method that needs no scope."""
    registered = _Registered()
    for servicer in servicers:
        servicer.add(servicer.implementation, registered)
    return {name: Route(method_named(name), handler) for name, handler in registered.handlers.items()}


def method_named(name: str) -> Method:
    """The method of this name, from the descriptors that its stubs registered."""
    service, _, method = name.partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[method]
    return Method(name, _scope(name, found), found.client_streaming, found.server_streaming)


def _scope(name: str, method: MethodDescriptor) -> str:
    scope = str(method.GetOptions().Extensions[scope_pb2.scope])
    if not scope and not name.startswith(EXEMPT):
        raise ScopeMissing(f"{name} has no (assent.auth.v1.scope): nobody knows who may call it.", reason="NO_SCOPE")
    return scope


class Invoker:
    """Runs the calls of one transport."""

    def __init__(self, authenticator: Authenticator, *, transport: str, default_deadline_s: float = 10) -> None:
        self._authenticator = authenticator
        self._transport = transport
        self._default_deadline_s = default_deadline_s

    async def invoke(
        self,
        method: Method,
        work: Callable[[], Awaitable[_Answer]],
        *,
        token: str | None,
        remaining_s: float | None,
        traceparent: str = "",
    ) -> _Answer:
        """What `work` answers, done on the caller's behalf; raises kit errors only.

        Without a deadline a call gets the default one; a call that streams may then run as long as its stream.
        """
        with self._observed(method, traceparent):
            limit_s = self._limit(method, remaining_s)
            if limit_s is None:
                return await self._work(method, work, token)
            with deadline.ending_in(limit_s):
                return await self._work_within(method, work, token, deadline.remaining_s(limit_s))

    def _limit(self, method: Method, remaining_s: float | None) -> float | None:
        if remaining_s is None:
            return None if method.streams_request or method.streams_response else self._default_deadline_s
        if remaining_s <= 0:
            raise DeadlineExceeded("The deadline had passed when the call arrived.", reason="DEADLINE_PASSED")
        return remaining_s

    async def _work_within(
        self, method: Method, work: Callable[[], Awaitable[_Answer]], token: str | None, seconds: float
    ) -> _Answer:
        try:
            async with asyncio.timeout(seconds) as limit:
                return await self._work(method, work, token)
        except TimeoutError:
            if limit.expired():
                raise DeadlineExceeded from None
            raise

    async def _work(self, method: Method, work: Callable[[], Awaitable[_Answer]], token: str | None) -> _Answer:
        who = await self._authenticator.caller_of(token)
        who.require(method.scope)
        with acting_as(who):
            return await work()

    @contextmanager
    def _observed(self, method: Method, traceparent: str) -> Iterator[None]:
        """The call's span and metrics; what is raised inside leaves as a kit error, and a bug is logged here, once."""
        started = time.perf_counter()
        attributes: dict[str, Any] = {telemetry.RPC_SYSTEM: self._transport, telemetry.RPC_METHOD: method.name}
        telemetry.count(telemetry.RPC_IN_FLIGHT, 1, attributes)
        status = "OK"
        try:
            with telemetry.server_span(method.name, traceparent, attributes):
                try:
                    yield
                except Exception as error:
                    known = _known(error, method)
                    status = code_of(known).name
                    _mark(known, status)
                    raise known from error
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED.name
            raise
        finally:
            telemetry.count(telemetry.RPC_IN_FLIGHT, -1, attributes)
            seconds = time.perf_counter() - started
            telemetry.observe(telemetry.RPC_DURATION, seconds, {**attributes, telemetry.RPC_STATUS: status})


def _known(error: Exception, method: Method) -> Exception:
    """The error itself where its class is in the table; otherwise Internal with an id under which the log has the rest."""
    if code_of(error) is not grpc.StatusCode.INTERNAL:
        return error
    trace_id = telemetry.trace_id_or_new()
    logger.error("a call failed", exc_info=error, extra={"method": method.name, "trace_id": trace_id})
    return Internal(trace_id=trace_id)


def _mark(error: Exception, status: str) -> None:
    current = telemetry.current_span()
    current.set_attribute(telemetry.RPC_STATUS, status)
    if isinstance(error, AssentError):
        current.set_attribute(telemetry.REASON, error.code)
