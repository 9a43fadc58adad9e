"""Which snapshot of the models counts: watched, so that naming it costs a decision nothing."""

from __future__ import annotations

import json
import logging
from typing import NoReturn

from orchestration_service.ports import Snapshots
from servicekit.nats import Bus
from servicekit.ordered import Ordered

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
        """Keep up for ever, over any failure of the bus: a task of the service's App."""
        reader = Ordered(self._bus, f"KV_{BUCKET}", [f"$KV.{BUCKET}.{HEAD}"], latest=True)
        try:
            while True:
                for message in await reader.take():
                    self._swap(message.data)
        finally:
            await reader.close()

    def _swap(self, named: bytes) -> None:
        try:
            self._head = max(self._head, int(json.loads(named)["version"]))
        except (ValueError, KeyError, TypeError):
            logger.warning("the name of a snapshot cannot be read")


_: type[Snapshots] = WatchedSnapshots
