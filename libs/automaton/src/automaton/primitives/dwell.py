"""dwell: staying without doing anything.

"Inside since `enter` (default leave: `screen_left`, `session_end`), and `for` has passed since the latest of enter, activity,
span opening." Fires when it is due; once per visit; `repeat`: again after new activity; `enter` while inside restarts.
Leaving wins over entering at the same fact only in that the old visit ends: the new one then begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from automaton.facts import Fact
from automaton.matches import Match
from automaton.presence import Presence
from automaton.primitives.base import Firing, Keep, Seen, seen


@dataclass(slots=True)
class Visit:
    """The fact that entered (None: outside), the latest activity after it, and whether this visit has fired."""

    entered: Seen | None = None
    active: Seen | None = None
    fired: bool = False


@dataclass(frozen=True, slots=True)
class Dwell:
    """The compiled visit."""

    enter: Match
    leave: Match
    activity: Match
    wait: int
    repeat: bool
    present: bool
    keep: Keep

    timed = True

    @property
    def by_clock(self) -> bool:
        """Without presence a wait may end by partition time."""
        return not self.present

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        return self.enter.types | self.leave.types | self.activity.types

    def fresh(self) -> Visit:
        """Outside."""
        return Visit()

    def feed(self, state: Visit, fact: Fact, *, hidden: bool) -> Firing | None:
        """Enter, leave, or be active."""
        if self.leave(fact):
            state.entered = state.active = None
        if not hidden and self.enter(fact):
            state.entered, state.active, state.fired = self.keep.of(fact), None, False
        elif not hidden and state.entered and self.activity(fact):
            state.active = self.keep.of(fact)
            state.fired = state.fired and not self.repeat
        return None

    def due(self, state: Visit, presence: Presence) -> int | None:
        """`wait` after the latest of enter, activity and span opening, if a span covers it."""
        if state.entered is None or state.fired:
            return None
        start = (state.active or state.entered).t
        if not self.present:
            return start + self.wait
        if presence.opened is None:
            return None
        start = max(start, presence.opened)
        return start + self.wait if presence.covers(start, start + self.wait) else None

    def ring(self, state: Visit, at: int, presence: Presence) -> Firing | None:
        """The wait is over: fire once per visit."""
        assert state.entered is not None
        state.fired = True
        marks = (state.entered.mark, state.active.mark) if state.active else (state.entered.mark,)
        witness = presence.witness(at) if self.present else None
        waited = {"waited_ms": at - state.entered.t}
        return Firing(at, marks, state.entered.fields, measures=waited, witness=witness)

    def idle(self, state: Visit) -> bool:
        """Whether it is outside."""
        return state.entered is None

    def dump(self, state: Visit) -> Any:
        """As JSON values."""
        return [state.entered, state.active, state.fired]

    def load(self, raw: Any) -> Visit:
        """From `dump`."""
        return Visit(raw[0] and seen(raw[0]), raw[1] and seen(raw[1]), raw[2])
