"""Writes are served where the ledger's writer is. A replica that gets one over gRPC and is not it asks over NATS, where only the writer listens."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from consent_service.writer import no_writer
from servicekit.auth.caller import caller
from servicekit.errors import Unavailable
from servicekit.gates import Gate

SERVICE = "consent"
NO_RESPONDERS = "NO_RESPONDERS"


class Forwarding:
    """The way to the writer for the methods of one service; `stub` is its generated stub on a channel of the bus."""

    def __init__(self, gate: Gate, stub: object) -> None:
        self._gate = gate
        self._stub = stub

    @property
    def elsewhere(self) -> bool:
        """Whether this call is for another replica. One that a replica of ours forwarded goes no further."""
        return not self._gate.is_open and caller().service != SERVICE

    async def call(self, method: str, request: Any) -> Any:
        """The writer's answer; raises Unavailable NO_WRITER at once when nobody listens."""
        try:
            return await getattr(self._stub, method)(request)
        except Unavailable as error:
            if error.code == NO_RESPONDERS:
                raise no_writer() from error
            raise


class Forwards(Protocol):
    """A servicer whose writes may be for another replica; None where there is no other."""

    forwarding: Forwarding | None


F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def written(serve: F) -> F:
    """Serve a method where the writer is: `@written` on an RPC that appends."""

    @functools.wraps(serve)
    async def served(self: Forwards, request: Any, context: Any) -> Any:
        forwarding = self.forwarding
        if forwarding is not None and forwarding.elsewhere:
            return await forwarding.call(serve.__name__, request)
        return await serve(self, request, context)

    return cast("F", served)
