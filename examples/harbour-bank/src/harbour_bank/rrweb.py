"""Recorded browser sessions (rrweb) as session events.

The recordings hold a whole page and every typed character. What leaves this module are taps, focus changes, the number of edits of a field,
scrolls and screens, with elements named by number and judged by their tag: never a value, a text or an address.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from assent.signals.v1.session_event_pb2 import SessionEvent
from servicekit.ids import uuid7

FULL_SNAPSHOT, INCREMENTAL, META = 2, 3, 4
MOUSE, SCROLL, INPUT = 2, 3, 5
CLICK, FOCUS, BLUR = 2, 5, 6
ROLES: Final[Mapping[str, str]] = {
    "a": "link",
    "button": "button",
    "select": "choice",
    "label": "choice",
    "textarea": "text_input",
}
INPUTS: Final[Mapping[str, str]] = {"submit": "submit", "button": "button", "checkbox": "choice", "radio": "choice"}

Recorded = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as session events, in order of their sequence, and how many raw events it was made of."""

    name: str
    raw: int
    events: tuple[SessionEvent, ...]
    typed: int
    """Input events whose text stayed behind."""


def read(path: Path) -> Recording:
    """Convert one recording."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        recorded: Sequence[Recorded] = json.load(file)
    return convert(path.name.removesuffix(".json.gz"), recorded)


def convert(name: str, recorded: Sequence[Recorded]) -> Recording:
    """The session events of a recording."""
    numbers = count()
    screen = f"page_{sum(map(ord, name)) % 997}"
    roles = dict(_roles(recorded))
    edits: dict[int, int] = {}
    events = [_event(next(numbers), recorded[0]["timestamp"], "session_start")]
    for entry in recorded:
        for kind, fields in _said(entry, screen, roles, edits):
            events.append(_event(next(numbers), entry["timestamp"], kind, **fields))
    typed = sum(_source(entry) == INPUT for entry in recorded)
    return Recording(name, len(recorded), tuple(events), typed)


def _source(entry: Recorded) -> int | None:
    return entry["data"].get("source") if entry["type"] == INCREMENTAL else None


def _roles(recorded: Sequence[Recorded]) -> Iterator[tuple[int, str]]:
    """The role of every element that a snapshot or a change shows."""
    for entry in recorded:
        if entry["type"] == FULL_SNAPSHOT:
            yield from _nodes(entry["data"]["node"])
        elif _source(entry) == 0:
            for added in entry["data"].get("adds", ()):
                yield from _nodes(added["node"])


def _nodes(node: Recorded) -> Iterator[tuple[int, str]]:
    tag = node.get("tagName", "")
    kind = str(node.get("attributes", {}).get("type", ""))
    yield node["id"], INPUTS.get(kind, "text_input") if tag == "input" else ROLES.get(tag, "other")
    for child in node.get("childNodes", ()):
        yield from _nodes(child)


def _said(
    entry: Recorded, screen: str, roles: Mapping[int, str], edits: dict[int, int]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The session events of one raw event: none, one, or two."""
    if entry["type"] in {META, FULL_SNAPSHOT}:
        yield "screen_view", {"screen": screen, "area": "other"}
        return
    source, data = _source(entry), entry.get("data", {})
    if source == SCROLL:
        yield "scroll", {"screen": screen, "axis": "y"}
    elif source == INPUT:
        edits[data["id"]] = edits.get(data["id"], 0) + 1
    elif source == MOUSE:
        yield from _touched(data, screen, roles.get(data["id"], "other"), edits)


def _touched(data: Recorded, screen: str, role: str, edits: dict[int, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    where = {"screen": screen, "target": f"node_{data['id']}", "role": role}
    field = f"field_{data['id']}"
    if data["type"] == CLICK:
        yield "click", {**where, "x": round(data["x"]), "y": round(data["y"]), "button": "primary"}
    elif data["type"] == FOCUS:
        yield "focus", {"screen": screen, "field": field}
    elif data["type"] == BLUR:
        changed = edits.pop(data["id"], 0)
        yield "blur", {"screen": screen, "field": field}
        if changed:
            yield "field_commit", {"screen": screen, "field": field, "edits": changed, "changed": True}


def _event(seq: int, at_ms: int, kind: str, **fields: Any) -> SessionEvent:
    return SessionEvent(
        id=uuid7(at_ms, seq.to_bytes(10, "big")), seq=seq, occurred_at_ms=at_ms, type=kind, trusted=True, **fields
    )
