"""Named detectors: what a window cannot say. Each is a function of the history, the feature's settings and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from profile_service.domain.cadence import Cadence, Payment, cadence, daily, median
from profile_service.domain.facts import DAY_MS, FIELDS
from profile_service.domain.features import Feature, Reading, Window, levels, matching, total, window
from profile_service.domain.fold import LAST, SUM
from profile_service.domain.history import History, Series

Detector = Callable[[History, Feature, Window], Reading | None]

MONTH: Final = 30
SALARY_KINDS: Final = frozenset({"payroll"})
UNREPEATED: Final = frozenset({"cash", "fee", "interest", "card"})
"""Kinds of payment that are not looked at for payees that repeat; a subscription paid by card is a `subscription`."""
MAD_SCALE: Final = 1483
"""Thousandths: makes the median absolute deviation comparable with a standard deviation."""
_TRANSACTION: Final = {name: place for place, name in enumerate(FIELDS["transaction"])}


def _field(series: Series, name: str) -> str:
    return series.fields[_TRANSACTION[name]]


def _amount(bucket: list[int]) -> int:
    return bucket[LAST] if len(bucket) == 3 else bucket[SUM]


def _payments(series: Iterable[Series], at: Window) -> list[Payment]:
    return daily([Payment(day, _amount(bucket)) for one in series for day, bucket in one.within(0, at.last)])


def _day_reading(day: int, last: int) -> Reading:
    return Reading(day * DAY_MS, last * DAY_MS)


def _up_to(history: History, at: Window) -> int:
    return min(history.newest_ms, at.now_ms)


def _salary_series(history: History, feature: Feature) -> list[Series]:
    incoming = [one for one in matching(history, feature, "amount_minor") if _field(one, "direction") == "in"]
    if feature.matches is not None:
        return incoming
    return [one for one in incoming if _field(one, "kind") in SALARY_KINDS]


def _salary(history: History, feature: Feature, at: Window) -> Cadence | None:
    series = _salary_series(history, feature)
    return cast(
        "Cadence | None", _once(history, ("salary", at.last, _keys(series)), lambda: cadence(_payments(series, at)))
    )


def _once(history: History, key: object, compute: Callable[[], Any]) -> Any:
    """Several features ask the same of one history: answer once."""
    if key not in history.memo:
        history.memo[key] = compute()
    return history.memo[key]


def _keys(series: Iterable[Series]) -> frozenset[str]:
    return frozenset(one.key for one in series)


def _of_salary(read: Callable[[Cadence], int]) -> Detector:
    def detect(history: History, feature: Feature, at: Window) -> Reading | None:
        found = _salary(history, feature, at)
        return Reading(read(found), found.last * DAY_MS) if found else None

    return detect


def salary_payer_changed(history: History, feature: Feature, at: Window) -> Reading | None:
    """Whether the last salary came from another payer than the one before."""
    paid = [
        (day, _field(one, "counterparty"))
        for one in _salary_series(history, feature)
        for day, _ in one.within(0, at.last)
    ]
    if len(paid) < 2:
        return None
    paid.sort()
    return Reading(paid[-1][1] != paid[-2][1], paid[-1][0] * DAY_MS)


def recurring(history: History, feature: Feature, at: Window) -> Mapping[str, Cadence]:
    """The payees that are paid in a rhythm which still goes on."""
    series = matching(history, feature, "amount_minor")
    return cast(
        "Mapping[str, Cadence]", _once(history, ("recurring", at.last, _keys(series)), lambda: _rhythms(series, at))
    )


def _rhythms(found: Iterable[Series], at: Window) -> Mapping[str, Cadence]:
    payees: dict[str, list[Series]] = {}
    for one in found:
        payee = _field(one, "merchant") or _field(one, "counterparty")
        if payee and _field(one, "direction") == "out" and _field(one, "kind") not in UNREPEATED:
            payees.setdefault(payee, []).append(one)
    rhythms = {payee: cadence(_payments(series, at)) for payee, series in payees.items()}
    return {payee: one for payee, one in rhythms.items() if one is not None and one.alive(at.last)}


def _of_recurring(read: Callable[[Mapping[str, Cadence], int], int | bool | frozenset[str] | None]) -> Detector:
    def detect(history: History, feature: Feature, at: Window) -> Reading | None:
        value = read(recurring(history, feature, at), at.last) if history.newest_ms else None
        return None if value is None else Reading(value, _up_to(history, at))

    return detect


def _next_due(found: Mapping[str, Cadence], today: int) -> int | None:
    due = [one.next for one in found.values() if one.next >= today]
    return min(due) * DAY_MS if due else None


def _price_rise(found: Mapping[str, Cadence], _today: int) -> int | None:
    """The greatest rise of a last payment over the one before, in basis points."""
    rises = [(one.newest - one.earlier) * 10_000 // one.earlier for one in found.values() if one.earlier > 0]
    return max([0, *rises]) if found else None


def days_below(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days of the window on which a matching account's level was below `threshold_minor` at any time."""
    threshold, found, days = feature.number("threshold_minor", 0), matching(history, feature), set[int]()
    newest = [known for series in found if (known := series.before(at.last + 1))]
    for series in found:
        day = at.last + 1 - sum(length for length, *_ in levels(series, at.first, at.last))
        for length, _closing, low, _high in levels(series, at.first, at.last):
            days.update(range(day, day + length) if low < threshold else ())
            day += length
    return Reading(len(days), max(day * DAY_MS + bucket[0] for day, bucket in newest)) if newest else None


