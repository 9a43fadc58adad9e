"""The fold: a function of the set of a subject's events, whatever the order they come in and however often.

A subject's state is a few rows, so that an event rewrites a small one and not a year: segments of 32 days hold daily
buckets of each series, and one row holds the registers. A bucket is `[at, tie, last]` for one event (milliseconds of
the day, tie breaker, value) and `[at, tie, last, count, sum, min, max]` for more; all are whole numbers. Adding is
commutative and associative and registers take the greatest (time, tie, value), which is why order cannot matter.
Repeats are told apart by the event's key before they get here (`fresh`); nothing is ever dropped for its age, a window
simply does not look at it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, MutableMapping, Sequence
from typing import Any, Final

from profile_service.domain.facts import DAY_MS, FIRST, Fact, Registered

SEGMENT_DAYS: Final = 32
REGISTERS: Final = -1
"""The number of the row that holds the registers; segments count from 0 in 1970."""

Row = dict[str, Any]
"""Of a segment: series -> day of the segment, as text -> bucket. Of registers: key -> [at_ms, tie, value]."""

Bucket = list[int]
AT, TIE, LAST, COUNT, SUM, MIN, MAX = range(7)
_NAMES: Final = tuple(str(day) for day in range(SEGMENT_DAYS))


def segment_of(at_ms: int) -> int:
    """The segment of a time."""
    return at_ms // (DAY_MS * SEGMENT_DAYS)


def touched(fact: Fact) -> tuple[int, ...]:
    """The rows that this fact changes."""
    rows: tuple[int, ...] = (segment_of(fact.at_ms),) if fact.observations else ()
    return (*rows, REGISTERS) if fact.registers else rows


def fresh(facts: Iterable[Fact], known: Container[bytes]) -> list[Fact]:
    """The facts that are not known, each once."""
    once = {fact.key: fact for fact in facts if fact.key not in known}
    return list(once.values())


def add(rows: MutableMapping[int, Row], fact: Fact) -> None:
    """Fold one fresh fact into the rows that it touches."""
    day, at = divmod(fact.at_ms, DAY_MS)
    tie = fact.tie
    if fact.observations:
        segment, offset = divmod(day, SEGMENT_DAYS)
        row = rows.setdefault(segment, {})
        for series, value in fact.observations:
            _observe(row.setdefault(series, {}), _NAMES[offset], at, tie, value)
    if fact.registers:
        row = rows.setdefault(REGISTERS, {})
        for key, register in fact.registers:
            _register(row, key, [fact.at_ms, tie, register])


def _observe(days: dict[str, Bucket], name: str, at: int, tie: int, value: int) -> None:
    bucket = days.get(name)
    if bucket is None:
        days[name] = [at, tie, value]
        return
    _widen(bucket)
    bucket[COUNT] += 1
    bucket[SUM] += value
    if value < bucket[MIN]:
        bucket[MIN] = value
    elif value > bucket[MAX]:
        bucket[MAX] = value
    if at > bucket[AT] or (at == bucket[AT] and (tie, value) > (bucket[TIE], bucket[LAST])):
        bucket[AT], bucket[TIE], bucket[LAST] = at, tie, value


def _widen(bucket: Bucket) -> Bucket:
    if len(bucket) == 3:
        value = bucket[LAST]
        bucket += (1, value, value, value)
    return bucket


def _register(row: Row, key: str, new: list[Any]) -> None:
    old = row.get(key)
    if old is None or _wins(key, new, old):
        row[key] = new


def _wins(key: str, new: Sequence[Any], old: Sequence[Any]) -> bool:
    ordered = (new[0], new[1], _text(new[2])) > (old[0], old[1], _text(old[2]))
    return ordered is not key.startswith(FIRST)


def _text(value: Registered) -> str:
    return repr(value)


def folded(facts: Iterable[Fact]) -> dict[int, Row]:
    """The rows of these facts."""
    rows: dict[int, Row] = {}
    for fact in fresh(facts, ()):
        add(rows, fact)
    return rows


def union(rows: MutableMapping[int, Row], others: MutableMapping[int, Row]) -> None:
    """Add what `others` hold to `rows`; the two have no event in common."""
    for number, other in others.items():
        row = rows.setdefault(number, {})
        for key, value in other.items():
            if number == REGISTERS:
                _register(row, key, list(value))
            else:
                _add_days(row.setdefault(key, {}), value)


def _add_days(days: dict[str, Bucket], others: dict[str, Bucket]) -> None:
    for name, other in others.items():
        bucket = days.get(name)
        days[name] = list(other) if bucket is None else _joined(bucket, other)


def _joined(one: Bucket, two: Bucket) -> Bucket:
    a, b = _widen(list(one)), _widen(list(two))
    latest = max(a[:COUNT], b[:COUNT])
    return [*latest, a[COUNT] + b[COUNT], a[SUM] + b[SUM], min(a[MIN], b[MIN]), max(a[MAX], b[MAX])]
