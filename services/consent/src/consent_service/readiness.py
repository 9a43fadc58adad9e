"""Waiting for what a replica should know before it takes traffic, but not for ever: reads go on without it."""

from __future__ import annotations

import asyncio
from typing import Final

from servicekit.app import Check
from servicekit.errors import Unavailable

PATIENCE_S: Final = 10.0
"""How long a replica that starts waits; after that it is ready all the same."""


def known(event: asyncio.Event, text: str, reason: str) -> Check:
    """Not ready before the event, unless that takes too long. Begins to count now."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE_S

    async def check() -> None:
        if not event.is_set() and loop.time() < give_up:
            raise Unavailable(text, reason=reason)

    return check
