"""Signal definitions beyond their shape: expansion of sets, field types, matches, needs and hashes (signals.md 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from catalog.digest import canonical
from catalog.expression import Expression, attributes, parse
from catalog.findings import Finding
from catalog.model.signals import SignalDefinition
from catalog.source import Path, Sources
from catalog.values import ValueType

CRITICAL_STEPS = "critical_steps"
_PROSE = frozenset({"title", "why", "owner", "examples"})
DEFAULT_EMIT = ("screen", "flow", "step", "target", "product")
MEASURES = ("count", "value", "switches", "waited_ms")


@dataclass(frozen=True, slots=True)
class ParsedMatch:
    """A match taken apart: fact types, or a signal, and the predicate over its fields (None: any)."""

    types: tuple[str, ...]
    signal: str | None
    where: Expression | None

    @property
    def fields(self) -> frozenset[str]:
        """The fields it reads."""
        return attributes(self.where) if self.where else frozenset()


def parse_match(match: Mapping[str, object], fields: Mapping[str, ValueType]) -> ParsedMatch:
    """The match, typed; raises ExpressionInvalid. `fields` are those a fact may have (names, and `attr.<name>`)."""
    types, signal = match.get("type", ()), match.get("signal")
    rest = {key: value for key, value in match.items() if key not in {"type", "signal"}}
    where = parse(rest, fields) if rest else None
    return ParsedMatch((types,) if isinstance(types, str) else _texts(types), str(signal) if signal else None, where)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(part) for part in value) if isinstance(value, list | tuple) else ()


def definition_hash(definition: SignalDefinition) -> str:
    """Hex SHA-256 of the definition without its prose and examples; state and detections belong to it."""
    data = definition.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_PROSE))
    return hashlib.sha256(canonical(data)).hexdigest()


def expand(data: dict[str, object], sources: Sources) -> tuple[dict[str, object], list[Finding]]:
    """The merged data with every `$set` of its signals replaced by the set's values."""
    sets = {**_sets(data), CRITICAL_STEPS: critical_steps(data)}
    found: list[Finding] = []
    signals = data.get("signals", [])
    expanded = [_replace(item, sets, ("signals", index), sources, found) for index, item in enumerate(_list(signals))]
    return ({**data, "signals": expanded} if expanded else data), found


def critical_steps(data: Mapping[str, object]) -> list[object]:
    """The critical steps of raw journeys, sorted, or the set of that name when there are no journeys."""
    steps = {
        str(step.get("id"))
        for journey in _list(data.get("journeys", []))
        if isinstance(journey, Mapping)
        for step in _list(journey.get("steps", []))
        if isinstance(step, Mapping) and step.get("critical") is True
    }
    found: list[object] = [*sorted(steps)]
    return found or _sets(data).get(CRITICAL_STEPS, [])


def _sets(data: Mapping[str, object]) -> dict[str, list[object]]:
    sets = data.get("sets", {})
    return {name: _list(values) for name, values in sets.items()} if isinstance(sets, Mapping) else {}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _replace(
    value: object, sets: Mapping[str, list[object]], path: Path, sources: Sources, found: list[Finding]
) -> object:
    if isinstance(value, Mapping):
        return {key: _replace(part, sets, (*path, key), sources, found) for key, part in value.items()}
    if isinstance(value, list):
        return list(_members(value, sets, path, sources, found))
    if isinstance(value, str) and value.startswith("$") and path[-1] not in _PROSE:
        return _named(value[1:], sets, path, sources, found)
    return value


def _members(
    values: list[object], sets: Mapping[str, list[object]], path: Path, sources: Sources, found: list[Finding]
) -> Iterator[object]:
    for index, value in enumerate(values):
        replaced = _replace(value, sets, (*path, index), sources, found)
        if isinstance(value, str) and value.startswith("$") and isinstance(replaced, list):
            yield from replaced
        else:
            yield replaced


def _named(name: str, sets: Mapping[str, list[object]], path: Path, sources: Sources, found: list[Finding]) -> object:
    if name in sets:
        return sets[name]
    fix = f"declare it under sets, or use one of {' '.join(sorted(sets))}"
    found.append(Finding("UNKNOWN_SET", "error", f"${name} is not a set", fix, sources.position(path)))
    return []
