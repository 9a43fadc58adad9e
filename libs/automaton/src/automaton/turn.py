"""One turn of the engine: the order of work on one key.

Timers go by (due, definition, per), definitions in dependency order, then file order; a detection is at once a fact for
later ones. A turn collects the changes of one fact, or of one move of partition time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import replace

from automaton.detecting import as_fact, detection
from automaton.facts import Change, Detected, Ended, Fact, Per
from automaton.keystate import Active, KeyState
from automaton.primitives import Firing
from automaton.program import Compiled, Program


class Turn:
    """The changes of one key that become known at `known_at`."""

    def __init__(self, state: KeyState, program: Program, known_at: int) -> None:
        self.changes: list[Change] = []
        self._state = state
        self._program = program
        self._known_at = known_at
        self._moved_by: str | None = None

    def ring(self, until: int, moved_by: str | None, *, by_clock: bool = False) -> None:
        """Fire the timers due up to and including `until`; partition time moves only waits that need no presence."""
        state = self._state
        while state.soonest is not None and state.soonest <= until:
            timer = self._next_timer(until, by_clock=by_clock)
            if timer is None:
                return
            due, order, per = timer
            definition, one = self._program.definitions[order], state.states[order][per]
            firing = definition.primitive.ring(one, due, state.presence)
            self._settle(definition, per, one, known=True)
            if firing is not None:
                self._moved_by = moved_by
                emitted = self._emit(definition, per, firing)
                self._moved_by = None
                self._cascade([], [emitted] if emitted else [])

    def _next_timer(self, until: int, *, by_clock: bool) -> tuple[int, int, Per] | None:
        definitions = self._program.definitions
        due_now = [
            (due, order, repr(per), per)
            for (order, per), due in self._state.timers.items()
            if due <= until and (not by_clock or definitions[order].primitive.by_clock)
        ]
        if not due_now:
            return None
        due, order, _, per = min(due_now)
        return due, order, per

    def dispatch(self, fact: Fact) -> None:
        """Show a fact to what ends on it and to what reads it."""
        gate = self._state.gate
        self._end_on(fact)
        readers = gate.readers.get(fact.type, ())
        for place, definition in enumerate(readers):
            emitted = self._read(definition, fact)
            if emitted:
                self._cascade([(later, fact) for later in readers[place + 1 :]], emitted)
                return

    def end(self, definition: Compiled, t: int, reason: str) -> None:
        """End the definition's detections that are active at `t`."""
        state = self._state
        over = [one for one in state.active if one.hash == definition.hash]
        if over:
            state.active = [one for one in state.active if one.hash != definition.hash]
            ended = (Ended(state.key, one.id, one.signal, t, reason) for one in over if t < one.expires_at)
            self.changes.extend(ended)

    def _end_on(self, fact: Fact) -> None:
        state = self._state
        if state.active:
            for definition in state.gate.enders.get(fact.type, ()):
                if definition.ends_on(fact):
                    self.end(definition, fact.t, "ENDED_ON")

    def _cascade(self, waiting: Iterable[tuple[Compiled, Fact]], emitted: list[Fact]) -> None:
        """The rest of the order of work, once there are detections among the facts."""
        agenda = [(definition.order, number, definition, fact) for number, (definition, fact) in enumerate(waiting)]
        number = len(agenda)
        while agenda or emitted:
            for fact in emitted:
                self._end_on(fact)
                for definition in self._state.gate.readers.get(fact.type, ()):
                    number += 1
                    heapq.heappush(agenda, (definition.order, number, definition, fact))
            emitted = []
            if agenda:
                _, _, definition, fact = heapq.heappop(agenda)
                emitted = self._read(definition, fact)

    def _read(self, definition: Compiled, fact: Fact) -> list[Fact]:
        """Let one definition take in one fact; the detections that follow, as facts."""
        if not definition.per:
            return self._take(definition, (), fact)
        per = tuple(fact.fields[name] for name in definition.per if name in fact.fields)
        if len(per) == len(definition.per):
            return self._take(definition, per, fact)
        if fact.type != "session_end":
            return []
        # The end of a session has none of these fields and ends all of its visits and runs.
        everywhere = sorted(self._state.states.get(definition.order, ()), key=repr)
        return [emitted for each in everywhere for emitted in self._take(definition, each, fact)]

    def _take(self, definition: Compiled, per: Per, fact: Fact) -> list[Fact]:
        states = self._state.states.get(definition.order)
        known = states is not None and per in states
        one = states[per] if states is not None and known else definition.primitive.fresh()
        hidden = bool(definition.unless) and any(match(fact) for match in definition.unless)
        firing = definition.primitive.feed(one, fact, hidden=hidden)
        self._settle(definition, per, one, known=known)
        emitted = firing and self._emit(definition, per, firing)
        return [emitted] if emitted else []

    def _settle(self, definition: Compiled, per: Per, one: object, *, known: bool) -> None:
        """Keep the state and its timer, or drop them when they say nothing any more."""
        primitive, state = definition.primitive, self._state
        if primitive.idle(one):
            if known:
                state.forget(definition.order, per)
            return
        if definition.per or not known:
            state.keep(definition, per, one)
        if primitive.timed:
            state.arm(definition, per, one)

    def _emit(self, definition: Compiled, per: Per, firing: Firing) -> Fact | None:
        """Turn a firing into a detection, unless `where` is not true or the cooldown still runs."""
        state = self._state
        if definition.where is not None and not definition.where({**firing.fields, **firing.measures}):
            return None
        if definition.cooldown:
            last = state.cooldowns.get(definition.order, {}).get(per)
            if last is not None and firing.at - last <= definition.cooldown:
                return None
            state.emitted(definition.order, per, firing.at)
        found = replace(
            detection(state.key, definition, per, firing, known_at=self._known_at, moved_by=self._moved_by),
            ledger_index=state.grant.index if state.grant else 0,
        )
        state.active = [one for one in state.active if one.expires_at > firing.at]
        state.active.append(Active(found.id, found.signal, found.hash, found.expires_at))
        self.changes.append(Detected(found))
        return None if found.shadow else as_fact(found)
