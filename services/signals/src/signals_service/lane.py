"""One partition in memory: the order and the automaton of each of its live sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from assent.events.v1.session_pb2 import SessionBatch
from automaton import Change, Engine, Fact, Program, Sequencer
from signals_service import translation
from signals_service.ports import SessionRow, SessionState

ADVANCE_BEHIND_MS: Final = 5_000
"""Partition time is this far behind the stream's, so that no held event comes late to it."""


class Lane:
    """The state of a partition at `position`; `digest` names the bundle it runs."""

    def __init__(self, pp: int, epoch: int, position: int, program: Program, digest: str) -> None:
        self.pp = pp
        self.epoch = epoch
        self.position = position
        self.stream_ms = 0
        self.digest = digest
        self.rows: dict[str, SessionRow] = {}
        self._engine = Engine(program)
        self._orders: dict[str, Sequencer] = {}
        self._holding: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        self._conflicts: list[int] = []
        self._erased: list[str] = []
        self._wakes_at: int | None = None
        self._moved = True

    def restore(self, kept: Iterable[SessionState]) -> None:
        """Put stored sessions back."""
        self._moved = True
        for one in kept:
            session = one.row.session
            order, _, state = one.state.partition(b"\n")
            self.rows[session] = one.row
            self._orders[session] = Sequencer.load(session, json.loads(order))
            if state:
                self._engine.restore(session, state)
            self._hold(session)

    def use(self, program: Program, digest: str) -> None:
        """Run another bundle's definitions from here on."""
        if digest != self.digest:
            self._engine.swap(program)
            self.digest = digest
            self._moved = True

    def take(self, stored: SessionBatch | None, stream_ms: int) -> list[Change]:
        """The next message of the partition (None: only its time); what changed."""
        self._moved = True
        self.stream_ms = max(self.stream_ms, stream_ms)
        changes = self._take(stored) if stored is not None else []
        for session in list(self._holding):
            changes += self._feed(session, self._orders[session].expire(self.stream_ms))
        return changes + self._engine.advance(self.stream_ms - ADVANCE_BEHIND_MS)

    def _take(self, stored: SessionBatch) -> list[Change]:
        session = stored.session
        if not stored.subject_id and not stored.events:
            self._forget(session)
            self._erased.append(session)
            return []
        self.rows[session] = SessionRow(session, self.pp, stored.visitor, stored.subject_id, stored.channel)
        order = self._orders.get(session) or self._orders.setdefault(session, Sequencer(session))
        message = translation.message(stored)
        if message.grant is not None and not message.events:
            grant = Fact(session, stored.received_at_ms, stored.batch_id, "grant", grant=message.grant)
            return self._feed(session, [grant])
        taken = order.accept(message, self.stream_ms)
        self._conflicts += taken.conflicts
        return self._feed(session, taken.facts)

    def _feed(self, session: str, facts: Iterable[Fact]) -> list[Change]:
        changes = [change for fact in facts for change in self._engine.feed(fact)]
        self._hold(session)
        return changes

    def _hold(self, session: str) -> None:
        if self._orders[session].due is None:
            self._holding.pop(session, None)
        else:
            self._holding[session] = None

    def _forget(self, session: str) -> None:
        self._moved = True
        self._engine.forget(session)
        self.rows.pop(session, None)
        self._orders.pop(session, None)
        self._holding.pop(session, None)
        self._gone[session] = None

    def take_conflicts(self) -> list[int]:
        """Sequences that were offered twice with two ids since this was last asked."""
        found, self._conflicts = self._conflicts, []
        return found

    def take_erased(self) -> list[str]:
        """Sessions of which nothing may stay, not even their signals, since this was last asked."""
        found, self._erased = self._erased, []
        return found

    def dirty(self, touched: Iterable[str]) -> tuple[list[SessionState], list[str]]:
        """Sessions to save, and sessions that are gone; `touched` had messages."""
        fresh = dict.fromkeys(touched)
        names = {**fresh, **dict.fromkeys(self._engine.take_dirty())}
        for session in names:
            if session in self.rows and session not in self._engine and session not in fresh:
                self._forget(session)
        gone, self._gone = list(self._gone), {}
        return [self._state(session) for session in names if session in self.rows], gone

    def _state(self, session: str) -> SessionState:
        order = json.dumps(self._orders[session].dump(), separators=(",", ":")).encode()
        state = self._engine.snapshot(session) if session in self._engine else b""
        return SessionState(self.rows[session], order + b"\n" + state)

    def wakes_at(self) -> int | None:
        """The stream time at which something of this partition is over even if nothing more comes; cheap when nothing came since."""
        if self._moved:
            self._wakes_at = self._next_wake()
            self._moved = False
        return self._wakes_at

    def _next_wake(self) -> int | None:
        due = self._engine.next_due()
        waits = [self._orders[session].due for session in self._holding]
        times = [wait + 1 for wait in waits if wait is not None]
        return min([*times, due + ADVANCE_BEHIND_MS] if due is not None else times, default=None)
