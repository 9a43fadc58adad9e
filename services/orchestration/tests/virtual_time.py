"""A loop whose time passes only while nothing is left to do: hours of waiting cost nothing, and no machine is too slow for a deadline."""

from __future__ import annotations

import asyncio
import selectors
import time


class Stuck(Exception):  # what it is
    """Everybody waits for something that no time brings."""


class _Selector(selectors.SelectSelector):
    def __init__(self, clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout=None):
        found = super().select(0)
        if not found and timeout is None:
            raise Stuck
        if not found and timeout:
            self._clock.now += timeout
        return found


class Clock:
    """Seconds, as the loop and `time.monotonic` tell them."""

    def __init__(self) -> None:
        self.now = 1000.0


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        self._virtual = clock
        super().__init__(_Selector(clock))

    def time(self) -> float:
        return self._virtual.now


def run(coroutine, monkeypatch):
    """What the coroutine gives, in a loop of its own with a time of its own."""
    clock = Clock()
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: clock.now)
        with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
            return runner.run(coroutine)
