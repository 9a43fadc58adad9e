"""Runs over a list of facts: what a file, a golden example or a re-fold of one key gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from automaton.engine import Engine
from automaton.facts import Change, Detected, Detection, Fact
from automaton.program import Program
from catalog.durations import parse_duration
from catalog.model import Example


def run(program: Program, facts: Iterable[Fact], *, assumed: bool = False) -> list[Change]:
    """All changes of these facts, in order; time stops at each key's last fact."""
    engine = Engine(program, assumed=assumed)
    changes: list[Change] = []
    keys: dict[str, None] = {}
    for fact in facts:
        keys[fact.key] = None
        changes += engine.feed(fact)
    return changes + [change for key in keys for change in engine.settle(key)]


def refold(program: Program, facts: Iterable[Fact], *, assumed: bool = False) -> list[Detection]:
    """The detections of these facts."""
    return [change.detection for change in run(program, facts, assumed=assumed) if isinstance(change, Detected)]


def example_facts(example: Example) -> list[Fact]:
    """The facts of a definition's example; ids are `e1`, `e2`, ..."""
    return [_fact(number, event) for number, event in enumerate(example.events, start=1)]


def _fact(number: int, event: Mapping[str, Any]) -> Fact:
    at = event["at"]
    t = at if isinstance(at, int) else parse_duration(str(at))
    fields = {name: value for name, value in event.items() if name not in {"at", "type"}}
    return Fact("s1", t, f"e{number}", str(event["type"]), fields)