def _spent(history: History, feature: Feature, at: Window, direction: str) -> int:
    series = [
        one
        for one in history.of("transaction", "amount_minor")
        if _field(one, "direction") == direction and feature.currency in {None, _field(one, "currency")}
    ]
    found = total(series, at.first, at.last)
    return found.sum if found else 0


def net_flow(history: History, feature: Feature, at: Window) -> Reading | None:
    """What came in less what went out."""
    if not history.newest_ms:
        return None
    flow = _spent(history, feature, at, "in") - _spent(history, feature, at, "out")
    return Reading(flow, _up_to(history, at))


def _levels_now(history: History, feature: Feature, at: Window) -> tuple[int, int, int] | None:
    """Sum of the matching accounts' current and lowest levels, and when the oldest of them was reported."""
    lows, nows, times = 0, 0, []
    for series in matching(history, feature):
        newest = series.before(at.last + 1)
        if newest:
            lows += min(low for _, _, low, _ in levels(series, at.first, at.last))
            nows += newest[1][LAST]
            times.append(newest[0] * DAY_MS + newest[1][0])
    return (nows, lows, min(times)) if times else None


def idle_cash(history: History, feature: Feature, at: Window) -> Reading | None:
    """What lay untouched through the window, less `reserve_days` of its spending."""
    known = _levels_now(history, feature, at)
    if known is None:
        return None
    days = at.last - at.first + 1
    reserve = _spent(history, feature, at, "out") * feature.number("reserve_days", MONTH) // days
    return Reading(max(0, min(known[0], known[1]) - reserve), known[2])


