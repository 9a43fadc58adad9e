"""Which snapshot of the models counts: watched, so that naming it costs a decision nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import NoReturn

from nats.errors import Error as NatsError

from orchestration_service.ports import Snapshots
from servicekit.errors import Unavailable
from servicekit.nats import Bus

logger = logging.getLogger(__name__)

BUCKET = "SNAPSHOTS"
HEAD = "head"


class WatchedSnapshots:
    """Follows the key `head`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._head = 0

    def head(self) -> int:
        """The version; 0 while none is known."""
        return self._head

    async def follow(self) -> NoReturn:
        """Keep up for ever: a task of the service's App."""
        while True:
            try:
                await self._watch()
            except (Unavailable, NatsError, OSError) as error:
                logger.warning("snapshots cannot be followed", extra={"reason": type(error).__name__})
            await asyncio.sleep(1)

    async def _watch(self) -> None:
        watcher = await (await self._bus.kv(BUCKET)).watch(HEAD)
        try:
            async for entry in watcher:
                if entry is not None and entry.value:
                    self._head = max(self._head, int(json.loads(entry.value)["version"]))
        finally:
            await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py says nothing here


_: type[Snapshots] = WatchedSnapshots
