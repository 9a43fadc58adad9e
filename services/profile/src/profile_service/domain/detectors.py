"""Named detectors: what a window cannot say. Each is a function of the history, the feature's settings and the time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from profile_service.domain.cadence import Cadence, Payment, cadence, median
from profile_service.domain.facts import DAY_MS, FIELDS
from profile_service.domain.features import Feature, Reading, matching
from profile_service.domain.fold import LAST, SUM
from profile_service.domain.history import History, Series
from profile_service.domain.holdings import (
    goals,
    life_events,
    maturing_amount,
    maturity_days,
    next_maturity,
    open_complaint,
    tenure_days,
)
from profile_service.domain.windows import Window, levels, total, window

Detector = Callable[[History, Feature, Window], Reading | None]

MONTH: Final = 30
SALARY_KINDS: Final = frozenset({"payroll"})
UNREPEATED: Final = frozenset({"cash", "fee", "interest", "card"})
"""Kinds of payment that are not looked at for payees that repeat; a subscription paid by card is a `subscription`."""
ENOUGH: Final = 5
"""Earlier payments that make a history."""
MAD_SCALE: Final = 1483
"""Thousandths: makes the median absolute deviation comparable with a standard deviation."""
_TRANSACTION: Final = {name: place for place, name in enumerate(FIELDS["transaction"])}


def _field(series: Series, name: str) -> str:
    return series.fields[_TRANSACTION[name]]


def _payments(series: Iterable[Series], at: Window) -> list[Payment]:
    days: dict[int, int] = {}
    for one in series:
        for day, bucket in one.within(0, at.last):
            days[day] = days.get(day, 0) + (bucket[LAST] if len(bucket) == 3 else bucket[SUM])
    return [Payment(day, days[day]) for day in sorted(days)]


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
        return Reading(read(found), found.last * DAY_MS) if found and found.last >= at.first else None

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
    return _alive(_rhythms(history, feature, at, "out"), at)


def _alive(found: Mapping[str, Cadence], at: Window) -> Mapping[str, Cadence]:
    return {payee: one for payee, one in found.items() if one.alive(at.last)}


def _rhythms(history: History, feature: Feature, at: Window, direction: str) -> Mapping[str, Cadence]:
    """Payees or payers by the rhythm of all their payments, however short the feature's window."""
    series = [one for one in matching(history, feature, "amount_minor") if _field(one, "direction") == direction]
    key = ("rhythms", at.last, _keys(series))
    return cast("Mapping[str, Cadence]", _once(history, key, lambda: _rhythms_of(series, at)))


def _rhythms_of(found: Iterable[Series], at: Window) -> Mapping[str, Cadence]:
    payees: dict[str, list[Series]] = {}
    for one in found:
        payee = _field(one, "merchant") or _field(one, "counterparty")
        if payee and _field(one, "kind") not in UNREPEATED:
            payees.setdefault(payee, []).append(one)
    rhythms = {payee: cadence(_payments(series, at)) for payee, series in payees.items()}
    return {payee: one for payee, one in rhythms.items() if one is not None}


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


def missed_payments(history: History, feature: Feature, at: Window) -> Reading | None:
    """Payments in a rhythm, in or out, that were due in the window and did not come."""
    if not history.newest_ms:
        return None
    found = [*_rhythms(history, feature, at, "in").values(), *_rhythms(history, feature, at, "out").values()]
    return Reading(sum(one.missed(at.last) and one.next >= at.first for one in found), _up_to(history, at))


def repeated_manual_payments(history: History, feature: Feature, at: Window) -> Reading | None:
    """Transfers by hand to the payee that got most of them; the first alone is no repetition and counts as 1."""
    if not history.newest_ms:
        return None
    paid: dict[str, int] = {}
    for one in matching(history, feature, "amount_minor"):
        payee, found = _field(one, "counterparty"), total([one], at.first, at.last)
        if payee and found and _field(one, "kind") == "transfer" and _field(one, "direction") == "out":
            paid[payee] = paid.get(payee, 0) + found.events
    return Reading(max(paid.values(), default=0), _up_to(history, at))


