"""Reading one field of a request: what is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn, TypeVar

from servicekit.errors import Invalid

MOST_IN_SET: Final = 64
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_PURPOSE: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*")
_TIME_LIMIT: Final = 1 << 53

T = TypeVar("T")


def bad(field: str, text: str) -> NoReturn:
    """Raise Invalid for a field."""
    raise Invalid(text, field=field)


def bounded(values: Sequence[T], at: str, *, least: int = 0, most: int) -> Sequence[T]:
    """A list of a bounded length."""
    if not least <= len(values) <= most:
        bad(at, f"{least} to {most} are taken.")
    return values


def named(value: str, at: str) -> str:
    """An id. It is ASCII, so that no two look alike: no NUL, no surrogates, no bidirectional controls."""
    if not ID.fullmatch(value):
        bad(at, "An id of 1 to 128 letters, digits and ._:@/- is needed.")
    return value


def optional(value: str, at: str) -> str:
    """An id, or nothing."""
    return named(value, at) if value else ""


def if_named(value: str) -> str:
    """The value where it is an id; of a denial, what is none is left out."""
    return value if ID.fullmatch(value) else ""


def names(values: Iterable[str], at: str) -> tuple[str, ...]:
    """Ids, sorted and without repeats."""
    listed = bounded(list(values), at, most=MOST_IN_SET)
    return tuple(sorted({named(value, f"{at}[{number}]") for number, value in enumerate(listed)}))


def purpose(value: str, at: str) -> str:
    """A purpose's id."""
    if len(value) > 128 or not _PURPOSE.fullmatch(value):
        bad(at, "A purpose's id is needed.")
    return value


def time(value: int, at: str) -> int:
    """Epoch microseconds."""
    if not 0 <= value < _TIME_LIMIT:
        bad(at, "Epoch microseconds are needed.")
    return value
