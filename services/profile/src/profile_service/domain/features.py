"""What a feature is, and the windows it is computed over: whole days (UTC) that end with today, whole numbers only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, cast

from profile_service.domain.facts import DAY_MS, FIELDS, LEVELS
from profile_service.domain.history import History, Series
from profile_service.domain.windows import Total, Window, level_total, total, window

Value = int | bool | str | frozenset[str]
Matches = Callable[[tuple[str, ...]], bool]
Detector = Callable[[History, "Feature", Window], "Reading | None"]
REMEMBERED: Final = 50_000
"""Series keys whose match is remembered per feature."""


class Reading(NamedTuple):
    """A value and when it was true."""

    value: Value
    as_of_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Feature:
    """A declared feature. `matches` takes a series' fields; `by` is the place of a field among them. Equal only to itself."""

    id: str
    kind: str
    measure: str = ""
    aggregate: str | None = None
    days: int = 1
    by: int | None = None
    matches: Matches | None = None
    currency: str | None = None
    detector: str | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    counts: bool = False
    """It names no measure: a share is then of events, not of amounts."""
    _known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def fits(self, series: Series) -> bool:
        """Whether the series is one of this feature's."""
        known = self._known.get(series.key)
        return self._learn(series) if known is None else known

    def _learn(self, series: Series) -> bool:
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        found = self.pays_in_currency(series) and (self.matches is None or self.matches(series.fields))
        self._known[series.key] = found
        return found

    def pays_in_currency(self, series: Series) -> bool:
        """Whether amounts of the series may be added to this feature's."""
        names = FIELDS[self.kind]
        return (
            self.currency is None or "currency" not in names or self.currency == _named(self.kind, series, "currency")
        )

    def number(self, name: str, default: int) -> int:
        """A whole-number parameter."""
        found = self.parameters.get(name, default)
        return found if isinstance(found, int) else default


def _named(kind: str, series: Series, name: str) -> str:
    return series.fields[FIELDS[kind].index(name)]


def matching(history: History, feature: Feature, measure: str | None = None) -> list[Series]:
    """The series that the feature reads."""
    if measure is None or measure == feature.measure:
        prepared = history.memo.get(feature)
        if prepared is not None:
            return cast("list[Series]", prepared)
    found = history.of(feature.kind, feature.measure if measure is None else measure)
    return [series for series in found if feature.fits(series)]


class Matcher:
    """Finds the series of many features in one pass: which features a series is for is learned once per key."""

    def __init__(self, features: Iterable[Feature]) -> None:
        self._features = list(features)
        self._learned: dict[str, tuple[Feature, ...]] = {}

    def prepare(self, history: History) -> None:
        """Let `matching` answer from the history's memo."""
        if self in history.memo:
            return
        found: dict[Feature, list[Series]] = {feature: [] for feature in self._features}
        for head, series in history.series.items():
            for one in series:
                learned = self._learned.get(one.key)
                for feature in self._learn(head, one) if learned is None else learned:
                    found[feature].append(one)
        for feature, ours in found.items():
            history.memo[feature] = ours
        history.memo[self] = True

    def _learn(self, head: tuple[str, str], series: Series) -> tuple[Feature, ...]:
        if len(self._learned) >= REMEMBERED:
            self._learned.clear()
        wanted = [one for one in self._features if (one.kind, one.measure) == head and one.fits(series)]
        self._learned[series.key] = tuple(wanted)
        return self._learned[series.key]


def up_to(history: History, at: Window) -> int:
    """Up to when a count is complete: the newest event says so."""
    return min(history.newest_ms, at.now_ms)


def compute(feature: Feature, history: History, now_ms: int) -> Reading | None:
    """The feature's value by its aggregate; None when nothing is known."""
    at = window(feature.days, now_ms)
    found = matching(history, feature)
    if feature.aggregate == "distinct":
        return _counted(len(_groups(feature, found, at)), history, at)
    if feature.by is None:
        return _aggregate(feature, found, history, at)
    parts = [_aggregate(feature, part, history, at) for part in _groups(feature, found, at).values()]
    known = [part for part in parts if part is not None]
    if not known:
        return _aggregate(feature, [], history, at)
    return Reading(
        sum(int(part.value) for part in known if isinstance(part.value, int)), max(p.as_of_ms for p in known)
    )


def _groups(feature: Feature, found: list[Series], at: Window) -> dict[str, list[Series]]:
    """The series per value of `by`; of those that have something in the window, or of a level."""
    groups: dict[str, list[Series]] = {}
    for series in found:
        name = series.fields[feature.by] if feature.by is not None else series.key
        if name and (feature.kind in LEVELS or any(True for _ in series.within(at.first, at.last))):
            groups.setdefault(name, []).append(series)
    return groups


def _aggregate(feature: Feature, found: list[Series], history: History, at: Window) -> Reading | None:
    if feature.aggregate == "share":
        return _share(feature, found, history, at)
    if feature.aggregate == "trend":
        return _trend(found, at)
    if feature.kind in LEVELS:
        return _of_levels(feature, found, at)
    summed = total(found, at.first, at.last)
    if feature.aggregate in {"sum", "count"}:
        amount = 0 if summed is None else summed.sum if feature.aggregate == "sum" else summed.events
        return _counted(amount, history, at)
    return None if summed is None else _single(feature.aggregate, summed, at)


def _counted(value: int, history: History, at: Window) -> Reading | None:
    """Nothing counted is zero once the feed has said anything; the newest event says up to when it is complete."""
    return Reading(value, min(history.newest_ms, at.now_ms)) if history.newest_ms else None


def _single(aggregate: str | None, of: Total, at: Window) -> Reading | None:
    value = {
        "mean": of.sum // of.events,
        "min": of.low,
        "max": of.high,
        "last": of.last[2],
        "days_since": at.last - of.last[0] // DAY_MS,
        "sum": of.sum,
        "count": of.events,
    }.get(aggregate or "")
    return None if value is None else Reading(value, min(of.last[0], at.now_ms))


def _of_levels(feature: Feature, found: list[Series], at: Window) -> Reading | None:
    """Series of a level are not added up (`by` does that): the lowest, the highest, or the newest of them."""
    totals = [known for series in found if (known := level_total(series, at)) is not None]
    if not totals:
        return None
    joined = Total(
        events=sum(one.events for one in totals),
        sum=sum(one.sum for one in totals),
        low=min(one.low for one in totals),
        high=max(one.high for one in totals),
        last=max(one.last for one in totals),
    )
    return _single(feature.aggregate, joined, at)


def _share(feature: Feature, found: list[Series], history: History, at: Window) -> Reading | None:
    every = [one for one in history.of(feature.kind, feature.measure) if feature.pays_in_currency(one)]
    whole, part = total(every, at.first, at.last), total(found, at.first, at.last)
    if whole is None:
        return None
    of, among = (part.events if part else 0, whole.events) if feature.counts else (part.sum if part else 0, whole.sum)
    return Reading(of * 10_000 // among, min(whole.last[0], at.now_ms)) if among else None


def _trend(found: list[Series], at: Window) -> Reading | None:
    """The newer half against the older in basis points: 0 is no change; unknown while the older half has nothing."""
    half = (at.last - at.first + 1) // 2
    older, newer = total(found, at.first, at.last - half), total(found, at.last - half + 1, at.last)
    if older is None or not older.sum:
        return None
    grown = (newer.sum if newer else 0) - older.sum
    as_of = newer.last[0] if newer else older.last[0]
    return Reading(grown * 10_000 // abs(older.sum), min(as_of, at.now_ms))
