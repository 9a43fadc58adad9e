"""The only place that reads the time. Domains take `now` as an argument: epoch microseconds, UTC."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_us(self) -> int:
        """Epoch microseconds, UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Epoch microseconds, UTC."""
        return time.time_ns() // 1000


class FixedClock:
    """A clock that stands still until it is told to move: for tests, replay and demonstrations."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """Epoch microseconds, UTC."""
        return self._now_us

    def advance(self, us: int) -> None:
        """Move by `us` microseconds."""
        self._now_us += us
