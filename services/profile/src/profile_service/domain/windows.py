"""Days added up: buckets of a window, and levels that hold until the next report. Whole numbers only."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from profile_service.domain.facts import DAY_MS
from profile_service.domain.fold import AT, COUNT, LAST, MAX, MIN, SUM, TIE, Bucket
from profile_service.domain.history import Series


class Total(NamedTuple):
    """Buckets added up. `last` is (time, tie, value)."""

    events: int
    sum: int
    low: int
    high: int
    last: tuple[int, int, int]


class Window(NamedTuple):
    """The days that count, and the time it is."""

    first: int
    last: int
    now_ms: int


def window(days: int, now_ms: int) -> Window:
    """The window of so many days that ends today."""
    today = now_ms // DAY_MS
    return Window(today - days + 1, today, now_ms)


def total(series: list[Series], first: int, last: int) -> Total | None:
    """All buckets of these days added up; None when there is none. The hot loop of a view, hence without calls."""
    count = amount = low = high = 0
    latest = (-1, 0, 0)
    for _key, _fields, days, buckets in series:
        if not days or days[-1] < first:
            continue
        start, end = bisect_left(days, first), bisect_right(days, last)
        if start == end:
            continue
        if not count:
            low = high = buckets[start][LAST]
        for bucket in buckets[start:end]:
            if len(bucket) == 3:
                n, added = 1, bucket[LAST]
                least = most = added
            else:
                _, _, _, n, added, least, most = bucket
            count += n
            amount += added
            low = min(low, least)
            high = max(high, most)
        newest = buckets[end - 1]
        latest = max(latest, (days[end - 1] * DAY_MS + newest[AT], newest[TIE], newest[LAST]))
    return Total(count, amount, low, high, latest) if count else None


def _numbers(bucket: Bucket) -> tuple[int, int, int, int]:
    if len(bucket) == 3:
        return 1, bucket[LAST], bucket[LAST], bucket[LAST]
    return bucket[COUNT], bucket[SUM], bucket[MIN], bucket[MAX]


def levels(series: Series, first: int, last: int) -> Iterator[tuple[int, int, int, int]]:
    """Stretches of days with one closing level: (days, closing, lowest, highest), carried forward from before `first`."""
    before = series.before(first)
    level = before[1][LAST] if before else None
    day = first
    for changed, bucket in series.within(first, last):
        if level is not None and changed > day:
            yield changed - day, level, level, level
        _, _, low, high = _numbers(bucket)
        known = (low, high) if level is None else (min(low, level), max(high, level))
        level, day = bucket[LAST], changed + 1
        yield 1, level, *known
    if level is not None and last >= day:
        yield last - day + 1, level, level, level


def level_total(series: Series, at: Window) -> Total | None:
    """As `total`, of a level: `count` is days and `sum` their closings."""
    stretches = list(levels(series, at.first, at.last))
    newest = series.before(at.last + 1)
    if not stretches or newest is None:
        return None
    day, bucket = newest
    return Total(
        events=sum(days for days, *_ in stretches),
        sum=sum(days * closing for days, closing, *_ in stretches),
        low=min(low for _, _, low, _ in stretches),
        high=max(high for *_, high in stretches),
        last=(day * DAY_MS + bucket[AT], bucket[TIE], bucket[LAST]),
    )
