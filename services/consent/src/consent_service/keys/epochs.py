"""When a key-encryption key is made and destroyed: pure, dates in, steps out.

A KEK serves 30 days; then a new one is made and live keys are re-wrapped under it. 5 days later the old one is destroyed, and with it
everything that backups hold of keys wrapped by it: 35 days after it was made, however late the new one came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

SERVES: Final = timedelta(days=30)
LIVES: Final = timedelta(days=35)


@dataclass(frozen=True, slots=True)
class KekEpoch:
    """One key-encryption key."""

    epoch: int
    provider_ref: str
    created_at: datetime
    destroyed_at: datetime | None = None

    @property
    def blind_after(self) -> datetime:
        """When no backup can unwrap what this KEK wrapped."""
        return self.created_at + LIVES


def newest(epochs: Sequence[KekEpoch]) -> KekEpoch | None:
    """The KEK under which keys are wrapped."""
    live = [found for found in epochs if found.destroyed_at is None]
    return max(live, key=lambda found: found.epoch, default=None)


def next_due(epochs: Sequence[KekEpoch], now: datetime) -> int | None:
    """The number of the KEK to make now, or None."""
    current = newest(epochs)
    if current is not None and now < current.created_at + SERVES:
        return None
    return max((found.epoch for found in epochs), default=0) + 1


def to_destroy(epochs: Sequence[KekEpoch], now: datetime) -> list[KekEpoch]:
    """The KEKs whose time is over: never the newest, or nothing could be wrapped."""
    current = newest(epochs)
    return [
        found for found in epochs if found.destroyed_at is None and found is not current and now >= found.blind_after
    ]
