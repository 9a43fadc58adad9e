"""A pool that lends a connection again as it came back: the driver's own way there and back costs twice what a small statement does.

Only what came back in good order is kept in hand; whatever failed, is in a transaction or is waited for goes the driver's way.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias, cast

import asyncpg

Borrowed: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

IDLE_S: Final = 300.0
"""How long a connection stays in hand that nobody needs."""


class Lending(asyncpg.Pool):
    """The driver's pool with connections in hand, the newest on top. They stay acquired there, so `max_size` holds."""

    __slots__ = ("_in_hand", "_wanted")

    def __init__(self, dsn: str, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "max_queries": 50_000,
            "max_inactive_connection_lifetime": IDLE_S,
            "loop": None,
            "record_class": asyncpg.Record,
        }
        super().__init__(dsn, **defaults | settings)
        self._in_hand: list[tuple[Borrowed, float]] = []
        self._wanted = 0

    def lend(self) -> Borrowed | None:
        """One that is in hand and lives."""
        while self._in_hand:
            borrowed, _ = self._in_hand.pop()
            if not _is_lost(borrowed):
                return borrowed
            self._give_up(borrowed)
        return None

    def keep(self, borrowed: Borrowed) -> bool:
        """Take it in hand; False when it must be released."""
        if self._wanted or self.is_closing() or _is_lost(borrowed) or borrowed.is_in_transaction():
            return False
        now = asyncio.get_running_loop().time()
        self._in_hand.append((borrowed, now))
        if self._in_hand[0][1] < now - IDLE_S:
            self._give_up(self._in_hand.pop(0)[0])
        return True

    async def _acquire(self, timeout: float | None) -> Borrowed:  # noqa: ASYNC109  the driver's own
        borrowed = self.lend()
        if borrowed is not None:
            return borrowed
        self._wanted += 1  # from now on what comes back goes where it is waited for
        try:
            return cast("Borrowed", await super()._acquire(timeout))  # type: ignore[misc]  # the stubs leave it out
        finally:
            self._wanted -= 1

    async def close(self) -> None:
        """Give back what is in hand, then as the driver does."""
        while self._in_hand:
            await self.release(self._in_hand.pop()[0])
        await super().close()

    def _give_up(self, borrowed: Borrowed) -> None:
        """Release it without anybody waiting for that."""
        releasing = asyncio.ensure_future(self.release(borrowed))
        releasing.add_done_callback(lambda done: done.cancelled() or done.exception())


def _is_lost(borrowed: Borrowed) -> bool:
    try:
        return borrowed.is_closed()
    except asyncpg.InterfaceError:  # the driver has taken it back, because it ended
        return True
