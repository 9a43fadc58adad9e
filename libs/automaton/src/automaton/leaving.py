"""Derived facts: which screen and which flow a session event leaves.

A screen is left by a `screen_view` of another place (screen, area, flow or step). A flow is left by an event that names
another flow, or by a `screen_view` outside any. They carry the old place and are fed just before the event that left. The
end of a session says that it ends; it derives nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from automaton.facts import Fact, Fields
from automaton.keystate import KeyState, Place

_NAMES = ("screen", "area", "flow", "step")


def left_by(state: KeyState, fact: Fact) -> Iterator[Fact]:
    """What the event leaves, screen before flow; remembers where it goes."""
    if fact.type == "session_end":
        state.place = state.flow = None
        return
    seen = fact.type == "screen_view"
    flow = fact.fields.get("flow")
    old, old_flow = state.place, state.flow
    if seen:
        place: Place = tuple(fact.fields.get(name) for name in _NAMES)  # type: ignore[assignment]  # four names
        state.place = place
        if old is not None and place != old:
            yield _left(fact, "screen_left", _fields(old))
    if flow is not None or seen:
        state.flow = flow
        if old_flow is not None and flow != old_flow:
            yield _left(fact, "flow_left", {**(_fields(old) if old else {}), "flow": old_flow})


def _left(fact: Fact, kind: str, fields: Fields) -> Fact:
    return fact._replace(id=f"{fact.id}#left", type=kind, fields=fields)


def _fields(place: Place) -> Fields:
    return {name: value for name, value in zip(_NAMES, place, strict=True) if value is not None}
