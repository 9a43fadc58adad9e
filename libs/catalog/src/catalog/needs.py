"""The data categories that a signal needs: derived from what its definition reads, never written (signals.md 4).

They are those of every event type and field that `detect`, `per`, `unless`, `where` and `emit` read, through
referenced signals and negatives too, plus `inferred` for intents and for composites on subject keys. Lifecycle facts
and `ends_on` do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from catalog.frozen import FrozenMap
from catalog.vocabulary import BANK_EVENTS, LIFECYCLE, SESSION_FIELDS, SESSION_TYPES

if TYPE_CHECKING:
    from catalog.model.base import Category
    from catalog.model.bundle import Bundle
    from catalog.model.signals import SignalDefinition

_JOINS = frozenset({"all", "any", "not"})
_FACT_KEYS = frozenset({"type", "signal", "session", "id", "seq", "occurred_at", "trusted"})
_MATCHES = ("of", "steps", "between", "after", "enter", "leave", "activity", "without", "reset", "unless")


def all_needs(bundle: Bundle) -> Mapping[str, frozenset[Category]]:
    """The needs of every signal by id. A reference cycle, which checks refuse, ends where it starts."""
    return FrozenMap({definition.id: signal_needs(bundle, definition.id) for definition in bundle.signals})


def signal_needs(bundle: Bundle, signal: str, seen: frozenset[str] = frozenset()) -> frozenset[Category]:
    """The needs of one signal; none for a signal that is not defined."""
    definition = bundle.signal.get(signal)
    if definition is None or signal in seen:
        return frozenset()
    own = frozenset(_own(bundle, definition))
    parts = (signal_needs(bundle, part, seen | {signal}) for part in references(definition))
    return own.union(*parts)


def references(definition: SignalDefinition) -> tuple[str, ...]:
    """The signals that the definition reads, sorted."""
    names = {str(match["signal"]) for match in matches(definition) if "signal" in match}
    composite = definition.detect.composite
    return tuple(sorted(names.union(composite.parts, composite.without) if composite else names))


def matches(definition: SignalDefinition) -> Iterator[Mapping[str, object]]:
    """Every match of the definition, positive and negative; not `ends_on`."""
    primitive = definition.detect.primitive
    for name in _MATCHES:
        yield from _maps(getattr(primitive, name, None))
    yield from definition.unless


def _maps(value: object) -> Iterator[Mapping[str, object]]:
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _maps(part)
    elif value is not None and hasattr(value, "of"):
        yield from _maps(value.of)


def match_types(match: Mapping[str, object]) -> tuple[str, ...]:
    """The fact types that a match names."""
    named = match.get("type", ())
    return (
        (named,) if isinstance(named, str) else tuple(str(name) for name in named) if isinstance(named, tuple) else ()
    )


def match_fields(match: object) -> Iterator[str]:
    """The fields that a match, or any predicate map, reads."""
    if isinstance(match, tuple):
        for part in match:
            yield from match_fields(part)
    if isinstance(match, Mapping):
        if "attr" in match:
            yield str(match["attr"])
        else:
            for key, value in match.items():
                yield from match_fields(value) if key in _JOINS else () if key in _FACT_KEYS else (key,)


def plain_fields(definition: SignalDefinition) -> Iterator[str]:
    """Fields read outside matches: per, emit, where, and those that the primitive names."""
    primitive = definition.detect.primitive
    yield from definition.per
    yield from definition.emit or ()
    yield from match_fields(definition.where)
    yield from getattr(primitive, "same", ())
    for name in ("by", "distinct", "field", "on"):
        value = getattr(primitive, name, None)
        if isinstance(value, str):
            yield value
    if getattr(primitive, "near", None) is not None:
        yield from ("x", "y")


def field_category(bundle: Bundle, definition: SignalDefinition, types: tuple[str, ...], name: str) -> Category | None:
    """The category of a field of these fact types; None when no type has it (measures, fields of other signals)."""
    for kind in types:
        event = BANK_EVENTS.get(kind)
        if event and name in event.fields:
            return event.fields[name].category
        declared = bundle.event_types.get(kind)
        if declared and name.removeprefix("attr.") in declared.fields:
            return declared.fields[name.removeprefix("attr.")].category
    if definition.key == "session" and name in SESSION_FIELDS and name not in _FACT_KEYS:
        return SESSION_FIELDS[name].category
    return None


def type_category(bundle: Bundle, kind: str) -> Category | None:
    """The category of a fact type; None for lifecycle facts and unknown types."""
    if kind in LIFECYCLE:
        return None
    if kind in BANK_EVENTS:
        return BANK_EVENTS[kind].category
    declared = bundle.event_types.get(kind)
    return declared.category if declared else SESSION_TYPES.get(kind)


def _own(bundle: Bundle, definition: SignalDefinition) -> Iterator[Category]:
    all_types: list[str] = []
    for match in matches(definition):
        types = match_types(match)
        all_types += types
        for kind in types:
            yield from _some(type_category(bundle, kind))
        for name in match_fields(match):
            yield from _some(field_category(bundle, definition, types, name))
    for name in plain_fields(definition):
        yield from _some(field_category(bundle, definition, tuple(all_types), name))
    if definition.kind == "intent" or (definition.key == "subject" and definition.detect.composite):
        yield "inferred"


def _some(category: Category | None) -> tuple[Category, ...]:
    return () if category is None else (category,)
