"""Keys in memory, for the one writer and nobody else: the least recently used leave first, and none stays longer than five minutes."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Final

from consent_service.domain.commitments import SubjectKey
from consent_service.keys.ports import Found, SubjectKeys

LONGEST_S: Final = 300.0


class CachedSubjectKeys:
    """Remembers live keys only: what is destroyed or absent is asked for each time."""

    def __init__(self, keys: SubjectKeys, *, size: int = 100_000, now: Callable[[], float] = time.monotonic) -> None:
        self._keys = keys
        self._size = size
        self._now = now
        self._kept: OrderedDict[str, SubjectKey] = OrderedDict()
        self._since: OrderedDict[str, float] = OrderedDict()
        self._forgotten = 0

    async def get(self, subjects: Collection[str]) -> Found:
        """From memory, and the rest in one question."""
        return await self._completed(subjects, self._keys.get)

    async def create(self, subjects: Collection[str]) -> Found:
        """As `get`, and a new key for whoever has none."""
        return await self._completed(subjects, self._keys.create)

    async def rewrap(self, most: int) -> int:
        """The keys themselves stay the same, so what is in memory does too."""
        return await self._keys.rewrap(most)

    def forget(self, subjects: Collection[str]) -> None:
        """Drop these before and after their keys are destroyed. What is being asked for meanwhile is not kept."""
        self._forgotten += 1
        for subject in subjects:
            self._drop(subject)

    def clear(self) -> None:
        """Drop all: for a writer that steps down."""
        self.forget(list(self._kept))

    def expire(self) -> None:
        """Drop what was read five minutes ago; each question does it too, and an idle writer does it by the clock."""
        oldest = self._now() - LONGEST_S
        while self._since and next(iter(self._since.values())) <= oldest:
            self._drop(next(iter(self._since)))

    async def _completed(self, subjects: Collection[str], ask: Callable[[Collection[str]], Awaitable[Found]]) -> Found:
        self.expire()
        known = {subject: key for subject in subjects if (key := self._recalled(subject)) is not None}
        missing = [subject for subject in subjects if subject not in known]
        if not missing:
            return Found(known)
        asked_at, forgotten = self._now(), self._forgotten
        found = await ask(missing)
        if forgotten == self._forgotten:
            self._keep(found, asked_at)
        return Found({**known, **found.live}, found.destroyed)

    def _recalled(self, subject: str) -> SubjectKey | None:
        key = self._kept.get(subject)
        if key is not None:
            self._kept.move_to_end(subject)
        return key

    def _keep(self, found: Found, asked_at: float) -> None:
        for subject, key in found.live.items():
            self._drop(subject)
            self._kept[subject] = key
            self._since[subject] = asked_at
        while len(self._kept) > self._size:
            self._drop(next(iter(self._kept)))

    def _drop(self, subject: str) -> None:
        self._kept.pop(subject, None)
        self._since.pop(subject, None)


_: type[SubjectKeys] = CachedSubjectKeys
