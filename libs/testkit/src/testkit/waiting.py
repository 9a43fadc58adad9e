"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

T = TypeVar("T")


async def until(condition: Callable[[], T | Awaitable[T]], *, timeout: float = 10, every: float = 0.01) -> T:  # noqa: ASYNC109
    """The first true answer of `condition`; AssertionError with the last one when there is none in `timeout` seconds."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        answer = condition()
        value = cast("T", await answer) if inspect.isawaitable(answer) else answer
        if value:
            return value
        assert asyncio.get_running_loop().time() < deadline, f"still {value!r} after {timeout:g} s"
        await asyncio.sleep(every)
