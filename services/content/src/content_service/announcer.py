"""Keeps the bucket BUNDLES equal to the database: what counts is decided in PostgreSQL and told over NATS.

A crash between commit and announcement, or a lost bucket, is mended by `keep`, which compares once a second and has the bundle's texts
parsed before anybody asks for them. While neither has changed since they were found to agree, that is one question to each.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from content_service.domain import Active
from content_service.library import Library
from content_service.ports import Announcer, Bundles
from servicekit.bundles import ACTIVE, BUCKET, key_of
from servicekit.errors import AssentError, Unavailable
from servicekit.nats import Bus

logger = logging.getLogger(__name__)

COMPARE_S = 1.0
TIMEOUT_S = 5.0


Mark = tuple[object, ...]
"""What changes whenever the bucket does."""


class BucketAnnouncer:
    """Writes the bucket."""

    def __init__(self, bus: Bus, bundles: Bundles, library: Library) -> None:
        self._bus = bus
        self._bundles = bundles
        self._library = library
        self._bucket: KeyValue | None = None
        self._agreed: tuple[Active, Mark] | None = None

    async def announce(self, active: Active) -> None:
        """Put document first, name second: a reader never sees a name without its document. Raises Unavailable."""
        if active.digest is None:
            return
        await self._library.speaker(active.digest)
        async with self._reaching() as bucket:
            if not (await _read(bucket, key_of(active.digest))).value:
                await bucket.put(key_of(active.digest), await self._bundles.document(active.digest))
            await _advance(bucket, active)

    async def keep(self) -> NoReturn:
        """Announce again whenever the bucket is behind: a task of the service's App."""
        while True:
            try:
                await self._compare()
            except AssentError as error:
                logger.warning("the active bundle could not be announced: %s", error.code)
            await asyncio.sleep(COMPARE_S)

    async def _compare(self) -> None:
        """Look closely unless all is as it was when it was looked at last; what that look wrote is looked at the next time."""
        active = await self._bundles.active()
        async with self._reaching() as bucket:
            seen = active, await _mark(bucket)
        if seen != self._agreed:
            await self.announce(active)
            self._agreed = seen

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[KeyValue]:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                self._bucket = self._bucket or await self._bus.kv(BUCKET)
                yield self._bucket
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable("The bundle could not be announced", reason="BUS_AWAY") from error


async def _mark(bucket: KeyValue) -> Mark:
    info = (await bucket.status()).stream_info
    return info.created, info.state.first_seq, info.state.last_seq, info.state.messages


@dataclass(frozen=True, slots=True)
class Stored:
    """What a key holds, and the revision that the next write must follow; a deleted key has a revision too."""

    value: bytes = b""
    revision: int = 0


async def _read(bucket: KeyValue, key: str) -> Stored:
    try:
        entry = await bucket.get(key)
    except KeyNotFoundError as missing:
        return Stored(revision=missing.entry.revision or 0 if missing.entry else 0)
    return Stored(entry.value or b"", entry.revision or 0)


async def _advance(bucket: KeyValue, active: Active) -> None:
    """Write `active` unless the bucket is as far already; who loses a race leaves it to the winner."""
    stored = await _read(bucket, ACTIVE)
    if stored.value and json.loads(stored.value)["revision"] >= active.revision:
        return
    named = {"digest": active.digest, "killed": list(active.killed), "revision": active.revision}
    try:
        await bucket.update(ACTIVE, json.dumps(named).encode(), last=stored.revision)
    except KeyWrongLastSequenceError:
        return


_: type[Announcer] = BucketAnnouncer
