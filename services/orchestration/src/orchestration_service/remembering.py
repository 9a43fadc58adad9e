"""Answers of the last ten minutes, so that a repeat on this replica costs nothing; the stream knows them for the other replicas."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from servicekit.clock import Clock
from servicekit.errors import AlreadyExists

MOST: Final = 10_000
KEPT_MS: Final = 10 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, and the bytes of the request that it is for."""

    asked: bytes
    answer: pb.DecideResponse
    subject_id: str

    def again(self, asked: bytes) -> pb.DecideResponse:
        """The answer for a repeat. Raises AlreadyExists for another request of the same id."""
        refuse_other(self.asked, asked)
        repeat = pb.DecideResponse()
        repeat.CopyFrom(self.answer)
        repeat.replayed = self.answer.HasField("receipt")
        return repeat


def refuse_other(first: bytes, asked: bytes) -> None:
    """Raise AlreadyExists unless both are the same request."""
    if first != asked:
        raise AlreadyExists(
            "This request id was used with another body", reason="REQUEST_ID_REUSED", field="request_id"
        )


class Remembered:
    """Recorded answers by decision."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[int, Answered]] = OrderedDict()

    def get(self, decision_id: str) -> Answered | None:
        """The answer given in the last ten minutes."""
        self._drop_old()
        found = self._kept.get(decision_id)
        return None if found is None else found[1]

    def keep(self, answered: Answered) -> None:
        """Remember it."""
        self._kept[answered.answer.decision_id] = (self._now_ms() + KEPT_MS, answered)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)

    def forget(self, subject_id: str) -> None:
        """Drop what was answered about a subject."""
        for name in [name for name, (_, each) in self._kept.items() if each.subject_id == subject_id]:
            del self._kept[name]

    def _drop_old(self) -> None:
        now_ms = self._now_ms()
        while self._kept and next(iter(self._kept.values()))[0] <= now_ms:
            self._kept.popitem(last=False)

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1000

    def __len__(self) -> int:
        return len(self._kept)
