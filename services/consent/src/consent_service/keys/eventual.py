"""Keys whose database may be away when the service starts: reads and checks go on, and writes say KEYS_UNAVAILABLE until it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Generic, TypeVar

from consent_service.keys.ports import Found, KeyShredder, SubjectKeys
from consent_service.keys.store import SCHEMA
from servicekit import postgres
from servicekit.errors import Unavailable
from servicekit.settings import DatabaseSettings

T = TypeVar("T")


class Eventual(Generic[T]):
    """What is made of a pool, once there is one. `hold` is a task of the service."""

    def __init__(self, settings: DatabaseSettings, make: Callable[[postgres.Pool], T]) -> None:
        self._settings = settings
        self._make = make
        self._made: T | None = None

    async def hold(self) -> None:
        """Open the pool, however long that takes, and keep it until cancelled."""
        async with postgres.pool(self._settings, schema=SCHEMA) as pool:
            self._made = self._make(pool)
            try:
                await asyncio.Event().wait()
            finally:
                self._made = None

    def get(self) -> T:
        """What was made; Unavailable KEYS_UNAVAILABLE as long as there is no pool."""
        if self._made is None:
            raise Unavailable("The keys are away.", reason="KEYS_UNAVAILABLE")
        return self._made


class EventualSubjectKeys:
    """SubjectKeys, once their database is there."""

    def __init__(self, keys: Eventual[SubjectKeys]) -> None:
        self._keys = keys

    async def get(self, subjects: Collection[str]) -> Found:
        """As soon as they are there."""
        return await self._keys.get().get(subjects)

    async def create(self, subjects: Collection[str]) -> Found:
        """As soon as they are there."""
        return await self._keys.get().create(subjects)

    async def rewrap(self, most: int) -> int:
        """As soon as they are there."""
        return await self._keys.get().rewrap(most)


class EventualKeyShredder:
    """A KeyShredder, once its database is there."""

    def __init__(self, shredder: Eventual[KeyShredder]) -> None:
        self._shredder = shredder

    async def destroy(self, subjects: Collection[str]) -> None:
        """As soon as it is there."""
        await self._shredder.get().destroy(subjects)

    async def destroyed(self, *, after: str = "", most: int = 1000) -> Sequence[str]:
        """As soon as it is there."""
        return await self._shredder.get().destroyed(after=after, most=most)

    async def destroy_keks(self) -> Sequence[int]:
        """As soon as it is there."""
        return await self._shredder.get().destroy_keks()


_: tuple[type[SubjectKeys], type[KeyShredder]] = (EventualSubjectKeys, EventualKeyShredder)
