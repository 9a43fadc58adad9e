"""How long the call that is being served may still take; whatever it asks of others gets no longer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


def remaining_s(limit: float) -> float:
    """The smaller of `limit` and what is left of the ambient deadline; not positive when that has passed."""
    ends = _ends.get()
    return limit if ends is None else min(limit, ends - time.monotonic())


def end_at(monotonic: float) -> None:
    """Set the ambient deadline of this context, which must be the call's own (a task has one)."""
    _ends.set(monotonic)


@contextmanager
def ending_in(seconds: float) -> Iterator[None]:
    """Give the block at most `seconds`, and not more than it has already."""
    token = _ends.set(time.monotonic() + remaining_s(seconds))
    try:
        yield
    finally:
        _ends.reset(token)
