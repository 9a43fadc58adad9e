"""alternate: back and forth.

"Neighbours on one side merged, the last n switches span at most D. `by`: the sides are the two latest values; a third value
makes (previous, new) the pair, with one switch." Fires at the last switch; switches cleared, side kept. Evidence: the fact
before the first switch, and each switch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from automaton.facts import Fact, Scalar
from automaton.matches import Match
from automaton.primitives.base import Firing, Keep, Seen, Untimed, seen


@dataclass(slots=True)
class Sides:
    """Where it is, where it was before, its latest fact, and the latest switches, each after the fact before it."""

    side: Scalar | None = None
    other: Scalar | None = None
    latest: Seen | None = None
    switches: list[tuple[Seen, Seen]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Alternate(Untimed):
    """The compiled sides: two matches, or the values of the field `by` of `of`."""

    between: tuple[Match, Match] | None
    of: Match
    by: str
    switches: int
    within: int
    keep: Keep

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        return frozenset().union(*(match.types for match in self.between)) if self.between else self.of.types

    def fresh(self) -> Sides:
        """On no side."""
        return Sides()

    def feed(self, state: Sides, fact: Fact, *, hidden: bool) -> Firing | None:
        """Stay, or switch; fire at the last of n switches."""
        side = None if hidden else self._side(fact)
        if side is None:
            return None
        before, kept = state.latest, self.keep.of(fact)
        state.latest = kept
        if before is None:
            state.side = side
            return None
        return self._switch(state, side, before, kept) if side != state.side else None

    def _side(self, fact: Fact) -> Scalar | None:
        if self.between is None:
            return fact.fields.get(self.by) if self.of(fact) else None
        return next((index for index, match in enumerate(self.between) if match(fact)), None)

    def _switch(self, state: Sides, side: Scalar, before: Seen, kept: Seen) -> Firing | None:
        if side != state.other:
            state.switches = []
        state.other, state.side = state.side, side
        state.switches.append((before, kept))
        del state.switches[: -self.switches]
        if len(state.switches) < self.switches or kept.t - state.switches[0][1].t > self.within:
            return None
        return self._fire(state)

    def _fire(self, state: Sides) -> Firing:
        switches, state.switches = state.switches, []
        first = switches[0][0]
        evidence = (first.mark, *(kept.mark for _, kept in switches))
        return Firing(switches[-1][1].t, evidence, first.fields, measures={"switches": len(switches)})

    def idle(self, state: Sides) -> bool:
        """Whether nothing has been seen."""
        return state.latest is None

    def dump(self, state: Sides) -> Any:
        """As JSON values."""
        return [state.side, state.other, state.latest, state.switches]

    def load(self, raw: Any) -> Sides:
        """From `dump`."""
        side, other, latest, switches = raw
        return Sides(side, other, latest and seen(latest), [(seen(a), seen(b)) for a, b in switches])