def _accounts(history: History, feature: Feature) -> list[Series]:
    """The matching accounts; current accounts when the feature does not say which."""
    place = FIELDS["balance"].index("product_kind")
    every = matching(history, feature)
    return every if feature.matches else [one for one in every if one.fields[place] == "current"]


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
    for series in _accounts(history, feature):
        newest = series.before(at.last + 1)
        if newest:
            lows += min(low for _, _, low, _ in levels(series, at.first, at.last))
            nows += newest[1][LAST]
            times.append(newest[0] * DAY_MS + newest[1][0])
    return (nows, lows, min(times)) if times else None


def idle_cash(history: History, feature: Feature, at: Window) -> Reading | None:
    """What lay untouched for `days` (default: the window), less `reserve_days` of its spending (default: none)."""
    days = feature.number("days", at.last - at.first + 1)
    at = window(days, at.now_ms)
    known = _levels_now(history, feature, at)
    if known is None:
        return None
    reserve = _spent(history, feature, at, "out") * feature.number("reserve_days", 0) // days
    return Reading(max(0, min(known[0], known[1]) - reserve), known[2])


def buffer_days(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days that the current level lasts at the window's rate of spending; unknown without spending."""
    known, spent = _levels_now(history, feature, at), _spent(history, feature, at, "out")
    if known is None or not spent:
        return None
    return Reading(max(0, known[0]) * (at.last - at.first + 1) // spent, known[2])


def income_volatility(history: History, feature: Feature, at: Window) -> Reading | None:
    """Mean absolute deviation of the months' matching sums (default: all that came in) from their mean, in basis points of it."""
    every, months = matching(history, feature, "amount_minor"), max(2, (at.last - at.first + 1) // MONTH)
    found = every if feature.matches else [one for one in every if _field(one, "direction") == "in"]
    ends = [at.last - MONTH * month for month in range(months)]
    sums = [part.sum if (part := total(found, end - MONTH + 1, end)) else 0 for end in ends]
    mean = sum(sums) // months
    if mean <= 0:
        return None
    return Reading(sum(abs(one - mean) for one in sums) * 10_000 // months // mean, _up_to(history, at))


def unusual_score(history: History, feature: Feature, at: Window) -> Reading | None:
    """The robust z of the latest payment's day against earlier days of the same payee or, without one, category or kind."""
    groups: dict[str, list[Series]] = {}
    for one in matching(history, feature, "amount_minor"):
        if _field(one, "direction") == "out":
            groups.setdefault(_peer(one), []).append(one)
    days = {name: _payments(series, at) for name, series in groups.items()}
    latest = max(((paid[-1].day, name) for name, paid in days.items() if paid), default=None)
    if latest is None or latest[0] < at.first:
        return None
    scores = [_score(paid) for paid in days.values() if paid and paid[-1].day == latest[0]]
    known = [score for score in scores if score is not None]
    return Reading(max(known), latest[0] * DAY_MS) if known else None


def _peer(one: Series) -> str:
    return (
        _field(one, "merchant")
        or _field(one, "counterparty")
        or _field(one, "merchant_category")
        or _field(one, "kind")
    )


def _score(payments: Sequence[Payment]) -> int | None:
    """How many deviations the last payment is above the median of those before; None with too few of them."""
    earlier = [payment.amount for payment in payments[:-1]]
    if len(earlier) < ENOUGH:
        return None
    middle = median(earlier)
    spread = max(1, median([abs(amount - middle) for amount in earlier]), abs(middle) // 20)
    return (payments[-1].amount - middle) * 1_000 // (spread * MAD_SCALE)


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
    "days_below": days_below,
    "idle_cash": idle_cash,
    "buffer_days": buffer_days,
    "income_volatility": income_volatility,
    "net_flow": net_flow,
    "missed_payments": missed_payments,
    "repeated_manual_payments": repeated_manual_payments,
    "unusual_score": unusual_score,
    "top_category": top_category,
    "utilization_bp": utilization_bp,
    "tenure_days": tenure_days,
    "next_maturity": next_maturity,
    "maturity_days": maturity_days,
    "maturing_amount": maturing_amount,
    "open_complaint": open_complaint,
    "life_events": life_events,
    "goals": goals,
}
"""The detectors that a bundle may name."""


def detect(feature: Feature, history: History, now_ms: int) -> Reading | None:
    """The feature's value by its detector; None when nothing is known."""
    return DETECTORS[feature.detector or ""](history, feature, window(feature.days, now_ms))
