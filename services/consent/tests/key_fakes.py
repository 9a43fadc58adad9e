"""Keys in memory, for tests of whoever uses keys; held to the same contract as those in PostgreSQL."""

from __future__ import annotations

import os

from consent_service.domain.commitments import SubjectKey
from consent_service.keys import Found, KeyShredder, SubjectKeys
from servicekit.errors import Unavailable


class MemoryKeys:
    """Both ports at once. While `away` is set, every question is answered KEYS_UNAVAILABLE."""

    def __init__(self):
        self.away = False
        self._live = {}
        self._gone = set()

    def _ask(self):
        if self.away:
            raise Unavailable("The keys are away.", reason="KEYS_UNAVAILABLE")

    async def get(self, subjects):
        self._ask()
        live = {subject: self._live[subject] for subject in subjects if subject in self._live}
        return Found(live, frozenset(self._gone.intersection(subjects)))

    async def create(self, subjects):
        self._ask()
        for subject in set(subjects) - self._gone:
            self._live.setdefault(subject, SubjectKey(os.urandom(32)))
        return await self.get(subjects)

    async def rewrap(self, most):
        self._ask()
        return 0

    async def destroy(self, subjects):
        self._ask()
        for subject in subjects:
            self._live.pop(subject, None)
            self._gone.add(subject)

    async def destroyed(self, *, after="", most=1000):
        self._ask()
        return sorted(subject for subject in self._gone if subject > after)[:most]

    async def destroy_keks(self):
        self._ask()
        return []


_: tuple[type[SubjectKeys], type[KeyShredder]] = (MemoryKeys, MemoryKeys)
