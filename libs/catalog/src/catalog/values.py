"""Types and values of attributes: whole numbers, booleans, identifiers and sets of them; or missing, with a cause."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["int", "money", "ratio", "time", "bool", "enum", "string", "set"]
Value = int | bool | str | frozenset[str]
NUMERIC = frozenset({"int", "money", "ratio", "time"})
LIMIT = 1 << 63


class Missing(enum.Enum):
    """Why there is no value (eligibility.md section 5). It is never equal to a value and never true."""

    UNKNOWN = "unknown"
    NO_CONSENT = "no_consent"
    STALE = "stale"
    MISMATCH = "mismatch"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class ValueType:
    """What an attribute may hold. Money is minor units of `currency`, a ratio basis points, a time ms UTC."""

    kind: Kind
    currency: str | None = None
    values: tuple[str, ...] = field(default=())

    @property
    def numeric(self) -> bool:
        """Whether values of this type are ordered whole numbers."""
        return self.kind in NUMERIC


INT = ValueType("int")
RATIO = ValueType("ratio")
TIME = ValueType("time")
BOOL = ValueType("bool")
STRING = ValueType("string")


def conform(value: object, declared: ValueType) -> Value | Missing:
    """The value as evaluators take it, or MISMATCH when it is not of the declared type."""
    if declared.numeric:
        return value if _is_int64(value) else Missing.MISMATCH  # type: ignore[return-value]  # the guard says int
    if declared.kind == "bool":
        return value if isinstance(value, bool) else Missing.MISMATCH
    if declared.kind == "set":
        return _conform_set(value)
    return value if isinstance(value, str) else Missing.MISMATCH


def _is_int64(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -LIMIT <= value < LIMIT


def _conform_set(value: object) -> frozenset[str] | Missing:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return Missing.MISMATCH
    members = tuple(value)
    return frozenset(members) if all(isinstance(member, str) for member in members) else Missing.MISMATCH
