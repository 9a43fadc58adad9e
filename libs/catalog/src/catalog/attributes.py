"""The closed list of what rules, texts, models and audiences may read, with type, category and prohibited tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog.expression import ExpressionInvalid, attributes, parse
from catalog.frozen import FrozenMap
from catalog.values import BOOL, INT, STRING, ValueType
from catalog.vocabulary import BANK_EVENTS, SESSION_FIELDS

if TYPE_CHECKING:
    from catalog.model.base import Category
    from catalog.model.bundle import Bundle
    from catalog.model.data import Derived, Input, Segment
    from catalog.model.signals import SignalDefinition

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SEGMENTS = "view.segments"


@dataclass(frozen=True, slots=True)
class AttributeInfo:
    """One attribute: all of `categories` are needed to see it (none: no consent is), `tags` are prohibited bases."""

    id: str
    type: ValueType
    categories: frozenset[Category] = field(default_factory=frozenset)
    tags: frozenset[str] = field(default_factory=frozenset)
    freshness_ms: int | None = None
    mutable: str = "none"


Table = Mapping[str, AttributeInfo]


def attribute_table(bundle: Bundle) -> Table:
    """Every attribute of the bundle by id: declared, features, signals, contact, request, clock, derived, segments."""
    table = {info.id: info for info in (*_built_in(bundle), *_declared(bundle), *_signals(bundle))}
    for derived in bundle.derived:
        table[derived.id] = _derive(derived, table)
    if bundle.segments:
        table[SEGMENTS] = _segments(bundle.segments, table)
    return FrozenMap(table)


def needs(names: Iterable[str], table: Table) -> frozenset[Category]:
    """The categories that reading these attributes needs."""
    return frozenset(category for name in names if name in table for category in table[name].categories)


def tags(names: Iterable[str], table: Table) -> frozenset[str]:
    """The prohibited tags that these attributes carry."""
    return frozenset(tag for name in names if name in table for tag in table[name].tags)


def _built_in(bundle: Bundle) -> Iterator[AttributeInfo]:
    yield AttributeInfo("now.local_hour", INT)
    yield AttributeInfo("now.weekday", ValueType("enum", values=WEEKDAYS))
    yield AttributeInfo("now.holiday", BOOL)
    yield AttributeInfo("context.channel", ValueType("enum", values=tuple(channel.id for channel in bundle.channels)))
    yield AttributeInfo("context.jurisdictions", ValueType("set"))
    yield AttributeInfo("contact.days_since_shown", INT, frozenset({"interaction"}))


def _declared(bundle: Bundle) -> Iterator[AttributeInfo]:
    inputs: tuple[Input, ...] = (*bundle.attributes, *bundle.features)
    for item in inputs:
        marks = frozenset({item.prohibited} if item.prohibited else ())
        yield AttributeInfo(item.id, item.value_type, frozenset({item.category}), marks, item.freshness, item.mutable)


def _signals(bundle: Bundle) -> Iterator[AttributeInfo]:
    for definition in bundle.signals:
        categories = bundle.needs[definition.id]
        yield AttributeInfo(f"signal.{definition.id}", INT, categories)
        for name in definition.emit or ():
            kind = _field_type(definition, name, bundle.bank.currency)
            yield AttributeInfo(f"signal.{definition.id}.{name}", kind, categories)


def _field_type(definition: SignalDefinition, name: str, currency: str) -> ValueType:
    if name.endswith("_minor"):
        return ValueType("money", currency)
    if definition.key == "session":
        return SESSION_FIELDS[name].type if name in SESSION_FIELDS else STRING
    known = [event.fields[name].type for event in BANK_EVENTS.values() if name in event.fields]
    return known[0] if known else STRING


def _derive(derived: Derived, table: Table) -> AttributeInfo:
    sources = [table[name] for name in derived.of if name in table]
    kind = _derived_type(derived, sources)
    return AttributeInfo(derived.id, kind, needs(derived.of, table), tags(derived.of, table))


def _derived_type(derived: Derived, sources: list[AttributeInfo]) -> ValueType:
    if derived.op == "ratio_bp":
        return ValueType("ratio")
    return INT if derived.op in {"days_since", "count"} or not sources else sources[0].type


def _segments(segments: tuple[Segment, ...], table: Table) -> AttributeInfo:
    types = {name: info.type for name, info in table.items()}
    read = frozenset(name for segment in segments for name in _reads(segment, types))
    members = tuple(segment.id for segment in segments)
    categories = frozenset(segment.category for segment in segments)
    return AttributeInfo(SEGMENTS, ValueType("set", values=members), categories, tags(read, table))


def _reads(segment: Segment, types: Mapping[str, ValueType]) -> frozenset[str]:
    try:
        return attributes(parse(segment.when, types))
    except ExpressionInvalid:  # the checks report it, with its line
        return frozenset()
