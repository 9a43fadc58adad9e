"""count: a run of matching facts gets long enough.

A matching fact at most `apart` after the last counted one is ignored. Another joins the run if it comes at most `gap` after
the previous one, agrees with it in `same`, and is `near`; else the run ends and it starts a new one. The run fires when it
holds n facts (or n values of `distinct`) and, with `within`, the newest n span at most D. `within` without `gap`: facts older
than D leave the front until it fires; after firing, a fact that makes the newest n span more than D ends the run. `refire:
clear` empties the run at once, `run` keeps it silent until it ends; `report: end` fires once when a qualifying run ends.

A state keeps the first 32 facts of the run and the newest n: that is all that firing and evidence need.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from automaton.facts import Fact, Mark, Scalar
from automaton.matches import Match
from automaton.near import Near, Point, hull
from automaton.presence import Presence
from automaton.primitives.base import Firing, Keep, Seen, seen

FIRST: Final = 32
"""Facts at the front of a run that stay as evidence."""


class Counted(NamedTuple):
    """A fact of the run, and the value of `distinct` that it shows."""

    seen: Seen
    value: Scalar | None


@dataclass(slots=True)
class Run:
    """The run: kept facts, their true number, latest time per distinct value, what the next is compared with."""

    facts: list[Counted] = field(default_factory=list)
    total: int = 0
    values: dict[Scalar, int] = field(default_factory=dict)
    same: list[Scalar | None] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    fired: bool = False
    counted: int | None = None

    def clear(self) -> None:
        """No run; when the last fact was counted is kept for `apart`."""
        self.facts, self.total, self.values, self.same, self.points, self.fired = [], 0, {}, [], [], False


@dataclass(frozen=True, slots=True)
class Count:
    """The compiled run."""

    of: Match
    at_least: int
    within: int | None
    gap: int | None
    same: tuple[str, ...]
    near: Near | None
    distinct: str | None
    reset: Match
    apart: int | None
    silent: bool
    """`refire: run`."""
    at_end: bool
    """`report: end`."""
    ends: Match
    """What ends every run of the key: `session_end`, for `report: end`."""
    keep: Keep

    by_clock = True

    @property
    def timed(self) -> bool:
        """Only a run that reports at its end waits for it."""
        return self.at_end

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        return self.of.types | self.reset.types | self.ends.types

    def fresh(self) -> Run:
        """No run."""
        return Run()

    def feed(self, state: Run, fact: Fact, *, hidden: bool) -> Firing | None:
        """Reset, end, or count."""
        if self.reset(fact):
            state.clear()
            return None
        if self.at_end and self.ends(fact):
            return self._finish(state, fact.t)
        if hidden or not self.of(fact) or self._ignored(state, fact):
            return None
        state.counted = fact.t
        return self._count(state, fact)

    def _ignored(self, state: Run, fact: Fact) -> bool:
        if self.near and not ("x" in fact.fields and "y" in fact.fields):
            return True
        return self.apart is not None and state.counted is not None and fact.t - state.counted <= self.apart

    def _count(self, state: Run, fact: Fact) -> Firing | None:
        self._leave_front(state, fact.t)
        ended = None
        if state.facts and (not self._joins(state, fact) or self._breaks_span(state, fact)):
            ended = self._finish(state, fact.t)
        self._add(state, fact)
        return ended or self._reach(state, fact.t)

    def _reach(self, state: Run, t: int) -> Firing | None:
        if state.fired or not self._qualifies(state, t):
            return None
        state.fired = True
        if self.at_end:
            return None
        firing = self._firing(state, t)
        if not self.silent:
            state.clear()
        return firing

    def _leave_front(self, state: Run, t: int) -> None:
        if self.within is None or self.gap is not None or state.fired or not state.facts:
            return
        oldest = t - self.within
        if state.facts[0].seen.t >= oldest:
            return
        kept = [counted for counted in state.facts if counted.seen.t >= oldest]
        state.total -= len(state.facts) - len(kept)
        state.facts = kept
        state.values = {value: at for value, at in state.values.items() if at >= oldest}
        if not kept:
            state.clear()
        elif self.near and self.near.to_all:
            state.points = [_point_of(counted.seen) for counted in kept]

    def _joins(self, state: Run, fact: Fact) -> bool:
        if self.gap is not None and fact.t - state.facts[-1].seen.t > self.gap:
            return False
        if self.same and state.same != [fact.fields.get(name) for name in self.same]:
            return False
        return self.near is None or all(self.near.within(_point(fact), point) for point in state.points)

    def _add(self, state: Run, fact: Fact) -> None:
        value = fact.fields.get(self.distinct) if self.distinct else None
        kept = self.keep.of(fact)
        if self.near:
            kept = kept._replace(fields={**kept.fields, "x": fact.fields["x"], "y": fact.fields["y"]})
            state.points = hull([*state.points, _point(fact)]) if self.near.to_all else [_point(fact)]
        state.facts.append(Counted(kept, value))
        state.total += 1
        if len(state.facts) > FIRST + self.at_least:
            del state.facts[FIRST]
        if self.same:
            state.same = [fact.fields.get(name) for name in self.same]
        if value is not None:
            state.values.pop(value, None)
            state.values[value] = fact.t
            if len(state.values) > self.at_least:
                del state.values[next(iter(state.values))]

    def _newest(self, state: Run) -> int | None:
        """When the oldest of the newest n was; None while there are fewer."""
        n = self.at_least
        if self.distinct:
            return next(iter(state.values.values())) if len(state.values) >= n else None
        return state.facts[-n].seen.t if state.total >= n else None

    def _qualifies(self, state: Run, t: int) -> bool:
        oldest = self._newest(state)
        return oldest is not None and (self.within is None or t - oldest <= self.within)

    def _breaks_span(self, state: Run, fact: Fact) -> bool:
        """Whether, in a run that has fired, this fact would make the newest n span more than `within`."""
        if not state.fired or self.within is None or self.at_least == 1:
            return False
        others = [counted.seen.t for counted in state.facts]
        if self.distinct:
            value = fact.fields.get(self.distinct)
            if value is None:
                return False
            others = [t for other, t in state.values.items() if other != value]
        return fact.t - others[1 - self.at_least :][0] > self.within

    def _finish(self, state: Run, at: int) -> Firing | None:
        """The run is over; it is reported now if it qualified and reports at its end."""
        firing = self._firing(state, at) if self.at_end and state.fired else None
        state.clear()
        return firing

    def _firing(self, state: Run, at: int) -> Firing:
        kept = [counted.seen.mark for counted in state.facts]
        evidence = kept if state.total <= FIRST + 1 else [*kept[:FIRST], kept[-1]]
        fields = {name: value for name, value in state.facts[0].seen.fields.items() if name in self.keep.names}
        return Firing(
            at, tuple(Mark(*mark) for mark in evidence), fields, count=state.total, measures={"count": state.total}
        )

    def due(self, state: Run, presence: Presence) -> int | None:
        """The end of a qualifying run that reports then."""
        del presence
        if not (self.at_end and state.fired):
            return None
        wait = self.gap if self.gap is not None else self.within
        assert wait is not None
        return state.facts[-1].seen.t + wait

    def ring(self, state: Run, at: int, presence: Presence) -> Firing | None:
        """The run has ended."""
        del presence
        return self._finish(state, at)

    def idle(self, state: Run) -> bool:
        """Whether nothing was counted."""
        return state.counted is None and not state.facts

    def dump(self, state: Run) -> Any:
        """As JSON values."""
        values = list(state.values.items())
        return [state.facts, state.total, values, state.same, state.points, state.fired, state.counted]

    def load(self, raw: Any) -> Run:
        """From `dump`."""
        facts, total, values, same, points, fired, counted = raw
        kept = [Counted(seen(one), value) for one, value in facts]
        return Run(kept, total, dict(values), same, [(x, y) for x, y in points], fired, counted)


def _point(fact: Fact) -> Point:
    return int(fact.fields["x"]), int(fact.fields["y"])


def _point_of(kept: Seen) -> Point:
    return kept.fields["x"], kept.fields["y"]
