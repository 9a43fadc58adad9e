"""Ending tasks for certain.

`asyncio.wait_for` of Python 3.11 swallows a cancellation that meets its result (mended in 3.12), and the NATS client uses it; so a task
that was cancelled once may go on.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

AGAIN_S: Final = 0.5


async def ended(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks until they have ended; what they raise is theirs."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
    for task in tasks:
        if not task.cancelled():
            task.exception()
