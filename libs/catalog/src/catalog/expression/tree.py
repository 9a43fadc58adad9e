"""The tree of a typed expression."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from catalog.values import ValueType

Operand = int | bool | str | tuple[int, ...] | tuple[str, ...] | None

ORDERED_OPS = frozenset({"lt", "lte", "gt", "gte", "between"})
NUMBER_OPS = ORDERED_OPS | {"eq", "ne", "in", "not_in"}
TOKEN_OPS = frozenset({"eq", "ne", "in", "not_in"})
SET_OPS = frozenset({"contains_any", "contains_all", "contains_none", "empty"})
EXISTENCE_OPS = frozenset({"present", "missing"})


@dataclass(frozen=True, slots=True)
class Predicate:
    """One test of one attribute.

    `value` by `op`: eq ne lt lte gt gte: one operand; between: (low, high), both included; in, not_in, contains_*: a
    sorted tuple; is, empty: a bool; present, missing: None.
    """

    attribute: str
    op: str
    value: Operand
    type: ValueType


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part must hold; never empty."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One part must hold; never empty."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part must be false."""

    part: Expression


Expression = AllOf | AnyOf | Not | Predicate


def predicates(expression: Expression) -> Iterator[Predicate]:
    """Every predicate, from left to right."""
    match expression:
        case Predicate():
            yield expression
        case Not(part):
            yield from predicates(part)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from predicates(part)


def attributes(expression: Expression) -> frozenset[str]:
    """The attributes that the expression reads."""
    return frozenset(predicate.attribute for predicate in predicates(expression))
