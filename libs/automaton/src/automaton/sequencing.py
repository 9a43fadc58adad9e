"""The sequencer: one session's events in the order of `seq`, with times that a device's clock and a slow network cannot bend.

The expected `seq` passes at once. On a gap only this session waits, until stream time passes the first held message by more
than 300 ms or 500 events are held; then the missing range is a `loss` and the rest is released. Times are device time plus
one offset per session, held between the session's previous time and `received_at` + 2 s. A `seq` released before is a
duplicate; with another id it is a conflict; inside a recorded loss it is late. Every offered `seq` is accounted for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from automaton.facts import NO_FIELDS, Fact, Fields, Grant

HOLD_MS: Final = 300
HELD_EVENTS: Final = 500
AHEAD_MS: Final = 2_000
FASTER_MS: Final = 1_000
CHANGED_MS: Final = 30_000
REMEMBERED: Final = 64
"""Released events whose ids are remembered, to tell a duplicate from a conflict."""
RANGES: Final = 32
_DIGITS: Final = 6
_NO_ID: Final = "-" * _DIGITS


class Offered(NamedTuple):
    """An event as a client offered it; a refused one has no type and no id. `lost` is the range that a `loss` declares."""

    seq: int
    id: str = ""
    occurred_at: int = 0
    type: str = ""
    fields: Fields = NO_FIELDS
    lost: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One message of a session: what was offered, when it was sent and received, and what was granted then."""

    session: str
    sent_at: int
    received_at: int
    grant: Grant | None
    events: tuple[Offered, ...]


@dataclass(slots=True)
class Taken:
    """What became of a message: facts in order, and what was not fed. `conflicts` are seqs offered twice with two ids."""

    facts: list[Fact] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0


class _Held(NamedTuple):
    since: int
    offset: int
    received: int
    grant: Grant | None
    event: Offered


class Sequencer:
    """One session's order."""

    def __init__(self, session: str) -> None:
        self.next_seq = 0
        self.offset: int | None = None
        self.offset_changes = 0
        self._session = session
        self._last_t: int | None = None
        self._held: dict[int, _Held] = {}
        self._lost: list[tuple[int, int]] = []
        self._declared: list[tuple[int, int]] = []
        self._recent = ""

    @property
    def due(self) -> int | None:
        """The stream time after which `expire` releases something."""
        return min(held.since for held in self._held.values()) + HOLD_MS if self._held else None

    def accept(self, batch: Batch, stream_time: int) -> Taken:
        """Take in a message that the stream stored at `stream_time`."""
        taken = Taken()
        offset = self._move_offset(batch.received_at - batch.sent_at)
        for event in batch.events:
            self._place(_Held(stream_time, offset, batch.received_at, batch.grant, event), taken)
        taken.facts.extend(self._release(stream_time))
        return taken

    def expire(self, stream_time: int) -> list[Fact]:
        """Release what has waited long enough."""
        return list(self._release(stream_time))

    def _move_offset(self, offset: int) -> int:
        if self.offset is None:
            self.offset = offset
        elif offset < self.offset - FASTER_MS or offset > self.offset + CHANGED_MS:
            self.offset = offset
            self.offset_changes += 1
        return self.offset

    def _place(self, held: _Held, taken: Taken) -> None:
        event = held.event
        if event.seq < self.next_seq:
            self._repeat(event, taken)
        elif (there := self._held.get(event.seq)) is not None:
            same = there.event.id == event.id
            taken.duplicates += same
            taken.conflicts.extend(() if same else (event.seq,))
        else:
            self._held[event.seq] = held
            if event.lost is not None and event.lost[0] <= event.lost[1] < event.seq:
                self._declared = [*self._declared, event.lost][-RANGES:]

    def _repeat(self, event: Offered, taken: Taken) -> None:
        if any(first <= event.seq <= last for first, last in self._lost):
            taken.late += 1
            return
        known = self._recent[len(self._recent) - (self.next_seq - event.seq) * _DIGITS :][:_DIGITS]
        remembered = (self.next_seq - event.seq) * _DIGITS <= len(self._recent) and known != _NO_ID
        if remembered and event.id and known != _digest(event.id):
            taken.conflicts.append(event.seq)
        else:
            taken.duplicates += 1

    def _release(self, stream_time: int) -> Iterator[Fact]:
        while True:
            yield from self._release_expected()
            due = self.due
            if due is None or (stream_time <= due and len(self._held) < HELD_EVENTS):
                return
            yield from self._give_up(min(self._held))

    def _release_expected(self) -> Iterator[Fact]:
        while self._held:
            held = self._held.pop(self.next_seq, None)
            if held is not None:
                yield from self._pass(held)
            elif not self._skip_declared():
                return

    def _skip_declared(self) -> bool:
        for first, last in self._declared:
            if first <= self.next_seq <= last:
                self._lose(last)
                return True
        return False

    def _pass(self, held: _Held) -> Iterator[Fact]:
        event = held.event
        self._remember(_digest(event.id) if event.id else _NO_ID)
        self.next_seq = event.seq + 1
        if event.type:
            t = min(event.occurred_at + held.offset, held.received + AHEAD_MS)
            self._last_t = t if self._last_t is None else max(t, self._last_t)
            yield Fact(self._session, self._last_t, event.id, event.type, event.fields, held.received, held.grant)

    def _give_up(self, found: int) -> Iterator[Fact]:
        """What is missing before `found` is lost; the loss is at the last time known before it."""
        first = self.next_seq
        self._lose(found - 1)
        if self._last_t is not None:
            fields = {"from_seq": first, "to_seq": found - 1}
            yield Fact(self._session, self._last_t, f"{self._session}#loss:{first}", "loss", fields)

    def _lose(self, last: int) -> None:
        self._lost = [*self._lost, (self.next_seq, last)][-RANGES:]
        self._recent = ""
        self.next_seq = last + 1

    def _remember(self, digest: str) -> None:
        self._recent = (self._recent + digest)[-REMEMBERED * _DIGITS :]

    def dump(self) -> list[Any]:
        """As JSON values."""
        held = [
            [h.since, h.offset, h.received, h.grant and h.grant.dump(), h.event] for _, h in sorted(self._held.items())
        ]
        order = [self.next_seq, self.offset, self.offset_changes, self._last_t]
        return [order, held, self._lost, self._declared, self._recent]

    @classmethod
    def load(cls, session: str, raw: list[Any]) -> Sequencer:
        """From `dump`."""
        made = cls(session)
        order, held, lost, declared, made._recent = raw
        made.next_seq, made.offset, made.offset_changes, made._last_t = order
        made._lost = [(first, last) for first, last in lost]
        made._declared = [(first, last) for first, last in declared]
        for since, offset, received, grant, event in held:
            offered = _load_event(event)
            made._held[offered.seq] = _Held(since, offset, received, grant and Grant.load(grant), offered)
        return made


def _digest(event_id: str) -> str:
    return hashlib.sha256(event_id.encode()).hexdigest()[:_DIGITS]


def _load_event(raw: list[Any]) -> Offered:
    seq, event_id, occurred_at, kind, fields, lost = raw
    return Offered(seq, event_id, occurred_at, kind, fields, lost and (lost[0], lost[1]))
