"""What is left on accounts: levels against thresholds, spending and limits."""

from __future__ import annotations

from profile_service.domain.facts import DAY_MS, FIELDS
from profile_service.domain.features import Feature, Reading, matching, up_to
from profile_service.domain.fold import LAST
from profile_service.domain.history import History, Series
from profile_service.domain.transactions import field
from profile_service.domain.windows import Window, levels, total, window


def days_below(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days of the window on which an account's level was below `below_minor` at any time."""
    threshold, found, days = feature.number("below_minor", 0), _accounts(history, feature), set[int]()
    newest = [known for series in found if (known := series.before(at.last + 1))]
    for series in found:
        stretches = list(levels(series, at.first, at.last))
        day = at.last + 1 - sum(length for length, *_ in stretches)
        for length, _closing, low, _high in stretches:
            days.update(range(day, day + length) if low < threshold else ())
            day += length
    return Reading(len(days), max(day * DAY_MS + bucket[0] for day, bucket in newest)) if newest else None


def net_flow(history: History, feature: Feature, at: Window) -> Reading | None:
    """What came in less what went out."""
    if not history.newest_ms:
        return None
    flow = _moved(history, feature, at, "in") - _moved(history, feature, at, "out")
    return Reading(flow, up_to(history, at))


def idle_cash(history: History, feature: Feature, at: Window) -> Reading | None:
    """What lay untouched for `days` (default: the window), less `reserve_days` of its spending (default: none)."""
    days = feature.number("days", at.last - at.first + 1)
    at = window(days, at.now_ms)
    known = _levels_now(history, feature, at)
    if known is None:
        return None
    reserve = _moved(history, feature, at, "out") * feature.number("reserve_days", 0) // days
    return Reading(max(0, min(known[0], known[1]) - reserve), known[2])


def buffer_days(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days that the current level lasts at the window's rate of spending; unknown without spending."""
    known, spent = _levels_now(history, feature, at), _moved(history, feature, at, "out")
    if known is None or not spent:
        return None
    return Reading(max(0, known[0]) * (at.last - at.first + 1) // spent, known[2])


def utilization_bp(history: History, feature: Feature, at: Window) -> Reading | None:
    """What is owed of the limits of the matching accounts: `limit_minor` less `available_minor`, in basis points."""
    limits = {one.fields: one.before(at.last + 1) for one in matching(history, feature, "limit_minor")}
    free = {one.fields: one.before(at.last + 1) for one in matching(history, feature, "available_minor")}
    both = [(limit, free[account]) for account, limit in limits.items() if limit and free.get(account)]
    granted = sum(limit[1][LAST] for limit, _ in both)
    if granted <= 0:
        return None
    left = sum(known[1][LAST] for _, known in both if known)
    as_of = max(limit[0] * DAY_MS + limit[1][0] for limit, _ in both)
    return Reading(max(0, granted - left) * 10_000 // granted, as_of)


def _accounts(history: History, feature: Feature) -> list[Series]:
    """The matching accounts; current accounts when the feature does not say which."""
    place = FIELDS["balance"].index("product_kind")
    every = matching(history, feature)
    return every if feature.matches else [one for one in every if one.fields[place] == "current"]


def _moved(history: History, feature: Feature, at: Window, direction: str) -> int:
    """What went in or out in the window, in the feature's currency."""
    series = [
        one
        for one in history.of("transaction", "amount_minor")
        if field(one, "direction") == direction and feature.currency in {None, field(one, "currency")}
    ]
    found = total(series, at.first, at.last)
    return found.sum if found else 0


def _levels_now(history: History, feature: Feature, at: Window) -> tuple[int, int, int] | None:
    """Sum of the matching accounts' current and lowest levels, and when the oldest of them was reported."""
    lows, nows, times = 0, 0, []
    for series in _accounts(history, feature):
        newest = series.before(at.last + 1)
        if newest:
            lows += min(low for _, _, low, _ in levels(series, at.first, at.last))
            nows += newest[1][LAST]
            times.append(newest[0] * DAY_MS + newest[1][0])
    return (nows, lows, min(times)) if times else None