def buffer_days(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days that the current level lasts at the window's rate of spending; unknown without spending."""
    known, spent = _levels_now(history, feature, at), _spent(history, feature, at, "out")
    if known is None or not spent:
        return None
    return Reading(max(0, known[0]) * (at.last - at.first + 1) // spent, known[2])


def volatility_bp(history: History, feature: Feature, at: Window) -> Reading | None:
    """Mean absolute deviation of the months' matching sums from their mean, in basis points of the mean."""
    found, months = matching(history, feature), max(2, (at.last - at.first + 1) // MONTH)
    ends = [at.last - MONTH * month for month in range(months)]
    sums = [part.sum if (part := total(found, end - MONTH + 1, end)) else 0 for end in ends]
    mean = sum(sums) // months
    if mean <= 0:
        return None
    return Reading(sum(abs(one - mean) for one in sums) * 10_000 // months // mean, _up_to(history, at))


def unusual_z_milli(history: History, feature: Feature, at: Window) -> Reading | None:
    """The greatest robust z of the window's days against the same payee's or category's history, in thousandths."""
    groups: dict[str, list[Series]] = {}
    for one in matching(history, feature, "amount_minor"):
        name = _field(one, "merchant") or _field(one, "counterparty") or _field(one, "merchant_category")
        groups.setdefault(name or _field(one, "kind"), []).append(one)
    scores = [score for group in groups.values() for score in _scores(_payments(group, at), at)]
    return Reading(max(scores), _up_to(history, at)) if scores else None


def _scores(payments: list[Payment], at: Window) -> list[int]:
    earlier = [payment.amount for payment in payments if payment.day < at.first]
    if len(earlier) < 5:
        return []
    middle = median(earlier)
    spread = max(1, median([abs(amount - middle) for amount in earlier]), abs(middle) // 20)
    recent = [payment.amount for payment in payments if payment.day >= at.first]
    return [(amount - middle) * 1_000_000 // (spread * MAD_SCALE) for amount in recent]


def top_category(history: History, feature: Feature, at: Window) -> Reading | None:
    """The merchant category with the greatest spending; the first by name of equals."""
    sums: dict[str, int] = {}
    for one in matching(history, feature, "amount_minor"):
        category, found = _field(one, "merchant_category"), total([one], at.first, at.last)
        if category and found and _field(one, "direction") == "out":
            sums[category] = sums.get(category, 0) + found.sum
    best = min(sums, key=lambda name: (-sums[name], name), default=None)
    return Reading(best, _up_to(history, at)) if best is not None else None


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


def tenure_days(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Days since the first product was opened."""
    opened = [at_ms for _, at_ms, _ in history.group("<opened") if at_ms <= at.now_ms]
    return Reading(at.last - min(opened) // DAY_MS, _up_to(history, at)) if opened else None


def open_holdings(history: History) -> dict[str, tuple[int, list[object]]]:
    """Holdings that are open: id -> (when its terms were said, [product kind, maturity, rate, limit])."""
    closed = {name for name, _, state in history.group("open") if not state}
    return {name: (at_ms, terms) for name, at_ms, terms in history.group("holding") if name not in closed}


def next_maturity(history: History, _feature: Feature, at: Window) -> Reading | None:
    """When the next of the open holdings matures."""
    dates = [
        (terms[1], at_ms)
        for at_ms, terms in open_holdings(history).values()
        if isinstance(terms[1], int) and terms[1] >= at.last * DAY_MS
    ]
    return Reading(*min(dates)) if dates else None


def open_complaint(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Whether a complaint is open."""
    if not history.newest_ms:
        return None
    return Reading(any(state == "open" for *_, state in history.group("complaint")), _up_to(history, at))


def life_events(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Kinds of life events dated in the window, or later."""
    if not history.newest_ms:
        return None
    kinds = {kind for kind, _, day in history.group("life") if day >= at.first * DAY_MS}
    return Reading(frozenset(kinds), _up_to(history, at))


def goals(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Kinds of goals that are set."""
    if not history.newest_ms:
        return None
    return Reading(frozenset(kind for kind, *_ in history.group("goal")), _up_to(history, at))


DETECTORS: Final[Mapping[str, Detector]] = {
    "salary_amount": _of_salary(lambda found: found.amount),
    "salary_period_days": _of_salary(lambda found: found.period),
    "salary_last": _of_salary(lambda found: found.last * DAY_MS),
    "salary_next": _of_salary(lambda found: found.next * DAY_MS),
    "salary_payer_changed": salary_payer_changed,
    "recurring_payees": _of_recurring(lambda found, _today: frozenset(found)),
    "recurring_count": _of_recurring(lambda found, _today: len(found)),
    "recurring_amount": _of_recurring(lambda found, _: sum(one.amount * MONTH // one.period for one in found.values())),
    "recurring_next": _of_recurring(_next_due),
    "recurring_price_rise_bp": _of_recurring(_price_rise),
    "recurring_missed": _of_recurring(lambda found, today: any(one.missed(today) for one in found.values())),
    "days_below": days_below,
    "idle_cash": idle_cash,
    "buffer_days": buffer_days,
    "volatility_bp": volatility_bp,
    "net_flow": net_flow,
    "unusual_z_milli": unusual_z_milli,
    "top_category": top_category,
    "utilization_bp": utilization_bp,
    "tenure_days": tenure_days,
    "next_maturity": next_maturity,
    "open_complaint": open_complaint,
    "life_events": life_events,
    "goals": goals,
}
"""The detectors that a bundle may name."""


def detect(feature: Feature, history: History, now_ms: int) -> Reading | None:
    """The feature's value by its detector; None when nothing is known."""
    return DETECTORS[feature.detector or ""](history, feature, window(feature.days, now_ms))
