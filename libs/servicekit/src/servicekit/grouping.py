"""Group commit: what arrives while one batch is being written goes into the next, so that many items cost one transaction.

There is no timer: an item alone is written at once, and under load batches grow by themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from servicekit.errors import Unavailable

Item = TypeVar("Item")
MOST = 256


class Grouped(Generic[Item]):
    """Writes the items of concurrent callers together: `await grouped.add(item)` returns once the item is written.

    `write` is all or nothing, and idempotent. When it fails the items of that batch, and no other, are written one by one, so
    that an item that cannot be written fails alone; while the store is away (Unavailable) all of them fail at once.
    An item whose caller is cancelled may be written or not. Items are written in the order of `add`.
    """

    def __init__(self, write: Callable[[Sequence[Item]], Awaitable[None]], *, most: int = MOST) -> None:
        self._write = write
        self._most = most
        self._waiting: list[tuple[Item, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def add(self, item: Item) -> None:
        """Return once the item is written; raises what `write` raised for it."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append((item, written))
        if self._writing is None:
            # Without the first caller's context: its deadline and span are not the batch's.
            self._writing = asyncio.create_task(self._write_all(), name="grouped", context=Context())
        await written

    async def _write_all(self) -> None:
        try:
            while self._drop_given_up():
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._write_batch(batch)
        finally:
            self._writing = None
            for _, written in self._waiting:  # left only when this task is cancelled, as when the loop ends
                written.cancel()

    def _drop_given_up(self) -> bool:
        """Forget items whose caller is gone; whether any are left."""
        self._waiting = [each for each in self._waiting if not each[1].done()]
        return bool(self._waiting)

    async def _write_batch(self, batch: Sequence[tuple[Item, asyncio.Future[None]]]) -> None:
        try:
            await self._write([item for item, _ in batch])
        except Unavailable as error:
            _settle(batch, error)
        except Exception as error:  # noqa: BLE001  # it is the callers'
            if len(batch) == 1:
                _settle(batch, error)
            else:
                for each in batch:
                    await self._write_batch([each])
        except BaseException:
            for _, written in batch:
                written.cancel()
            raise
        else:
            _settle(batch, None)


def _settle(batch: Sequence[tuple[Item, asyncio.Future[None]]], error: Exception | None) -> None:
    for _, written in batch:
        if written.done():
            continue
        if error is None:
            written.set_result(None)
        else:
            written.set_exception(error)
