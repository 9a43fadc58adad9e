"""Attributes, features, derived attributes and segments: typed, owned, and lawful for their purpose."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.attributes import needs
from catalog.checks.base import Context
from catalog.expression import attributes
from catalog.findings import Finding
from catalog.model import Derived, Feature, Purpose
from catalog.model.base import Category
from catalog.model.data import Typed
from catalog.source import Path
from catalog.values import ValueType
from catalog.vocabulary import BANK_EVENTS, SESSION_FIELDS, SESSION_TYPES

DETECTORS = frozenset(
    {
        "buffer_days",
        "days_below",
        "goals",
        "idle_cash",
        "income_volatility",
        "life_events",
        "maturing_amount",
        "maturity_days",
        "missed_payments",
        "net_flow",
        "next_maturity",
        "open_complaint",
        "recurring_amount",
        "recurring_count",
        "recurring_next",
        "recurring_payees",
        "recurring_price_rise_bp",
        "repeated_manual_payments",
        "salary_amount",
        "salary_last",
        "salary_next",
        "salary_payer_changed",
        "salary_period_days",
        "tenure_days",
        "top_category",
        "unusual_score",
        "utilization_bp",
    }
)
"""What profile can compute beyond windows; profile refuses a bundle that names another."""

_INPUTS = {
    "add": (2, 16),
    "sub": (2, 2),
    "ratio_bp": (2, 2),
    "days_since": (1, 1),
    "count": (1, 1),
    "min": (2, 16),
    "max": (2, 16),
}
_RESULTS = {"count": {"int"}, "days_since": {"int"}, "distinct": {"int"}, "trend": {"ratio"}, "share": {"ratio"}}


def check_attributes(context: Context) -> Iterator[Finding]:
    """Names have their namespace, enums and sets their values, money its currency, prohibited tags a pack."""
    bundle = context.bundle
    known = {tag for pack in bundle.packs for tag in pack.prohibited}
    for section in ("attributes", "features"):
        for index, item in enumerate(getattr(bundle, section)):
            path: Path = (section, index)
            yield from _typed(context, item, item.id, path)
            if item.id.partition(".")[0] not in ("view", "context"):
                yield context.error("NAMESPACE", f"{item.id} is neither view. nor context.", "rename it", *path, "id")
            if item.prohibited is not None:
                yield from context.unknown("prohibited tag", item.prohibited, known, *path, "prohibited")


def check_features(context: Context) -> Iterator[Finding]:
    """A feature reads a known event, by one way of computing, for a purpose that covers its category."""
    for index, feature in enumerate(context.bundle.features):
        path: Path = ("features", index)
        yield from _feature(context, feature, path)
        yield from covers(context, feature.purpose, {feature.category}, feature.id, *path, "purpose")


def check_derived(context: Context) -> Iterator[Finding]:
    """Derived attributes read attributes declared before them, of types that fit."""
    known = set(context.bundle.table) - {derived.id for derived in context.bundle.derived}
    for index, derived in enumerate(context.bundle.derived):
        path: Path = ("derived", index)
        yield from context.all_known("attribute", derived.of, known, *path, "of")
        if all(name in known for name in derived.of):
            yield from _derived(context, derived, path)
        known.add(derived.id)


def check_segments(context: Context) -> Iterator[Finding]:
    """Segments are typed predicates whose inputs their purpose covers."""
    for index, segment in enumerate(context.bundle.segments):
        path: Path = ("segments", index)
        expression, faults = context.parsed(segment.when, *path, "when")
        yield from faults
        read = needs(attributes(expression), context.bundle.table) if expression else frozenset()
        yield from covers(context, segment.purpose, {segment.category, *read}, segment.id, *path, "purpose")
        if expression and "view.segments" in attributes(expression):
            yield context.error(
                "CYCLE", f"{segment.id} reads segments", "name the attributes themselves", *path, "when"
            )


def covers(context: Context, purpose: str, categories: set[Category], name: str, *path: str | int) -> Iterator[Finding]:
    """Findings when the purpose is unknown or does not cover the categories."""
    declared = context.bundle.purpose.get(purpose)
    if declared is None:
        yield from context.unknown("purpose", purpose, context.bundle.purpose, *path)
    else:
        yield from _uncovered(context, declared, categories, name, *path)


def _uncovered(
    context: Context, purpose: Purpose, categories: set[Category], name: str, *path: str | int
) -> Iterator[Finding]:
    for category in sorted(categories - set(purpose.categories)):
        message = f"{name} needs {category}, which purpose {purpose.id} does not cover"
        yield context.error("CATEGORY", message, "choose another purpose, or add the category to it", *path)


def _typed(context: Context, item: Typed, name: str, path: Path) -> Iterator[Finding]:
    if item.type in {"enum", "set"} and not item.values:
        yield context.error("TYPE", f"{name} lists no values", "list them under values", *path)
    if item.type not in {"enum", "set"} and item.values:
        yield context.error("TYPE", f"{name} is a {item.type} and lists values", "remove values", *path, "values")
    if (item.type == "money") != (item.currency is not None):
        yield context.error("CURRENCY", f"{name}: money, and only money, has a currency", "correct currency", *path)


def _feature(context: Context, feature: Feature, path: Path) -> Iterator[Finding]:
    fields = _fields(feature.source_event)
    if fields is None:
        yield from context.unknown("event type", feature.source_event, BANK_EVENTS, *path, "from")
        return
    if (feature.aggregate is None) == (feature.detector is None):
        yield context.error("FEATURE", f"{feature.id} needs either as or detector", "give one of them", *path)
    if feature.aggregate is not None and feature.window is None:
        yield context.error("FEATURE", f"{feature.id} has no window", "say how far back it looks", *path)
    if feature.detector is not None:
        yield from context.unknown("detector", feature.detector, DETECTORS, *path, "detector")
    yield from _feature_fields(context, feature, fields, path)
    wanted = _RESULTS.get(feature.aggregate or "", {feature.type})
    if feature.type not in wanted:
        yield context.error("TYPE", f"{feature.aggregate} yields {' '.join(wanted)}", "correct type", *path, "type")


def _feature_fields(context: Context, feature: Feature, fields: dict[str, ValueType], path: Path) -> Iterator[Finding]:
    for key in ("of", "by"):
        name = getattr(feature, key)
        if name is not None:
            yield from context.unknown("field", name, fields, *path, key)
    if feature.where is not None:
        yield from context.parsed(feature.where, *path, "where", types=fields)[1]
    if feature.aggregate in {"sum", "mean", "last", "min", "max"} and feature.of is None:
        yield context.error("FEATURE", f"{feature.aggregate} needs the field it measures", "name it under of", *path)
    if feature.aggregate == "distinct" and feature.by is None:
        yield context.error("FEATURE", "distinct needs the field whose values it counts", "name it under by", *path)


def _fields(event: str) -> dict[str, ValueType] | None:
    if event in BANK_EVENTS:
        return {name: field.type for name, field in BANK_EVENTS[event].fields.items()}
    if event in SESSION_TYPES:
        return {name: field.type for name, field in SESSION_FIELDS.items()}
    return None


def _derived(context: Context, derived: Derived, path: Path) -> Iterator[Finding]:
    least, most = _INPUTS[derived.op]
    if not least <= len(derived.of) <= most:
        yield context.error("TYPE", f"{derived.op} takes {least} to {most} inputs", "correct of", *path, "of")
    types = [context.bundle.table[name].type for name in derived.of]
    wanted = {"count": {"set"}, "days_since": {"time"}}.get(derived.op, {"int", "money", "ratio", "time"})
    if any(kind.kind not in wanted for kind in types) or len({(kind.kind, kind.currency) for kind in types}) > 1:
        yield context.error("TYPE", f"{derived.id} mixes types or currencies", "use inputs of one type", *path, "of")
    result = context.bundle.table[derived.id].type
    if (derived.type, derived.currency) != (result.kind, result.currency):
        yield context.error(
            "TYPE", f"{derived.id} is {result.kind} {result.currency or ''}", "correct type", *path, "type"
        )
