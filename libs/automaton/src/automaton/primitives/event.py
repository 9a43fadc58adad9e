"""event: a fact matches. The form with `on` waits for a date and belongs to subject keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from automaton.facts import Fact
from automaton.matches import Match
from automaton.primitives.base import Firing, Keep, Untimed


@dataclass(frozen=True, slots=True)
class Event(Untimed):
    """Fires at each fact of `of`; it has no state."""

    of: Match
    keep: Keep

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        return self.of.types

    def fresh(self) -> None:
        """No state."""

    def feed(self, state: None, fact: Fact, *, hidden: bool) -> Firing | None:
        """Fire if the fact matches."""
        del state
        if hidden or not self.of(fact):
            return None
        kept = self.keep.of(fact)
        return Firing(fact.t, (kept.mark,), kept.fields)

    def idle(self, state: None) -> bool:
        """Always."""
        del state
        return True

    def dump(self, state: None) -> Any:
        """Nothing."""
        del state

    def load(self, raw: Any) -> None:
        """Nothing."""
        del raw
