"""What may come in: every refusal names its field, and never the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from servicekit.errors import Invalid

LONGEST = 256
LATEST_MS = 7_258_118_400_000
"""The year 2200: nobody means a later time, and calendars end."""


Number = TypeVar("Number", bound=int)


class _Enum(Protocol):
    def values(self) -> Sequence[int]: ...


def text(value: str, field: str, *, longest: int = LONGEST) -> str:
    """1 to `longest` characters that print; PostgreSQL takes no NUL, and nobody an unseen character in an id."""
    if not 0 < len(value) <= longest:
        raise Invalid(f"1 to {longest} characters are needed.", reason="BAD_TEXT", field=field)
    if not value.isprintable():
        raise Invalid("Only printable characters may be in here.", reason="BAD_TEXT", field=field)
    return value


def texts(values: Sequence[str], field: str, *, most: int) -> Sequence[str]:
    """1 to `most` texts."""
    counted(values, field, most=most)
    return [text(value, f"{field}[{place}]") for place, value in enumerate(values)]


def counted(values: Sequence[object], field: str, *, most: int, least: int = 1) -> None:
    """From `least` to `most` of them."""
    if not least <= len(values) <= most:
        raise Invalid(f"{least} to {most} are needed.", reason="BAD_COUNT", field=field)


def moment(value: int, field: str) -> int:
    """A time after 1970 and before 2200."""
    if not 0 < value < LATEST_MS:
        raise Invalid("Epoch milliseconds are needed.", reason="BAD_TIME", field=field)
    return value


def known(value: Number, enum: _Enum, field: str) -> Number:
    """A number that the enumeration has."""
    if value not in enum.values():
        raise Invalid("No such value.", reason="UNKNOWN_VALUE", field=field)
    return value
