"""How long the call that is being served may still take; whatever it asks of others gets no longer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

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


class Within:
    """`ending_in` that also ends the block: TimeoutError when the time is up, as `asyncio.timeout` does and for a part of its price.

    For a block that runs ten times per call; not to be entered twice.
    """

    __slots__ = ("_cancelling", "_late", "_seconds", "_task", "_timer", "_token")

    def __init__(self, seconds: float) -> None:
        self._seconds = max(seconds, 0.0)

    def __enter__(self) -> None:
        """Start the time."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("time is taken of a task")
        self._task, self._cancelling, self._late = task, task.cancelling(), False
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._stop)
        self._token = _ends.set(time.monotonic() + remaining_s(self._seconds))

    def _stop(self) -> None:
        self._late = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it; a cancellation that is somebody else's goes on."""
        self._timer.cancel()
        _ends.reset(self._token)
        if self._late and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
