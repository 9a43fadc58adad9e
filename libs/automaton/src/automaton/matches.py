"""Matches: which facts a definition looks at, compiled once per bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from automaton.facts import Fact, signal_type
from automaton.predicates import Test, compiled
from catalog.definitions import parse_match
from catalog.values import ValueType


@dataclass(frozen=True, slots=True)
class Match:
    """Facts of these types (empty: of any type) whose fields pass the test (None: any fields)."""

    types: frozenset[str]
    test: Test | None

    def __call__(self, fact: Fact) -> bool:
        """Whether the fact matches."""
        return (not self.types or fact.type in self.types) and (self.test is None or self.test(fact.fields))


NOTHING = Match(frozenset({""}), None)
"""Matches no fact."""


def compile_match(raw: Mapping[str, object], fields: Mapping[str, ValueType]) -> Match:
    """The match; raises catalog's ExpressionInvalid."""
    parsed = parse_match(raw, fields)
    types = frozenset(parsed.types) | ({signal_type(parsed.signal)} if parsed.signal else frozenset())
    return Match(types, compiled(parsed.where) if parsed.where else None)


def optional_match(raw: Mapping[str, object] | None, fields: Mapping[str, ValueType]) -> Match:
    """The match, or one that matches nothing."""
    return compile_match(raw, fields) if raw is not None else NOTHING
