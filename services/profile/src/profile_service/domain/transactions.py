"""What detectors of payments share: a transaction series' fields, and its payments day by day."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from profile_service.domain.cadence import Payment
from profile_service.domain.facts import FIELDS
from profile_service.domain.fold import LAST, SUM
from profile_service.domain.history import History, Series
from profile_service.domain.windows import Window

_TRANSACTION: Final = {name: place for place, name in enumerate(FIELDS["transaction"])}


def field(series: Series, name: str) -> str:
    """A field of a transaction series."""
    return series.fields[_TRANSACTION[name]]


def payments_of(series: Iterable[Series], at: Window) -> list[Payment]:
    """What was paid in all these series on each day until now, in order."""
    days: dict[int, int] = {}
    for one in series:
        for day, bucket in one.within(0, at.last):
            days[day] = days.get(day, 0) + (bucket[LAST] if len(bucket) == 3 else bucket[SUM])
    return [Payment(day, days[day]) for day in sorted(days)]


def once(history: History, key: object, compute: Callable[[], Any]) -> Any:
    """Several features ask the same of one history: answer once."""
    if key not in history.memo:
        history.memo[key] = compute()
    return history.memo[key]


def keys_of(series: Iterable[Series]) -> frozenset[str]:
    """What tells this set of series from another."""
    return frozenset(one.key for one in series)
