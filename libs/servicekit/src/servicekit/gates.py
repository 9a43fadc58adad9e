"""Gates: whether this replica serves some of its methods now. One that has nothing to say to a call does not hear it."""

from __future__ import annotations

import asyncio


class Gate:
    """Closed until it is opened; both may happen many times."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._closed.set()

    @property
    def is_open(self) -> bool:
        """Whether it is open now."""
        return self._opened.is_set()

    def open(self) -> None:
        """Let calls in."""
        self._closed.clear()
        self._opened.set()

    def close(self) -> None:
        """Let no more in; those that are in stay."""
        self._opened.clear()
        self._closed.set()

    async def opened(self) -> None:
        """Return once it is open."""
        await self._opened.wait()

    async def closed(self) -> None:
        """Return once it is closed."""
        await self._closed.wait()
