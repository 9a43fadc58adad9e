"""Open streams: who watches, and what makes the next decision due.

A signal that warrants a decision wakes the streams of its subject at once; more signals within the pause between two pushes are answered
together at its end, by one decision. A change of consent does not wait: what the ledger then allows decides whether the stream goes on.
Signals come twice, over core NATS and from JetStream; the second copy wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from assent.orchestration.v1 import orchestration_service_pb2 as pb

BETWEEN_PUSHES_S: Final = 2.0
HEARD: Final = 4096
"""Signals of which a second copy is known as such."""

CONSENT: Final = "consent"
STREAM: Final = "stream"
"""The stream was opened."""


@dataclass(slots=True, eq=False)
class Watch:
    """One open stream. `causes` holds what happened since the last push, first things first; `woken` is set while that matters."""

    subject_id: str
    causes: list[str] = field(default_factory=list)
    end: pb.EndReason.ValueType = pb.END_REASON_UNSPECIFIED
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Whether the stream is over."""
        return self.end != pb.END_REASON_UNSPECIFIED

    @property
    def urgent(self) -> bool:
        """Whether something happened that does not wait for the pause to end."""
        return self.ended or CONSENT in self.causes

    def wake(self, cause: str) -> None:
        """Something makes a decision due."""
        if cause not in self.causes:
            self.causes.append(cause)
        self.woken.set()

    def finish(self, reason: pb.EndReason.ValueType) -> None:
        """The stream is to end; the first reason counts."""
        if not self.ended:
            self.end = reason
        self.woken.set()

    async def due(self) -> AsyncIterator[str]:
        """The cause of each decision, when it is due; ends when the stream does.

        The answer that opens the stream is no push: the first push goes out at once, later ones keep a distance, within which
        signals gather.
        """
        loop = asyncio.get_running_loop()
        not_before = loop.time()
        while await self._something(not_before):
            cause = CONSENT if CONSENT in self.causes else self.causes[0]
            self.causes = []
            yield cause
            if cause != STREAM:
                not_before = loop.time() + BETWEEN_PUSHES_S

    async def _something(self, not_before: float) -> bool:
        """Wait for a cause, and for the time; False once the stream has ended, which does not wait."""
        while not (self.ended or self.causes):
            await self._wake_up()
        try:
            async with asyncio.timeout_at(not_before):
                while not self.urgent:
                    await self._wake_up()
        except TimeoutError:
            pass
        return not self.ended

    async def _wake_up(self) -> None:
        self.woken.clear()
        await self.woken.wait()


class Watches:
    """All open streams of this replica, by subject."""

    def __init__(self) -> None:
        self._by_subject: dict[str, set[Watch]] = defaultdict(set)
        self._heard: OrderedDict[tuple[str, str], None] = OrderedDict()
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

    def wake(self, subject_id: str, cause: str, *, once: str = "") -> None:
        """Something about the subject makes a decision due; with `once`, a second time of that name does not."""
        watching = tuple(self._by_subject.get(subject_id, ()))
        if watching and not (once and self._known(subject_id, once)):
            for watch in watching:
                watch.wake(cause)

    def _known(self, subject_id: str, name: str) -> bool:
        known = (subject_id, name) in self._heard
        self._heard[subject_id, name] = None
        if len(self._heard) > HEARD:
            self._heard.popitem(last=False)
        return known

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
