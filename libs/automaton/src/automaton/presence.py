"""Presence: proof that the customer's app was open, in front and connected.

A span opens at a session event and ends, inclusive, at `background`, `connection_lost`, `busy_start`, `session_end` or
`loss`; and at the previous event if the next is more than 15 s later or was received more than 3 s after its time, because
then nobody knows what happened in between. After the first three only their counterparts reopen it. A wait counts when one
span covers it from its start to its due time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from automaton.facts import Fact

SILENCE_MS: Final = 15_000
HELD_MS: Final = 3_000
BLOCKS: Final[Mapping[str, str]] = {
    "background": "foreground",
    "connection_lost": "connection_restored",
    "busy_start": "busy_end",
}
_REOPENS: Final[Mapping[str, str]] = {opener: blocker for blocker, opener in BLOCKS.items()}
_ENDS: Final = frozenset({"session_end", "loss"})


@dataclass(slots=True)
class Presence:
    """The latest span: `closed` is None while it lasts. `blocked` holds what must be undone before another opens.

    `assumed`: somebody vouches for presence (plain files), so silence and late delivery do not end a span.
    """

    assumed: bool = False
    opened: int | None = None
    closed: int | None = None
    blocked: list[str] = field(default_factory=list)

    def expect(self, fact: Fact, previous: int | None) -> bool:
        """End the span at the previous event if this one does not continue it; says whether it did end."""
        if self.opened is None or self.closed is not None or previous is None or self.assumed:
            return False
        silent = fact.t - previous > SILENCE_MS
        held = fact.received is not None and fact.received - fact.t > HELD_MS
        if silent or held:
            self.closed = previous
        return silent or held

    def take(self, fact: Fact) -> bool:
        """Open or end the span at this event; says whether anything changed."""
        kind = fact.type
        if kind in BLOCKS or kind in _ENDS:
            return self._end(kind, fact.t)
        if kind in _REOPENS and _REOPENS[kind] in self.blocked:
            self.blocked.remove(_REOPENS[kind])
        if self.blocked or (self.opened is not None and self.closed is None):
            return False
        self.opened, self.closed = fact.t, None
        return True

    def _end(self, kind: str, t: int) -> bool:
        if kind in BLOCKS and kind not in self.blocked:
            self.blocked.append(kind)
        if self.opened is None or self.closed is not None:
            return False
        self.closed = t
        return True

    def covers(self, start: int, due: int) -> bool:
        """Whether the latest span holds both ends of a wait."""
        return self.opened is not None and self.opened <= start and (self.closed is None or due <= self.closed)

    def witness(self, until: int) -> tuple[int, int] | None:
        """The span as proof of a wait that was over at `until`."""
        return None if self.opened is None else (self.opened, until if self.closed is None else self.closed)

    def dump(self) -> list[Any]:
        """As JSON values."""
        return [self.opened, self.closed, list(self.blocked)]

    @classmethod
    def load(cls, raw: list[Any], *, assumed: bool) -> Presence:
        """From `dump`."""
        return cls(assumed, raw[0], raw[1], list(raw[2]))
