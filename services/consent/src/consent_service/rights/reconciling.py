"""Two databases, one truth: a subject that is erased in either is erased in both. It is made so before any key is used, after every start.

A backup of the keys that was put back brings keys to life whose subjects are tombstones in the ledger: they are destroyed again. A backup
of the ledger that was put back brings rows whose keys are dead: they are deleted again. Until that was done once, keys are not given out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, NoReturn

from consent_service.keys import Found, KeyShredder, SubjectKeys
from consent_service.rights.ports import Eraser
from servicekit.errors import AssentError, Unavailable

logger = logging.getLogger(__name__)

PAGE: Final = 1000
AGAIN_S: Final = 3600.0
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0
PATIENCE_S: Final = 1.0
REWRAPPED: Final = 500


async def reconcile(eraser: Eraser, shredder: KeyShredder) -> None:
    """Make both agree. Raises Unavailable when one of them is away; repeating it goes on."""
    after = ""
    while page := await eraser.erased(after=after, most=PAGE):
        await shredder.destroy(page)
        after = page[-1]
    after = ""
    while page := await shredder.destroyed(after=after, most=PAGE):
        await eraser.forget(page)
        after = page[-1]
    await eraser.forget_leftovers()


@dataclass(frozen=True, slots=True)
class Reconciling:
    """The task that does it: at the start, and each hour. `done` is set once it was."""

    eraser: Eraser
    shredder: KeyShredder
    keys: SubjectKeys
    done: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> NoReturn:
        """For ever; asks again soon while a database is away."""
        wait = FIRST_WAIT_S
        while True:
            try:
                await reconcile(self.eraser, self.shredder)
                self.done.set()
                await self._keep_keks()
            except AssentError as error:
                if wait > PATIENCE_S:  # a database that was just opened may need a moment
                    logger.warning("the keys and the ledger were not compared: %s", error.code)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                wait = FIRST_WAIT_S
                await asyncio.sleep(AGAIN_S)

    async def _keep_keks(self) -> None:
        """Move live keys under the newest key-encryption key, and end those whose time is over: then old backups are blind."""
        while await self.keys.rewrap(REWRAPPED):
            pass
        await self.shredder.destroy_keks()


class ReconciledKeys:
    """Keys, once both databases agree."""

    def __init__(self, keys: SubjectKeys, done: asyncio.Event) -> None:
        self._keys = keys
        self._done = done

    def _once(self) -> SubjectKeys:
        if not self._done.is_set():
            raise Unavailable("The keys and the ledger were not compared yet.", reason="KEYS_UNAVAILABLE")
        return self._keys

    async def get(self, subjects: Collection[str]) -> Found:
        """As soon as they agree."""
        return await self._once().get(subjects)

    async def create(self, subjects: Collection[str]) -> Found:
        """As soon as they agree."""
        return await self._once().create(subjects)

    async def rewrap(self, most: int) -> int:
        """As soon as they agree."""
        return await self._once().rewrap(most)


_: type[SubjectKeys] = ReconciledKeys
