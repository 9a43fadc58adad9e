"""Wrapped keys in PostgreSQL: one class for each role, so that neither can do what the other may."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from consent_service.domain.commitments import KEY_SIZE, SubjectKey
from consent_service.keys.epochs import KekEpoch, next_due, to_destroy
from consent_service.keys.ports import Found, Keks, KeyShredder, SubjectKeys
from servicekit import postgres, queries
from servicekit.clock import Clock
from servicekit.errors import Unavailable

sql = queries.load("consent_service.keys")

SCHEMA: Final = "keys"
_EPOCH_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)

Random = Callable[[int], bytes]


class PostgresSubjectKeys:
    """Keys as `key_user` sees them: it reads, makes and re-wraps."""

    def __init__(self, pool: postgres.Pool, keks: Keks, clock: Clock, random: Random = secrets.token_bytes) -> None:
        self._pool = pool
        self._keks = keks
        self._clock = clock
        self._random = random

    async def get(self, subjects: Collection[str]) -> Found:
        """One statement, and one call to the provider for each KEK."""
        async with _available(), postgres.connection(self._pool) as connection:
            rows = await sql.read_keys(connection, subjects=list(subjects))
        return await self._opened(rows)

    async def create(self, subjects: Collection[str]) -> Found:
        """Idempotent under any race: what is stored is read again."""
        wanted = sorted(set(subjects))
        if wanted:
            current = await self._current()
            fresh = [self._random(KEY_SIZE) for _ in wanted]
            wrapped = await self._keks.wrap(current.provider_ref, fresh)
            async with _available(), postgres.connection(self._pool) as connection:
                await sql.add_keys(
                    connection, subjects=wanted, wrapped=wrapped, kek_epoch=current.epoch, created_at=self._now()
                )
        return await self.get(wanted)

    async def rewrap(self, most: int) -> int:
        """In order of the oldest KEK."""
        current = await self._current()
        async with _available(), postgres.connection(self._pool) as connection:
            rows = await sql.stale_keys(connection, newest=current.epoch, most=most)
        keys = await self._unwrapped(rows)
        wrapped = await self._keks.wrap(current.provider_ref, list(keys.values()))
        async with _available(), postgres.connection(self._pool) as connection:
            await sql.rewrap_keys(connection, subjects=list(keys), wrapped=wrapped, newest=current.epoch)
        return len(keys)

    async def _current(self) -> KekEpoch:
        """The newest KEK, made when it is due. The provider has it before the database names it."""
        now = self._now()
        async with _available(), postgres.connection(self._pool) as connection:
            epochs = list(map(_epoch, await sql.read_epochs(connection)))
            number = next_due(epochs, now)
            if number is not None:
                ref = await self._keks.create(number)
                await sql.add_epoch(connection, epoch=number, provider_ref=ref, created_at=now)
            return _epoch(await sql.newest_epoch(connection))

    async def _opened(self, rows: Sequence[Mapping[str, Any]]) -> Found:
        keys = await self._unwrapped([row for row in rows if row["wrapped_dek"] is not None])
        destroyed = frozenset(row["subject_id"] for row in rows if row["wrapped_dek"] is None)
        return Found({subject: SubjectKey(key) for subject, key in keys.items()}, destroyed)

    async def _unwrapped(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
        by_kek: dict[str, dict[str, bytes]] = defaultdict(dict)
        for row in rows:
            by_kek[row["provider_ref"]][row["subject_id"]] = row["wrapped_dek"]
        keys: dict[str, bytes] = {}
        for ref, wrapped in by_kek.items():
            opened = await self._keks.unwrap(ref, list(wrapped.values()))
            keys |= zip(wrapped, opened, strict=True)
        return keys

    def _now(self) -> datetime:
        return _at(self._clock)


class PostgresKeyShredder:
    """Keys as `key_shredder` sees them: it ends them, and can read none."""

    def __init__(self, pool: postgres.Pool, keks: Keks, clock: Clock) -> None:
        self._pool = pool
        self._keks = keks
        self._clock = clock

    async def destroy(self, subjects: Collection[str]) -> None:
        """One transaction for all."""
        given = {"subjects": sorted(set(subjects)), "destroyed_at": _at(self._clock)}
        async with _available(), postgres.transaction(self._pool) as connection:
            await sql.add_tombstones(connection, **given)
            await sql.shred_keys(connection, **given)

    async def destroyed(self, *, after: str = "", most: int = 1000) -> Sequence[str]:
        """A page."""
        async with _available(), postgres.connection(self._pool) as connection:
            rows = await sql.destroyed_subjects(connection, since=after, most=most)
        return [row["subject_id"] for row in rows]

    async def destroy_keks(self) -> Sequence[int]:
        """The database first: its trigger refuses while a live key hangs on the KEK. A crash in between is made good by repeating."""
        now = _at(self._clock)
        async with _available(), postgres.connection(self._pool) as connection:
            epochs = list(map(_epoch, await sql.read_epochs(connection)))
            ended = []
            for found in to_destroy(epochs, now):
                if not await sql.live_under(connection, epoch=found.epoch):
                    await sql.end_epoch(connection, epoch=found.epoch, destroyed_at=now)
                    ended.append(found.epoch)
        for found in epochs:
            if found.destroyed_at is not None or found.epoch in ended:
                await self._keks.destroy(found.provider_ref)
        return ended


def _at(clock: Clock) -> datetime:
    return _EPOCH_ZERO + timedelta(microseconds=clock.now_us())


def _epoch(row: Mapping[str, Any]) -> KekEpoch:
    return KekEpoch(row["epoch"], row["provider_ref"], row["created_at"], row["destroyed_at"])


@asynccontextmanager
async def _available() -> AsyncIterator[None]:
    """Say KEYS_UNAVAILABLE, whatever keeps the database away."""
    try:
        yield
    except Unavailable as error:
        raise Unavailable("The keys are away.", reason="KEYS_UNAVAILABLE") from error


_: tuple[type[SubjectKeys], type[KeyShredder]] = (PostgresSubjectKeys, PostgresKeyShredder)
