"""The bundle's data catalog as a plan: which fields there are and how each is computed. The only module that reads a bundle."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from catalog.expression import ExpressionInvalid, attributes, evaluate, parse
from catalog.model.bundle import Bundle
from catalog.model.data import Attribute
from catalog.model.data import Feature as DeclaredFeature
from catalog.values import BOOL, STRING, Missing, Value, ValueType
from profile_service.domain.detectors import DETECTORS, detect
from profile_service.domain.facts import DAY_MS, FIELDS, MEASURES, main_measure
from profile_service.domain.features import Feature, Matcher, Matches, Reading, compute
from profile_service.domain.history import History
from profile_service.domain.holdings import open_holdings
from profile_service.domain.view import Declared, Read
from profile_service.segments import SEGMENTS, segments

logger = logging.getLogger(__name__)

VIEW: Final = "view."
CROSS_BORDER: Final = "cross_border"
LONGEST_MS: Final = 400 * DAY_MS
"""The window of a feature that declares none."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The fields of a bundle that profile serves, sorted by name. Equal only to itself."""

    fields: Mapping[str, Declared]
    matcher: Matcher = field(default_factory=lambda: Matcher(()))

    def prepare(self, history: History) -> None:
        """Find the series of all features at once, before the fields are read."""
        self.matcher.prepare(history)


def plan(bundle: Bundle) -> Plan:
    """How to compute each `view.*` field; one that this code cannot compute stays declared and is served as unknown."""
    features = {one.id: feature for one in bundle.features if one.id.startswith(VIEW) and (feature := _try(one))}
    fields = [_attribute(one) for one in bundle.attributes if one.id.startswith(VIEW)]
    fields += [_feature(one, features.get(one.id)) for one in bundle.features if one.id.startswith(VIEW)]
    named = {one.id: one for one in fields}
    found = segments(bundle, named)
    return Plan(dict(sorted((named | ({SEGMENTS: found} if found else {})).items())), Matcher(features.values()))


def _try(one: DeclaredFeature) -> Feature | None:
    try:
        return _compiled(one)
    except (KeyError, ValueError, ExpressionInvalid) as error:
        logger.warning("the feature %s cannot be computed here: %s", one.id, type(error).__name__)
        return None


def _declared(one: Attribute | DeclaredFeature, read: Read) -> Declared:
    return Declared(one.id, one.type, one.currency, one.category, one.freshness, read)


def _unknown(_history: History, _now_ms: int) -> Reading | None:
    return None


def _attribute(one: Attribute) -> Declared:
    match one.source:
        case "trait" | "identity":
            return _declared(one, _register("trait", one.id, one.type))
        case "preference":
            return _declared(one, _preference(one))
        case "holdings" if one.type == "set":
            return _declared(one, _holdings(frozenset(one.values)))
        case "holdings":
            return _declared(one, _register("trait", one.id, one.type))
        case "vulnerability":
            return _declared(one, _flags)
        case _:
            return _declared(one, _unknown)


def _register(group: str, name: str, kind: str) -> Read:
    def read(history: History, now_ms: int) -> Reading | None:
        found = history.register(group, name)
        value = _typed(found[1], kind) if found else None
        return None if found is None or value is None else Reading(value, min(found[0], now_ms))

    return read


def _typed(value: Any, kind: str) -> Value | None:
    """A register's value as the declared kind; preferences travel as text."""
    if isinstance(value, list):
        return frozenset(value)
    if not isinstance(value, str) or kind in {"string", "enum"}:
        return value  # type: ignore[no-any-return]  # a scalar; one of another kind is served as unknown
    if kind == "bool":
        return {"true": True, "false": False}.get(value)
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value) else None


def _preference(one: Attribute) -> Read:
    """What the customer or the bank said last: a preference named by the id's last part, or a trait of the id."""
    said = _register("preference", one.id.rpartition(".")[2], one.type), _register("trait", one.id, one.type)

    def read(history: History, now_ms: int) -> Reading | None:
        found = [reading for each in said if (reading := each(history, now_ms)) is not None]
        return max(found, key=lambda reading: reading.as_of_ms, default=None)

    return read


def _holdings(values: frozenset[str]) -> Read:
    """What is open, by product kind and by holding ("card_gold", or "card_gold:7"), as far as the bundle declares it."""

    def read(history: History, now_ms: int) -> Reading | None:
        names = {(str(terms[0]), name.partition(":")[0]) for name, (_, terms) in open_holdings(history).items()}
        held = frozenset(name for pair in names for name in pair if name in values)
        kinds = frozenset(kind for kind, _ in names)
        return Reading(held if values else kinds, min(history.newest_ms, now_ms)) if history.newest_ms else None

    return read


def _flags(history: History, now_ms: int) -> Reading | None:
    """Vulnerability flags that are set; known once the feed has said anything."""
    flags = frozenset(flag for flag, _, state in history.group("flag") if state == "set")
    return Reading(flags, min(history.newest_ms, now_ms)) if history.newest_ms else None


def _feature(one: DeclaredFeature, feature: Feature | None) -> Declared:
    return _declared(one, _reader(feature) if feature else _unknown)


def _reader(feature: Feature) -> Read:
    if feature.detector is not None:
        return lambda history, now_ms: detect(feature, history, now_ms)
    return lambda history, now_ms: compute(feature, history, now_ms)


def _compiled(one: DeclaredFeature) -> Feature:
    names = FIELDS[one.source_event]
    if one.of is not None and one.of not in MEASURES.get(one.source_event, ()):
        raise KeyError(one.of)
    if one.detector is not None and one.detector not in DETECTORS:
        raise KeyError(one.detector)
    return Feature(
        id=one.id,
        kind=one.source_event,
        measure=one.of or main_measure(one.source_event),
        counts=one.of is None,
        aggregate=one.aggregate,
        days=max(1, -(-(one.window or LONGEST_MS) // DAY_MS)),
        by=names.index(one.by) if one.by else None,
        matches=_matches(one.where, names) if one.where else None,
        currency=one.currency,
        detector=one.detector,
        parameters=one.parameters or {},
    )


def _matches(where: Mapping[str, Any], names: tuple[str, ...]) -> Matches:
    """The predicate over a series' fields. Raises ExpressionInvalid for a field that buckets do not keep."""
    expression = parse(where, {name: _type(name) for name in names})
    places = {name: names.index(name) for name in attributes(expression)}

    def matches(fields: tuple[str, ...]) -> bool:
        return evaluate(expression, lambda name: _value(name, fields[places[name]])) is True

    return matches


def _type(name: str) -> ValueType:
    return BOOL if name == CROSS_BORDER else STRING


def _value(name: str, text: str) -> Value | Missing:
    if name == CROSS_BORDER:
        return text == "1"
    return text or Missing.UNKNOWN
