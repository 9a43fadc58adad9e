"""Predicates as closures: two-valued tests that say "certainly true".

Theory: under strong Kleene logic a match counts only when it is true. Pushing negation down to the single tests and
asking each "is this certainly true (or certainly false)?" gives the same answer as evaluating three values and settling
unknown as "no match" at the root, with plain `and` and `or`. A property test holds this against `catalog.expression.evaluate`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from automaton.facts import Fields
from catalog.expression import AllOf, AnyOf, Expression, Not, Predicate
from catalog.values import Missing, conform

Test = Callable[[Fields], bool]

_NEGATED = {
    "eq": "ne", "ne": "eq", "lt": "gte", "gte": "lt", "gt": "lte", "lte": "gt", "in": "not_in", "not_in": "in",
    "present": "missing", "missing": "present",
}  # fmt: skip
_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge, "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip


def compiled(expression: Expression) -> Test:
    """A function that says whether the expression is certainly true of a fact's fields; it never raises."""
    return _true(expression, wanted=True)


def _true(expression: Expression, *, wanted: bool) -> Test:
    match expression:
        case Predicate():
            return _test(expression, wanted=wanted)
        case Not(part):
            return _true(part, wanted=not wanted)
        case AllOf(parts):
            tests = tuple(_true(part, wanted=wanted) for part in parts)
            return _all(tests) if wanted else _any(tests)
        case AnyOf(parts):
            tests = tuple(_true(part, wanted=wanted) for part in parts)
            return _any(tests) if wanted else _all(tests)


def _all(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda fields: first(fields) and second(fields)
    return lambda fields: all(test(fields) for test in tests)


def _any(tests: tuple[Test, ...]) -> Test:
    return lambda fields: any(test(fields) for test in tests)


def _test(predicate: Predicate, *, wanted: bool) -> Test:
    name, op, value, declared = predicate.attribute, predicate.op, predicate.value, predicate.type

    def present(fields: Fields) -> bool:
        return name in fields and not isinstance(conform(fields[name], declared), Missing)

    if op in {"present", "missing"}:
        return present if (op == "present") is wanted else lambda fields: not present(fields)
    if op in {"is", "empty"} and declared.kind == "bool":
        sought = value if wanted else not value
        return lambda fields: fields.get(name) is sought
    if not wanted and op in _NEGATED:
        return _test(Predicate(name, _NEGATED[op], value, declared), wanted=True)
    return _of_numbers(name, op, value, wanted) if declared.numeric else _of_tokens(name, op, value)


def _of_tokens(name: str, op: str, value: Any) -> Test:
    if op == "eq":
        return lambda fields: fields.get(name) == value
    if op == "ne":
        return lambda fields: isinstance(seen := fields.get(name), str) and seen != value
    values = frozenset(value)
    if op == "in":
        return lambda fields: fields.get(name) in values
    if op == "not_in":
        return lambda fields: isinstance(seen := fields.get(name), str) and seen not in values
    raise NotImplementedError(f"a fact has no sets: {op} of {name}")


def _of_numbers(name: str, op: str, value: Any, wanted: bool) -> Test:
    if op == "between":
        low, high = value
        return lambda fields: type(seen := fields.get(name)) is int and (low <= seen <= high) is wanted
    if op in {"in", "not_in"}:
        values = frozenset(value)
        inside = op == "in"
        return lambda fields: type(seen := fields.get(name)) is int and (seen in values) is inside
    compare = _ORDER[op]
    return lambda fields: type(seen := fields.get(name)) is int and compare(seen, value)
