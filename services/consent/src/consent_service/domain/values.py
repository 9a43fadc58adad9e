"""Reading one value of a registry document at a time: what is wrong is named, what is not known refused, lists are sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from consent_service.domain.words import CATEGORIES, Basis
from servicekit.errors import Invalid

LONGEST_TEXT: Final = 4000
_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*")
_LIMIT: Final = 1 << 53

T = TypeVar("T")


def bad(field: str, text: str) -> NoReturn:
    """Raise Invalid REGISTRY_INVALID for a field."""
    raise Invalid(text, field=field, reason="REGISTRY_INVALID")


def fields(value: Any, at: str, known: Mapping[str, bool]) -> Mapping[str, Any]:
    """An object with these fields and no others; True marks one that must be there."""
    if not isinstance(value, dict):
        bad(at, "An object is needed.")
    missing = sorted(name for name, needed in known.items() if needed and name not in value)
    strange = sorted(set(value) - set(known))
    if missing or strange:
        bad(f"{at}.{(missing or strange)[0]}"[:200], "The field is missing." if missing else "The field is not known.")
    return value


def each(found: Mapping[str, Any], name: str, make: Callable[[Any, str], T], key: Callable[[T], Any]) -> dict[Any, T]:
    """A list of objects, sorted by their key."""
    values = found[name]
    if not isinstance(values, list):
        bad(f"document.{name}", "A list is needed.")
    made = [make(value, f"document.{name}[{number}]") for number, value in enumerate(values)]
    keys = [key(item) for item in made]
    in_order(keys, f"document.{name}")
    return dict(zip(keys, made, strict=True))


def in_order(values: Sequence[Any], at: str) -> None:
    """Raise unless sorted and without repeats."""
    if any(one >= other for one, other in pairwise(values)):
        bad(at, "The list is sorted and has no repeats.")


def texts(values: Any, at: str) -> tuple[str, ...]:
    """A sorted list of texts."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        bad(at, "A list of texts is needed.")
    in_order(values, at)
    return tuple(values)


def ids(found: Mapping[str, Any], at: str, name: str) -> tuple[str, ...]:
    """A sorted list of ids."""
    return tuple(id_(value, f"{at}.{name}") for value in texts(found[name], f"{at}.{name}"))


def categories(found: Mapping[str, Any], at: str) -> tuple[str, ...]:
    """A sorted list of data categories."""
    at = f"{at}.categories"
    return tuple(one_of(value, at, CATEGORIES) for value in texts(found["categories"], at))


def map_(value: Any, at: str) -> dict[str, str]:
    """Texts by id."""
    return {id_(key, at): text(inner, at, LONGEST_TEXT) for key, inner in object_(value, at).items()}


def object_(value: Any, at: str) -> dict[str, Any]:
    """Any object."""
    if not isinstance(value, dict):
        bad(at, "An object is needed.")
    return value


def basis(value: Any, at: str) -> Basis:
    """A lawful basis."""
    return Basis(one_of(value, at, tuple(Basis)))


def one_of(value: Any, at: str, known: Sequence[str]) -> str:
    """A word of a closed list."""
    if value not in known:
        bad(at, "The word is not known.")
    return str(value)


def id_(value: Any, at: str) -> str:
    """An id."""
    return matching(value, at, _ID)


def matching(value: Any, at: str, pattern: re.Pattern[str]) -> str:
    """A text of a form."""
    if not pattern.fullmatch(text(value, at, 128)):
        bad(at, "The text does not have the form that is needed.")
    return str(value)


def text(value: Any, at: str, longest: int) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        bad(at, "A text of a bounded length is needed.")
    return value


def whole(value: Any, at: str, least: int = 0) -> int:
    """A whole number below 2^53."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < _LIMIT:
        bad(at, "A whole number in range is needed.")
    return value


def flag(value: Any, at: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        bad(at, "True or false is needed.")
    return value
