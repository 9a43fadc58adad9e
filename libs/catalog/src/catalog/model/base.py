"""The shapes every part of the model is made of: frozen, closed, whole numbers only."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    StringConstraints,
)

from catalog.durations import parse_duration
from catalog.expression.parse import instant


class Model(BaseModel):
    """Part of a bundle: immutable, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, hide_input_in_errors=True)


Token = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name without dots."""

Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*$", max_length=128)]
"""A name, with dots where it has levels."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True)]
"""Prose for people who read the catalog."""

Int = Annotated[int, Strict()]
Bool = Annotated[bool, Strict()]
Percent = Annotated[int, Strict(), Field(ge=-100, le=900)]
Share = Annotated[int, Strict(), Field(ge=0, le=10_000)]
"""Basis points of a whole."""


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else value


def _natural(value: int) -> int:
    # Not Field(ge=0): pydantic would let it replace the stricter bound of a field.
    if value < 0:
        raise ValueError("a duration is not negative")
    return value


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    milliseconds = instant(value)
    if milliseconds is None:
        raise ValueError(f"{value!r} is not a date, nor a time with a zone")
    return milliseconds


def _decimal(value: object) -> object:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise ValueError("a decimal number is needed")  # noqa: TRY004  # pydantic turns ValueError into a finding
    try:
        return Decimal(value).normalize()
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None


def _decimal_text(value: Decimal) -> str:
    return format(value, "f")


Duration = Annotated[int, Strict(), BeforeValidator(_duration), AfterValidator(_natural)]
"""Milliseconds; written as `7d` in YAML and as the number in canonical JSON."""

Instant = Annotated[int, Strict(), BeforeValidator(_instant)]
"""Milliseconds UTC; written as an ISO 8601 date or time in YAML and as the number in canonical JSON."""

Number = Annotated[
    Decimal, BeforeValidator(_decimal), Field(allow_inf_nan=False), PlainSerializer(_decimal_text, return_type=str)
]
"""An exact decimal; canonical JSON writes it as text without trailing zeros, because it has no fractions."""

Category = Literal[
    "identity", "demographic", "holding", "transaction", "behaviour", "interaction", "location", "inferred", "sensitive"
]
"""Data categories of architecture.md; every field has exactly one."""

ActionKind = Literal["guidance", "alert", "offer", "nudge", "handoff", "layout"]
ContactClass = Literal["marketing", "service", "fraud", "regulatory"]
Jurisdiction = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Locale = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[A-Z]{2})?$")]
Clock = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
