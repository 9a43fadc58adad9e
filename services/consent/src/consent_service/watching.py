"""WatchConsents: what the stream CONSENT announces, read from the rows themselves, for whoever missed some of it or must miss none.

A stream holds no connection between two readings and no more than one chunk of entries; it reads on when its reader has taken them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Protocol

from consent_service.announcements import Announced, changes
from consent_service.commands import Watch
from consent_service.domain.position import Position, require
from consent_service.domain.words import Kind
from consent_service.ports import Ledger
from servicekit.partitions import partition_of

CHUNK: Final = 256
LOOK_BACK: Final = 1024
LAST_EPOCH: Final = (1 << 63) - 1
HEARTBEAT_S: Final = 0.2
"""How often a stream says how far it is; where nobody wakes it, also how long an entry waits."""


class Rows(Protocol):
    """The entries of the ledger. Every method raises Unavailable CONSENT_UNAVAILABLE when the primary does not answer."""

    async def after(self, index: int, amount: int) -> Sequence[Announced]:
        """The entries after an index, in order."""
        ...

    async def before(self, index: int, amount: int) -> Sequence[Announced]:
        """The entries before an index, the latest first."""
        ...


class Watches:
    """The open streams of this replica: woken when something was appended here, ended when it drains."""

    def __init__(self) -> None:
        self._open: set[asyncio.Event] = set()
        self.draining = False

    @contextmanager
    def open(self) -> Iterator[asyncio.Event]:
        """A stream for as long as the block lasts; the event says that it is to look."""
        woken = asyncio.Event()
        self._open.add(woken)
        try:
            yield woken
        finally:
            self._open.discard(woken)

    def wake(self) -> None:
        """There may be more entries."""
        for woken in self._open:
            woken.set()

    def drain(self) -> None:
        """Every stream is to end, also those that open from now on."""
        self.draining = True
        self.wake()

    def __len__(self) -> int:
        return len(self._open)


@dataclass(frozen=True, slots=True)
class Feed:
    """What a stream is made of."""

    ledger_id: str
    ledger: Ledger
    rows: Rows
    watches: Watches


@dataclass(frozen=True, slots=True)
class Told:
    """An entry after which verdicts may differ, and the index of the one before it in its partition."""

    entry: Announced
    previous: int | None


class Partitions:
    """The last entry told on each partition. What was before the stream began is looked for when it is first asked for."""

    def __init__(self, rows: Rows, start: int) -> None:
        self._rows = rows
        self._last: dict[int, int] = {}
        self._unread = start

    async def follow(self, partition: int, index: int) -> int | None:
        """The entry before this one, which is the last from now on."""
        while partition not in self._last and self._unread > 0:
            await self._look_back()
        previous = self._last.get(partition)
        self._last[partition] = index
        return previous

    async def _look_back(self) -> None:
        found = await self._rows.before(self._unread, LOOK_BACK)
        for entry in found:
            if entry.subject is not None and changes(entry):
                self._last.setdefault(partition_of(entry.subject), entry.index)
        self._unread = found[-1].index if len(found) == LOOK_BACK else 0


async def watch_consents(query: Watch, feed: Feed) -> AsyncGenerator[Told | Position, None]:
    """Every entry after a place, then each new one; a position says that everything up to it was told. Ends when the replica drains.

    Raises FailedPrecondition TOKEN_FOREIGN, TOKEN_FUTURE, TOKEN_LOST when the place is none of the ledger, or no longer is.
    """
    time = asyncio.get_running_loop().time
    reached, beat = query.after, time()
    lanes = Partitions(feed.rows, _index(reached) + 1)
    with feed.watches.open() as woken:
        while not feed.watches.draining:
            woken.clear()
            entries, reached, more = await _read(feed, reached)
            for entry in entries:
                if (told := await _told(entry, query.partitions, lanes)) is not None:
                    yield told
            if time() >= beat:
                yield reached
                beat = time() + HEARTBEAT_S
            if not more:
                await _wait(woken, beat)


def _index(position: Position | None) -> int:
    return -1 if position is None else position.index


async def _read(feed: Feed, reached: Position | None) -> tuple[Sequence[Announced], Position, bool]:
    """The next entries, the place that is reached with them, and whether there are more."""
    snapshot = await feed.ledger.read("", epoch=min(reached.epoch, LAST_EPOCH) if reached is not None else 0)
    head = snapshot.head.position
    if reached is not None:
        require(reached, head, snapshot.next_start)
    if reached is not None and reached.index == head.index:
        return (), head, False
    entries = await feed.rows.after(_index(reached), CHUNK)
    if entries and (len(entries) == CHUNK or entries[-1].index > head.index):
        return entries, Position(head.ledger, entries[-1].epoch, entries[-1].index), True
    return entries, head, False


async def _told(entry: Announced, partitions: frozenset[int], lanes: Partitions) -> Told | None:
    """Nothing where no verdict differs, or on another partition."""
    if entry.subject is None:
        return Told(entry, None) if entry.kind is Kind.ERASURE else None
    partition = partition_of(entry.subject)
    if not changes(entry) or (partitions and partition not in partitions):
        return None
    return Told(entry, await lanes.follow(partition, entry.index))


async def _wait(woken: asyncio.Event, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await woken.wait()
    except TimeoutError:
        return
