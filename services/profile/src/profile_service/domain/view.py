"""What a reader gets to see: every declared field is either given, labelled with the purposes that may use it, or withheld.

A field is given only when the basis pairs one of its purposes with the field's category. Consent is looked at before
anything else, so that "nothing is known" is never said about a field whose category is not covered.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Reading, Value
from profile_service.domain.history import History

Read = Callable[[History, int], Reading | None]


class Withheld(enum.Enum):
    """Why a field is absent."""

    UNKNOWN = "unknown"
    NO_CONSENT = "no_consent"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Declared:
    """A field as the bundle's data catalog declares it. `kind` is its value type; `read` computes it.

    `needs` holds the categories that a purpose must cover to see it, for a field that says something about other fields too.
    """

    id: str
    kind: str
    currency: str | None
    category: str
    freshness_ms: int | None
    read: Read
    needs: frozenset[str] = frozenset()

    def purposes(self, allowed: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
        """The purposes, sorted, that may see it."""
        needs = self.needs | {self.category}
        return tuple(sorted(purpose for purpose, categories in allowed.items() if needs <= categories))


@dataclass(frozen=True, slots=True)
class Given:
    """A field that the reader may see."""

    id: str
    kind: str
    currency: str | None
    category: str
    value: Value
    as_of_ms: int
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """What is given and what is withheld, each sorted by name."""

    given: Sequence[Given]
    withheld: Sequence[tuple[str, Withheld]]


def remembered(declared: Declared, history: History, now_ms: int) -> Reading | None:
    """The field's reading. Nothing of a history that ends before now depends on more of now than the day."""
    if history.newest_ms > now_ms:
        return declared.read(history, now_ms)
    key = (declared.read, now_ms // DAY_MS)
    if key not in history.memo:
        history.memo[key] = declared.read(history, now_ms)
    return cast("Reading | None", history.memo[key])


def conforms(value: Value, kind: str) -> bool:
    """Whether a value is of the declared kind; one that is not is served as unknown."""
    match kind:
        case "bool":
            return isinstance(value, bool)
        case "set":
            return isinstance(value, frozenset)
        case "enum" | "string":
            return isinstance(value, str)
        case _:
            return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def judge(declared: Declared, reading: Reading | None, now_ms: int) -> Reading | Withheld:
    """The reading, or why it is not served."""
    if reading is None or not conforms(reading.value, declared.kind):
        return Withheld.UNKNOWN
    old = declared.freshness_ms is not None and now_ms - reading.as_of_ms > declared.freshness_ms
    return Withheld.STALE if old else reading


def view(
    fields: Iterable[Declared],
    readings: Callable[[Declared], Reading | None],
    allowed: Mapping[str, frozenset[str]],
    *,
    now_ms: int,
) -> View:
    """The view of `fields`, which come sorted by name, under what the basis allows."""
    covered: dict[tuple[str, frozenset[str]], tuple[str, ...]] = {}
    given: list[Given] = []
    withheld: list[tuple[str, Withheld]] = []
    for one in fields:
        key = (one.category, one.needs)
        purposes = covered[key] if key in covered else covered.setdefault(key, one.purposes(allowed))
        found = judge(one, readings(one), now_ms) if purposes else Withheld.NO_CONSENT
        if isinstance(found, Withheld):
            withheld.append((one.id, found))
        else:
            given.append(Given(one.id, one.kind, one.currency, one.category, found.value, found.as_of_ms, purposes))
    return View(given, withheld)


def holds(history: History, shown: View, fields: Iterable[Declared], now_ms: int) -> range:
    """The times at which the view of this history, shown at `now_ms`, is the same.

    That is until something gets stale, within the day, and not before the latest event (see `remembered`); what was found stale may
    have been fresh just before, and stays stale.
    """
    if history.newest_ms > now_ms:
        return range(now_ms, now_ms + 1)
    limits = {one.id: one.freshness_ms for one in fields}
    ends = [one.as_of_ms + limit + 1 for one in shown.given if (limit := limits[one.id]) is not None]
    today = now_ms // DAY_MS * DAY_MS
    stale = any(why is Withheld.STALE for _, why in shown.withheld)
    return range(now_ms if stale else max(today, history.newest_ms), min([today + DAY_MS, *ends]))
