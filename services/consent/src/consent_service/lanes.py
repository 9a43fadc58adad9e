"""The writer's queue: two lanes of one bounded room. Denials are taken first, own a quarter of the room, and drive grants out when it is full."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from consent_service.commands import Command, Erase, RecordChoice, Seal, SetLink, Signal, Withdraw
from consent_service.domain.words import Kind
from consent_service.planning import Needs
from consent_service.ports import Result
from servicekit.errors import AssentError, Exhausted

ROOM: Final = 4096
OWN: Final = ROOM // 4
"""The part of the room that grants cannot take."""
MOST: Final = 512
"""Entries of a batch; an item that has more is a batch of its own."""
CROWD: Final = 16
"""From how many items on it pays to have two batches where one would do."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A command that waits, and whoever waits for its answer."""

    command: Command
    needs: Needs
    answer: asyncio.Future[Result]

    def succeed(self, result: Result) -> None:
        """Answer, if anybody still waits."""
        if not self.answer.done():
            self.answer.set_result(result)

    def fail(self, error: Exception) -> None:
        """Say why not, if anybody still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


def denies(command: Command) -> bool:
    """Whether the command can only narrow: it goes first. A link does not wait behind grants either."""
    if isinstance(command, RecordChoice):
        return all(item.denial for item in command.screen.items)
    if isinstance(command, Signal):
        return command.on
    if isinstance(command, Seal):
        return command.kind is Kind.SEALED
    return isinstance(command, Withdraw | SetLink | Erase)


def weight(command: Command) -> int:
    """About how many entries the command makes."""
    if isinstance(command, RecordChoice):
        return len(command.screen.items)
    if isinstance(command, Withdraw):
        return max(len(command.scopes), 1)
    if isinstance(command, Seal | Erase):
        return len(command.subjects)
    return 4 if isinstance(command, Signal | SetLink) else 1


def overloaded() -> AssentError:
    """What whoever finds no room is told."""
    return Exhausted("The ledger has more to write than it can.", reason="OVERLOADED", retry_after_ms=200)


@dataclass(slots=True)
class Lanes:
    """What waits."""

    room: int = ROOM
    own: int = OWN
    _denials: deque[Item] = field(default_factory=deque)
    _others: deque[Item] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __len__(self) -> int:
        return len(self._denials) + len(self._others)

    def add(self, item: Item) -> None:
        """Let it wait; raises Exhausted OVERLOADED when there is no room. For a denial the newest grant gives up its place."""
        if denies(item.command):
            if len(self) >= self.room:
                self._make_room()
            self._denials.append(item)
        elif len(self) >= self.room or len(self._others) >= self.room - self.own:
            raise overloaded()
        else:
            self._others.append(item)
        self._arrived.set()

    def _make_room(self) -> None:
        if not self._others:
            raise overloaded()
        self._others.pop().fail(overloaded())

    async def arrived(self) -> None:
        """Return once something waits, or somebody says to look."""
        await self._arrived.wait()

    def wake(self, _: object = None) -> None:
        """Have whoever waits for something look again."""
        self._arrived.set()

    def take(self, most: int = MOST, *, halve: bool = False) -> list[Item]:
        """What goes into the next batch: denials first, then the rest, in the order in which they came. `halve` takes half of a crowd."""
        if halve and len(self) >= CROWD:
            most = min(most, -(-len(self) // 2))
        taken = list(self._taken(most))
        if not len(self):
            self._arrived.clear()
        return taken

    def _taken(self, most: int) -> Iterator[Item]:
        room = most
        for lane in (self._denials, self._others):
            while lane:
                size = weight(lane[0].command)
                if size > room and room < most:
                    return
                item = lane.popleft()
                if not item.answer.done():  # who asked has not given up meanwhile
                    room -= size
                    yield item

    def fail(self, error: AssentError) -> None:
        """Turn away everything that waits."""
        waiting = list(chain(self._denials, self._others))
        self._denials.clear()
        self._others.clear()
        self._arrived.clear()
        for item in waiting:
            item.fail(error)
