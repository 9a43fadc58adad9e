"""Definitions and facts in few words."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from automaton import Detection, Fact, Program, compile_bundle, refold
from catalog.loading import load_bundle
from catalog.model import Bundle, SignalDefinition

CATALOG = Path(__file__).parents[4] / "examples/harbour-bank/catalog"
MINUTE = 60_000


@functools.cache
def _bundle() -> Bundle:
    return load_bundle(CATALOG)


def definition(signal: str = "probe", **given: Any) -> SignalDefinition:
    """A definition with what a bundle demands filled in."""
    base = {
        "signal": signal, "title": "t", "why": "w", "owner": "o", "kind": "friction", "key": "session",
        "purpose": "assistance", "expires": "10m",
    }  # fmt: skip
    return SignalDefinition.model_validate({**base, **given})


def program(*definitions: SignalDefinition) -> Program:
    """The program of these definitions alone."""
    return compile_bundle(_bundle().model_copy(update={"signals": definitions}))


def fact(t: int, kind: str, key: str = "s1", *, id: str = "", **fields: Any) -> Fact:  # noqa: A002
    """A fact whose id is its time unless given."""
    return Fact(key, t, id or f"{kind}@{t}", kind, fields)


def numbered(facts: list[Fact]) -> list[Fact]:
    """The same facts with ids by their place."""
    return [one._replace(id=f"e{place}") for place, one in enumerate(facts)]


def fired(given: Program, facts: list[Fact], *, assumed: bool = True) -> list[Detection]:
    """The detections of these facts, presence and grants assumed."""
    return refold(given, facts, assumed=assumed)


def times(given: Program, facts: list[Fact], signal: str = "probe") -> list[int]:
    """When a definition fired."""
    return [one.at for one in fired(given, facts) if one.signal == signal]
