"""Open streams: who watches, and what makes the next decision due.

A signal that warrants a decision wakes the streams of its subject at once; more signals within the pause between two pushes are answered
together at its end, by one decision. A withdrawal wakes them too: what the ledger then allows decides whether the stream goes on.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from assent.orchestration.v1 import orchestration_service_pb2 as pb

BETWEEN_PUSHES_S: Final = 2.0

CONSENT: Final = "consent"


@dataclass(slots=True, eq=False)
class Watch:
    """One open stream. `causes` holds what happened since the last push, first things first."""

    subject_id: str
    causes: list[str] = field(default_factory=list)
    end: pb.EndReason.ValueType = pb.END_REASON_UNSPECIFIED
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Whether the stream is over."""
        return self.end != pb.END_REASON_UNSPECIFIED

    def wake(self, cause: str) -> None:
        """Something makes a decision due."""
        if cause not in self.causes:
            self.causes.append(cause)
        self.woken.set()

    def finish(self, reason: pb.EndReason.ValueType) -> None:
        """The stream is to end."""
        self.end = reason
        self.woken.set()

    async def due(self) -> AsyncIterator[str]:
        """The cause of each decision, when it is due; ends when the stream does.

        The first push goes out at once; later ones keep a distance, within which signals gather.
        """
        pause = 0.0
        while True:
            await self._wait(pause)
            if self.ended:
                return
            cause, self.causes = self.causes[0], []
            self.woken.clear()
            yield cause
            pause = BETWEEN_PUSHES_S

    async def _wait(self, pause: float) -> None:
        """Until there is a cause and the pause is over; an end and a withdrawal do not wait."""
        ready_at = asyncio.get_running_loop().time() + pause
        while not self.ended:
            await self.woken.wait()
            left = ready_at - asyncio.get_running_loop().time()
            if left <= 0 or CONSENT in self.causes:
                return
            self.woken.clear()
            await self._pause(left)
            if self.causes:
                self.woken.set()

    async def _pause(self, seconds: float) -> None:
        """At most `seconds`, less when something is woken that cannot wait."""
        try:
            async with asyncio.timeout(seconds):
                while not (self.ended or CONSENT in self.causes):
                    await self.woken.wait()
                    self.woken.clear()
        except TimeoutError:
            return


class Watches:
    """All open streams of this replica, by subject."""

    def __init__(self) -> None:
        self._by_subject: dict[str, set[Watch]] = defaultdict(set)
        self._draining = False

    @contextmanager
    def open(self, subject_id: str) -> Iterator[Watch]:
        """A stream for as long as the block lasts."""
        watch = Watch(subject_id)
        self._by_subject[subject_id].add(watch)
        if self._draining:
            watch.finish(pb.END_REASON_SERVER_DRAINING)
        try:
            yield watch
        finally:
            self._by_subject[subject_id].discard(watch)
            if not self._by_subject[subject_id]:
                del self._by_subject[subject_id]

    def wake(self, subject_id: str, cause: str) -> None:
        """Something about the subject makes a decision due."""
        for watch in tuple(self._by_subject.get(subject_id, ())):
            watch.wake(cause)

    def finish(self, subject_id: str, reason: pb.EndReason.ValueType) -> None:
        """The subject's streams are to end."""
        for watch in tuple(self._by_subject.get(subject_id, ())):
            watch.finish(reason)

    def drain(self) -> None:
        """Every stream is to end, also those that open from now on: clients come back elsewhere."""
        self._draining = True
        for subject_id in tuple(self._by_subject):
            self.finish(subject_id, pb.END_REASON_SERVER_DRAINING)

    def __len__(self) -> int:
        return sum(map(len, self._by_subject.values()))
