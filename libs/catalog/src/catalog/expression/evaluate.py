"""The naive reference evaluator: walks the tree in strong Kleene logic and shares no code with any fast engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from catalog.expression.tree import AllOf, AnyOf, Expression, Not, Predicate, predicates
from catalog.values import Missing, Value

Truth = bool | None
"""True, False, or None for unknown."""

Lookup = Callable[[str], Value | Missing]

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda seen, value: seen == value,
    "ne": lambda seen, value: seen != value,
    "lt": lambda seen, value: seen < value,
    "lte": lambda seen, value: seen <= value,
    "gt": lambda seen, value: seen > value,
    "gte": lambda seen, value: seen >= value,
    "between": lambda seen, value: value[0] <= seen <= value[1],
    "in": lambda seen, value: seen in value,
    "not_in": lambda seen, value: seen not in value,
    "is": lambda seen, value: seen is value,
    "contains_any": lambda seen, value: not seen.isdisjoint(value),
    "contains_all": lambda seen, value: seen.issuperset(value),
    "contains_none": lambda seen, value: seen.isdisjoint(value),
    "empty": lambda seen, value: (not seen) is value,
}


def evaluate(expression: Expression, lookup: Lookup) -> Truth:
    """Whether it holds; None when what is missing leaves it open. `lookup` gives conforming values or a cause."""
    match expression:
        case Predicate():
            return _test(expression, lookup(expression.attribute))
        case Not(part):
            truth = evaluate(part, lookup)
            return None if truth is None else not truth
        case AllOf(parts):
            return _all([evaluate(part, lookup) for part in parts])
        case AnyOf(parts):
            return _any([evaluate(part, lookup) for part in parts])


def settle(truth: Truth, missing: Literal["pass", "fail"]) -> bool:
    """The end of a rule: unknown becomes what the rule says about missing values."""
    return missing == "pass" if truth is None else truth


def missing_causes(expression: Expression, lookup: Lookup) -> dict[str, Missing]:
    """Each attribute it reads that has no value, with the cause."""
    seen = {predicate.attribute: lookup(predicate.attribute) for predicate in predicates(expression)}
    return {attribute: value for attribute, value in seen.items() if isinstance(value, Missing)}


def _test(predicate: Predicate, seen: Value | Missing) -> Truth:
    absent = isinstance(seen, Missing)
    if predicate.op == "present":
        return not absent
    if predicate.op == "missing":
        return absent
    return None if absent else _TESTS[predicate.op](seen, predicate.value)


def _all(truths: list[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


def _any(truths: list[Truth]) -> Truth:
    if True in truths:
        return True
    return None if None in truths else False
