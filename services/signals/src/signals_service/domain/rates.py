"""How fast a session may send: a bucket of `burst` events that fills at `per_second`."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from signals_service.domain.events import Limits

SESSIONS: Final = 20_000
BATCHES: Final = 20_000


@dataclass(slots=True)
class Bucket:
    """Events left, in thousandths, when it was last looked at, and when the session began."""

    left: int
    at_ms: int
    since_ms: int


class Rates:
    """The buckets of the sessions seen lately; the least recently seen is forgotten."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._batches: OrderedDict[str, int] = OrderedDict()

    def allowance(self, session: str, batch_id: str, now_ms: int) -> int:
        """How many more events the session may send now; a batch that was taken before may be sent again whole."""
        if batch_id in self._batches:
            return self._batches[batch_id]
        bucket = self._filled(session, now_ms)
        return 0 if now_ms - bucket.since_ms > self._limits.session_ms else bucket.left // 1000

    def take(self, session: str, batch_id: str, events: int, now_ms: int) -> None:
        """The events were stored."""
        if batch_id not in self._batches:
            self._filled(session, now_ms).left -= events * 1000
            self._batches[batch_id] = events
            if len(self._batches) > BATCHES:
                self._batches.popitem(last=False)

    def wait_ms(self, session: str, now_ms: int) -> int:
        """When one more event would be taken."""
        short = 1000 - self._filled(session, now_ms).left
        return max(1, -(-short // self._limits.per_second))

    def _filled(self, session: str, now_ms: int) -> Bucket:
        full = self._limits.burst * 1000
        bucket = self._buckets.setdefault(session, Bucket(full, now_ms, now_ms))
        self._buckets.move_to_end(session)
        bucket.left = min(full, bucket.left + max(0, now_ms - bucket.at_ms) * self._limits.per_second)
        bucket.at_ms = max(bucket.at_ms, now_ms)
        if len(self._buckets) > SESSIONS:
            self._buckets.popitem(last=False)
        return bucket
