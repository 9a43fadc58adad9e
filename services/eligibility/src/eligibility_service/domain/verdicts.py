"""Requirements as functions: compiled once per bundle, and asked why they failed.

Strong Kleene logic: True, False, or None for unknown. Negation is pushed onto the predicates (negation normal form), so a form is
made of tests joined by `all` and `any`, and settling what is unknown at the tests equals settling it at the root.
`catalog.expression.evaluate` walks the raw tree instead; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catalog.expression import AllOf, AnyOf, Expression, Not, Operand, Predicate
from catalog.values import Missing, Value

Truth = bool | None
Found = Value | Missing
Read = Callable[[str], Found]
"""Gives an attribute's value, or the cause of its absence."""

_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda seen, value: seen == value,
    "ne": lambda seen, value: seen != value,
    "lt": lambda seen, value: seen < value,
    "lte": lambda seen, value: seen <= value,
    "gt": lambda seen, value: seen > value,
    "gte": lambda seen, value: seen >= value,
    "between": lambda seen, value: value[0] <= seen <= value[1],
    "not between": lambda seen, value: not value[0] <= seen <= value[1],
    "in": lambda seen, value: seen in value,
    "not_in": lambda seen, value: seen not in value,
    "is": lambda seen, value: seen is value,
    "contains_any": lambda seen, value: not seen.isdisjoint(value),
    "contains_none": lambda seen, value: seen.isdisjoint(value),
    "contains_all": lambda seen, value: seen.issuperset(value),
    "not contains_all": lambda seen, value: not seen.issuperset(value),
    "empty": lambda seen, value: (not seen) is value,
}

_PAIRS = (
    ("eq", "ne"),
    ("lt", "gte"),
    ("gt", "lte"),
    ("in", "not_in"),
    ("between", "not between"),
    ("contains_any", "contains_none"),
    ("contains_all", "not contains_all"),
    ("present", "missing"),
)
_OPPOSITES = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """One predicate. `needed` says in words of the policy language what would pass it. Equal to itself only, so that it is a quick key."""

    attribute: str
    holds: Callable[[Any, Any], bool]
    value: Operand
    needed: str

    def __call__(self, read: Read) -> Truth:
        """What can be said of it."""
        seen = read(self.attribute)
        return None if isinstance(seen, Missing) else self.holds(seen, self.value)

    def blame(self, read: Read, truth: Truth) -> Test:  # noqa: ARG002  # as in Joined
        """Itself."""
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Existence(Test):
    """`present` or `missing`, which are never unknown."""

    def __call__(self, read: Read) -> bool:
        """Whether there is a value, or none."""
        return isinstance(read(self.attribute), Missing) is (self.needed == "missing")


@dataclass(frozen=True, slots=True)
class Joined:
    """`all` is settled by one false part, `any` by one true part; otherwise an unknown part leaves it open."""

    settling: bool
    parts: tuple[Form, ...]

    def __call__(self, read: Read) -> Truth:
        """What can be said of it."""
        truth: Truth = not self.settling
        for part in self.parts:
            found = part(read)
            if found is self.settling:
                return found
            if found is None:
                truth = None
        return truth

    def blame(self, read: Read, truth: Truth) -> Test:
        """The leftmost test that made it what it is: false, or unknown."""
        return next(part for part in self.parts if part(read) is truth).blame(read, truth)


Form = Test | Joined


def normal_form(expression: Expression, *, negated: bool = False) -> Form:
    """The expression, or its opposite, without negation."""
    match expression:
        case Not(part):
            return normal_form(part, negated=not negated)
        case AllOf(parts) | AnyOf(parts):
            settling = isinstance(expression, AnyOf) is not negated
            return Joined(settling, tuple(normal_form(part, negated=negated) for part in parts))
        case Predicate():
            return _test(expression, negated=negated)


def _test(predicate: Predicate, *, negated: bool) -> Test:
    op, value = predicate.op, predicate.value
    if negated and isinstance(value, bool):
        value = not value
    elif negated:
        op = _OPPOSITES[op]
    if op in {"present", "missing"}:
        return Existence(predicate.attribute, _never, None, op)
    return Test(predicate.attribute, _TESTS[op], value, f"{op} {_words(value)}")


def _never(_seen: object, _value: object) -> bool:
    raise AssertionError("existence is not a test of a value")


def _words(value: Operand) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()
