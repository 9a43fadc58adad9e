"""Everything that the engine knows about one key, and its form as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from automaton.facts import Grant, Mark, Per, Scalar
from automaton.presence import Presence
from automaton.program import Compiled, Gate, Program

FORMAT: Final = 1
PER_VALUES: Final = 32

Place = tuple[Scalar | None, Scalar | None, Scalar | None, Scalar | None]
"""screen, area, flow, step."""


class Active(NamedTuple):
    """A detection that may still be ended."""

    id: str
    signal: str
    hash: str
    expires_at: int


@dataclass(slots=True)
class KeyState:
    """One key. `timers` and `soonest` follow from the rest; `dropped` counts states that gave way to newer ones."""

    key: str
    gate: Gate
    presence: Presence
    grant: Grant | None = None
    last: Mark | None = None
    ended_at: int | None = None
    place: Place | None = None
    flow: Scalar | None = None
    states: dict[int, dict[Per, Any]] = field(default_factory=dict)
    cooldowns: dict[int, dict[Per, int]] = field(default_factory=dict)
    active: list[Active] = field(default_factory=list)
    timers: dict[tuple[int, Per], int] = field(default_factory=dict)
    soonest: int | None = None
    heaped: int | None = None
    dropped: int = 0

    def keep(self, definition: Compiled, per: Per, state: Any) -> None:
        """Store a definition's state as the most recently touched; the least recent of over 32 goes."""
        order = definition.order
        states = self.states.setdefault(order, {})
        if definition.per:
            states.pop(per, None)
        states[per] = state
        if len(states) > PER_VALUES:
            oldest = next(iter(states))
            self.dropped += 1
            self.forget(order, oldest)

    def forget(self, order: int, per: Per) -> None:
        """Drop one state and its timer."""
        self.states[order].pop(per, None)
        if self.timers.pop((order, per), None) is not None:
            self.soonest = min(self.timers.values(), default=None)

    def forget_definition(self, order: int) -> None:
        """Drop all that a definition has here."""
        self.states.pop(order, None)
        self.cooldowns.pop(order, None)
        self.timers = {timer: due for timer, due in self.timers.items() if timer[0] != order}
        self.soonest = min(self.timers.values(), default=None)

    def emitted(self, order: int, per: Per, at: int) -> None:
        """Start the cooldown."""
        last = self.cooldowns.setdefault(order, {})
        last.pop(per, None)
        last[per] = at
        if len(last) > PER_VALUES:
            del last[next(iter(last))]

    def arm(self, definition: Compiled, per: Per, state: Any) -> None:
        """Note when the state is due."""
        timer = (definition.order, per)
        due = definition.primitive.due(state, self.presence)
        if due == self.timers.get(timer):
            return
        if due is None:
            del self.timers[timer]
        else:
            self.timers[timer] = due
        self.soonest = min(self.timers.values(), default=None)

    def arm_all(self, program: Program) -> None:
        """Note anew when each waiting state is due: presence has changed."""
        for order, states in self.states.items():
            definition = program.definitions[order]
            if definition.primitive.timed:
                for per, state in states.items():
                    self.arm(definition, per, state)


def dump(state: KeyState, program: Program) -> bytes:
    """The state as bytes, the same for equal states."""
    hashes = [definition.hash for definition in program.definitions]
    dumps = [definition.primitive.dump for definition in program.definitions]
    raw = {
        "v": FORMAT,
        "last": state.last,
        "ended": state.ended_at,
        "place": state.place,
        "flow": state.flow,
        "presence": state.presence.dump(),
        "grant": state.grant and state.grant.dump(),
        "states": {
            hashes[order]: [[per, dumps[order](one)] for per, one in states.items()]
            for order, states in state.states.items()
            if states
        },
        "cooldowns": {hashes[order]: list(last.items()) for order, last in state.cooldowns.items() if last},
        "active": state.active,
        "dropped": state.dropped,
    }
    return json.dumps(raw, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def load(key: str, data: bytes, program: Program, *, assumed: bool) -> KeyState:
    """The state that `dump` wrote; what belongs to definitions that are gone is left out."""
    raw = json.loads(data)
    if raw["v"] != FORMAT:
        raise ValueError(f"a state of format {raw['v']}, and this engine reads {FORMAT}")
    grant = raw["grant"] and Grant.load(raw["grant"])
    gate = program.everything if assumed else program.gate(grant)
    state = KeyState(key, gate, Presence.load(raw["presence"], assumed=assumed), grant)
    state.last = raw["last"] and Mark(*raw["last"])
    state.ended_at, state.flow, state.dropped = raw["ended"], raw["flow"], raw["dropped"]
    state.place = raw["place"] and tuple(raw["place"])
    state.active = [Active(*one) for one in raw["active"]]
    for digest, pairs in raw["states"].items():
        if (found := program.by_hash.get(digest)) and found.order in gate.allowed:
            state.states[found.order] = {tuple(per): found.primitive.load(one) for per, one in pairs}
    for digest, last in raw["cooldowns"].items():
        if (found := program.by_hash.get(digest)) and found.order in gate.allowed:
            state.cooldowns[found.order] = {tuple(per): at for per, at in last}
    state.arm_all(program)
    return state
