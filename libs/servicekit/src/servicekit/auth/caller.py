"""The caller of the running call, set by both transports."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from dataclasses import dataclass

from servicekit.errors import Forbidden, Unauthenticated


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: `subject` as its token names it, the scopes it holds, and the sibling service it is, if it is one."""

    subject: str
    scopes: frozenset[str] = frozenset()
    service: str | None = None

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller holds the scope."""
        if scope not in self.scopes:
            raise Forbidden("The caller does not hold the scope that this needs.", reason="SCOPE_MISSING", scope=scope)


_CALLER: contextvars.ContextVar[Caller] = contextvars.ContextVar("caller")


def caller() -> Caller:
    """The caller of the running call; Unauthenticated outside of one."""
    try:
        return _CALLER.get()
    except LookupError:
        raise Unauthenticated(reason="NO_CALLER") from None


@contextlib.contextmanager
def acting_as(who: Caller) -> Iterator[None]:
    """Run the block on behalf of `who`."""
    token = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(token)
