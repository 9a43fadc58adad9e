"""What the engine asks of a primitive: a pure transition of a small mutable state, one per (key, per).

The engine calls `feed` for each fact that the definition looks at, and `ring` when the time `due` has said is over.
`dump` and `load` turn a state into JSON values and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from automaton.facts import Fact, Fields, Mark
from automaton.presence import Presence


@dataclass(frozen=True, slots=True)
class Firing:
    """A match, before where, cooldown and ids: evidence in order, and the fields of the fact that speaks for it."""

    at: int
    evidence: tuple[Mark, ...]
    fields: Fields
    count: int | None = None
    measures: Mapping[str, int] = field(default_factory=dict)
    witness: tuple[int, int] | None = None


class Seen(NamedTuple):
    """A fact kept in a state: its mark, and the fields it would emit."""

    t: int
    id: str
    fields: dict[str, Any]

    @property
    def mark(self) -> Mark:
        """When, and which."""
        return Mark(self.t, self.id)


def seen(raw: list[Any]) -> Seen:
    """A kept fact from JSON."""
    return Seen(*raw)


class Keep(NamedTuple):
    """The names of the fields that a definition emits."""

    names: tuple[str, ...]

    def of(self, fact: Fact) -> Seen:
        """The fact as a state keeps it."""
        fields = fact.fields
        return Seen(fact.t, fact.id, {name: fields[name] for name in self.names if name in fields})


class Primitive(Protocol):
    """One compiled `detect`."""

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        ...

    @property
    def timed(self) -> bool:
        """Whether its states may have a time that is due."""
        ...

    @property
    def by_clock(self) -> bool:
        """Whether partition time may end its waits; otherwise only the session's own events do."""
        ...

    def fresh(self) -> Any:
        """The empty state."""
        ...

    def feed(self, state: Any, fact: Fact, *, hidden: bool) -> Firing | None:
        """Take in a fact; `hidden` facts count for negative matches only."""
        ...

    def due(self, state: Any, presence: Presence) -> int | None:
        """When `ring` is to be called, if nothing happens before."""
        ...

    def ring(self, state: Any, at: int, presence: Presence) -> Firing | None:
        """The wait that was due at `at` is over."""
        ...

    def idle(self, state: Any) -> bool:
        """Whether the state says no more than a fresh one."""
        ...

    def dump(self, state: Any) -> Any:
        """The state as JSON values."""
        ...

    def load(self, raw: Any) -> Any:
        """The state that `dump` wrote."""
        ...


class Untimed:
    """The part of a primitive that never waits."""

    timed = False
    by_clock = False

    def due(self, state: Any, presence: Presence) -> int | None:
        """Never."""
        del state, presence
        return None

    def ring(self, state: Any, at: int, presence: Presence) -> Firing | None:
        """Never called."""
        del state, at, presence
        return None
