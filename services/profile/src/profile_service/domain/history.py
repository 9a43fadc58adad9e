"""A subject's rows as features read them: series with their days in order, and registers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from profile_service.domain.facts import DAY_MS, SEPARATOR
from profile_service.domain.fold import AT, REGISTERS, SEGMENT_DAYS, Bucket, Row


class Series(NamedTuple):
    """One series: the values of its fields, its days since 1970 in order, and their buckets."""

    key: str
    fields: tuple[str, ...]
    days: list[int]
    buckets: list[Bucket]

    def within(self, first: int, last: int) -> Iterator[tuple[int, Bucket]]:
        """The days from `first` to `last`, both included."""
        low, high = bisect_left(self.days, first), bisect_right(self.days, last)
        return zip(self.days[low:high], self.buckets[low:high], strict=True)

    def before(self, day: int) -> tuple[int, Bucket] | None:
        """The last day before `day`."""
        index = bisect_left(self.days, day) - 1
        return (self.days[index], self.buckets[index]) if index >= 0 else None


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is known of a subject. `newest_ms` is the time of its latest event, 0 without any."""

    series: Mapping[tuple[str, str], list[Series]]
    registers: Row
    newest_ms: int
    memo: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)
    """What several features share, computed once per history."""

    def of(self, kind: str, measure: str) -> list[Series]:
        """The series of an event type and measure."""
        return self.series.get((kind, measure), [])

    def register(self, group: str, name: str) -> tuple[int, Any] | None:
        """A register: when it was said, and its value."""
        found = self.registers.get(f"{group}{SEPARATOR}{name}")
        return None if found is None else (found[0], found[2])

    def group(self, name: str) -> Iterator[tuple[str, int, Any]]:
        """The registers of a group: name, time, value."""
        prefix = f"{name}{SEPARATOR}"
        for key, (at_ms, _tie, value) in self.registers.items():
            if key.startswith(prefix):
                yield key[len(prefix) :], at_ms, value


@lru_cache(maxsize=65_536)
def _parsed(key: str) -> tuple[tuple[str, str], tuple[str, ...]]:
    kind, measure, *fields = key.split(SEPARATOR)
    return (kind, measure), tuple(fields)


def history(rows: Mapping[int, Row]) -> History:
    """The rows, indexed for reading."""
    series: dict[str, tuple[list[int], list[Bucket]]] = defaultdict(lambda: ([], []))
    for number in sorted(rows):
        if number != REGISTERS:
            _add_segment(series, rows[number], number * SEGMENT_DAYS)
    index: dict[tuple[str, str], list[Series]] = defaultdict(list)
    for key, (days, buckets) in series.items():
        head, fields = _parsed(key)
        index[head].append(Series(key, fields, days, buckets))
    registers = rows.get(REGISTERS, {})
    return History(index, registers, _newest(series, registers))


def _add_segment(series: dict[str, tuple[list[int], list[Bucket]]], row: Row, start: int) -> None:
    for key, found in row.items():
        days, buckets = series[key]
        for name in sorted(found, key=int) if len(found) > 1 else found:
            days.append(start + int(name))
            buckets.append(found[name])


def _newest(series: Mapping[str, tuple[list[int], list[Bucket]]], registers: Row) -> int:
    observed = max((days[-1] * DAY_MS + buckets[-1][AT] for days, buckets in series.values()), default=0)
    return max(observed, max((register[0] for register in registers.values()), default=0))
