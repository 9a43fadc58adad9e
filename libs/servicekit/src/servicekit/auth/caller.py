"""The caller of the running call, set by both transports."""

from __future__ import annotations

import contextvars
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


class acting_as:  # noqa: N801  a context, used like a function; a class since every call pays for it
    """Run the block on behalf of `who`."""

    __slots__ = ("_token", "_who")

    def __init__(self, who: Caller) -> None:
        self._who = who

    def __enter__(self) -> None:
        self._token = _CALLER.set(self._who)

    def __exit__(self, *_: object) -> None:
        _CALLER.reset(self._token)
