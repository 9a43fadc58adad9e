"""The engine: facts in, changes out. No clock, no I/O, no randomness, no floats, no unordered iteration.

For a fact at `t` the timers due before `t` fire first. Timers due at `t` fire after the last fact at `t`: when a later fact
arrives, or at a `ping` or `advance(t)`. Session time is moved by the session's own facts; `advance` moves partition time,
which proves no presence and ends only the waits that need none.
"""

from __future__ import annotations

import heapq
from typing import Final

from automaton.facts import Change, Fact, Grant, Mark
from automaton.keystate import KeyState, dump, load
from automaton.leaving import left_by
from automaton.presence import Presence
from automaton.program import Program
from automaton.turn import Turn

SESSION_TIMEOUT_MS: Final = 30 * 60_000
KEPT_AFTER_END_MS: Final = 30 * 60_000


class Engine:
    """The state of many keys. `assumed`: somebody vouches for presence and grants (plain files)."""

    def __init__(self, program: Program, *, assumed: bool = False) -> None:
        self._program = program
        self._assumed = assumed
        self._keys: dict[str, KeyState] = {}
        self._heap: list[tuple[int, str]] = []
        self._dirty: dict[str, None] = {}

    def feed(self, fact: Fact) -> list[Change]:
        """Take in the next fact of its key; what changed, in order. A fact of type `grant` only carries its grant."""
        state = self._keys.get(fact.key) or self._open(fact.key)
        self._dirty[fact.key] = None
        turn = Turn(state, self._program, fact.t)
        if fact.grant is not None and fact.grant is not state.grant:
            self._grant(turn, state, fact.grant, fact.t)
        if fact.type != "grant":
            self._happen(turn, state, fact)
            self._schedule(state)
        return turn.changes

    def advance(self, t: int) -> list[Change]:
        """Partition time is `t`: end what needs no presence, and forget sessions that are long over."""
        changes: list[Change] = []
        while (key := self._next_key(t)) is not None:
            state = self._keys[key]
            state.heaped = None
            self._dirty[key] = None
            changes += self._by_clock(state, t)
            if key in self._keys:
                self._schedule(state)
        return changes

    def next_due(self) -> int | None:
        """When `advance` would next do something."""
        while self._heap:
            due, key = self._heap[0]
            state = self._keys.get(key)
            current = state is not None and state.heaped == due
            if state is not None and current and self._look(state) == due:
                return due
            heapq.heappop(self._heap)
            if state is not None and current:
                state.heaped = None
                self._schedule(state)
        return None

    def settle(self, key: str) -> list[Change]:
        """The last fact of the key was the last at its time: fire what is due then. For the end of a file."""
        state = self._keys[key]
        if state.last is None:
            return []
        turn = Turn(state, self._program, state.last.t)
        turn.ring(state.last.t, state.last.id)
        return turn.changes

    def take_dirty(self) -> list[str]:
        """The keys whose state may have changed since this was last asked; some may be gone."""
        dirty, self._dirty = list(self._dirty), {}
        return dirty

    def snapshot(self, key: str) -> bytes:
        """The key's state; KeyError when there is none."""
        return dump(self._keys[key], self._program)

    def restore(self, key: str, data: bytes) -> None:
        """Put the key's state back."""
        state = self._keys[key] = load(key, data, self._program, assumed=self._assumed)
        self._schedule(state)

    def forget(self, key: str) -> None:
        """Drop the key."""
        self._keys.pop(key, None)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def swap(self, program: Program) -> None:
        """Run other definitions: unchanged ones keep their state, new ones start empty."""
        kept = [(key, self.snapshot(key)) for key in self._keys]
        self._program, self._heap = program, []
        for key, data in kept:
            self.restore(key, data)

    def _open(self, key: str) -> KeyState:
        gate = self._program.everything if self._assumed else self._program.nothing
        state = self._keys[key] = KeyState(key, gate, Presence(assumed=self._assumed))
        return state

    def _grant(self, turn: Turn, state: KeyState, grant: Grant, t: int) -> None:
        """Evaluate under the newer grant; what it no longer covers is deleted and its detections end."""
        if self._assumed or (state.grant is not None and grant.older_than(state.grant)):
            return
        before, state.grant = state.gate, grant
        state.gate = self._program.gate(grant)
        if state.gate is not before:
            for order in sorted(before.allowed - state.gate.allowed):
                state.forget_definition(order)
                turn.end(self._program.definitions[order], t, "CONSENT")

    def _happen(self, turn: Turn, state: KeyState, fact: Fact) -> None:
        last = state.last
        if last is not None:
            if state.ended_at is None and fact.t - last.t > SESSION_TIMEOUT_MS:
                self._time_out(turn, state, last)
            if state.presence.expect(fact, last.t):
                state.arm_all(self._program)
            if state.soonest is not None and state.soonest < fact.t:
                turn.ring(fact.t - 1, fact.id)
        if state.presence.take(fact):
            state.arm_all(self._program)
        state.last = Mark(fact.t, fact.id)
        state.ended_at = fact.t if fact.type == "session_end" else None
        if fact.fields.get("trusted") is not False:
            for left in left_by(state, fact):
                turn.dispatch(left)
            turn.dispatch(fact)
        if fact.type == "ping":
            turn.ring(fact.t, fact.id)

    def _time_out(self, turn: Turn, state: KeyState, last: Mark) -> None:
        """The session ended 30 minutes after its last event."""
        due = last.t + SESSION_TIMEOUT_MS
        end = Fact(state.key, due, f"{last.id}#timeout", "session_end", {"reason": "timeout"})
        if state.presence.expect(end, last.t):
            state.arm_all(self._program)
        turn.ring(due - 1, None)
        state.place = state.flow = None
        turn.dispatch(end)
        state.ended_at = due

    def _by_clock(self, state: KeyState, t: int) -> list[Change]:
        turn = Turn(state, self._program, t)
        over = None if state.ended_at is None else state.ended_at + KEPT_AFTER_END_MS
        if state.last is not None:
            turn.ring(min(t, state.last.t), None)
            if over is None and state.last.t + SESSION_TIMEOUT_MS <= t:
                self._time_out(turn, state, state.last)
        turn.ring(t, None, by_clock=True)
        if over is not None and over <= t:
            self.forget(state.key)
        return turn.changes

    def _next_key(self, t: int) -> str | None:
        """Take the next key off the heap that partition time `t` concerns."""
        due = self.next_due()
        if due is None or due > t:
            return None
        return heapq.heappop(self._heap)[1]

    def _schedule(self, state: KeyState) -> None:
        """Have partition time look at the key when something of it may end that way; a later look can wait."""
        look = self._look(state)
        if look is not None and (state.heaped is None or look < state.heaped):
            state.heaped = look
            heapq.heappush(self._heap, (look, state.key))

    def _look(self, state: KeyState) -> int | None:
        """When partition time concerns the key next."""
        if state.last is None:
            return None
        look = state.last.t + SESSION_TIMEOUT_MS if state.ended_at is None else state.ended_at + KEPT_AFTER_END_MS
        if state.soonest is None or state.soonest >= look:
            return look
        definitions = self._program.definitions
        free = [
            due
            for (order, _), due in state.timers.items()
            if due <= state.last.t or definitions[order].primitive.by_clock
        ]
        return min([look, *free])
