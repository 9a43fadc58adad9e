"""What single payments say: who gets most of them, which is unusual, what is spent on, how steady the income is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from profile_service.domain.cadence import Payment, median
from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Feature, Reading, matching, up_to
from profile_service.domain.history import History, Series
from profile_service.domain.transactions import field, payments_of
from profile_service.domain.windows import Window, total

MONTH: Final = 30
ENOUGH: Final = 5
"""Earlier payments that make a history."""
MAD_SCALE: Final = 1483
"""Thousandths: makes the median absolute deviation comparable with a standard deviation."""


def repeated_manual_payments(history: History, feature: Feature, at: Window) -> Reading | None:
    """Transfers by hand to the payee that got most of them; the first alone is no repetition and counts as 1."""
    if not history.newest_ms:
        return None
    paid: dict[str, int] = {}
    for one in matching(history, feature, "amount_minor"):
        payee, found = field(one, "counterparty"), total([one], at.first, at.last)
        if payee and found and field(one, "kind") == "transfer" and field(one, "direction") == "out":
            paid[payee] = paid.get(payee, 0) + found.events
    return Reading(max(paid.values(), default=0), up_to(history, at))


def top_category(history: History, feature: Feature, at: Window) -> Reading | None:
    """The merchant category with the greatest spending; the first by name of equals."""
    sums: dict[str, int] = {}
    for one in matching(history, feature, "amount_minor"):
        category, found = field(one, "merchant_category"), total([one], at.first, at.last)
        if category and found and field(one, "direction") == "out":
            sums[category] = sums.get(category, 0) + found.sum
    best = min(sums, key=lambda name: (-sums[name], name), default=None)
    return Reading(best, up_to(history, at)) if best is not None else None


def income_volatility(history: History, feature: Feature, at: Window) -> Reading | None:
    """Mean absolute deviation of the months' matching sums (default: all that came in) from their mean, in basis points of it."""
    every, months = matching(history, feature, "amount_minor"), max(2, (at.last - at.first + 1) // MONTH)
    found = every if feature.matches else [one for one in every if field(one, "direction") == "in"]
    ends = [at.last - MONTH * month for month in range(months)]
    sums = [part.sum if (part := total(found, end - MONTH + 1, end)) else 0 for end in ends]
    mean = sum(sums) // months
    if mean <= 0:
        return None
    return Reading(sum(abs(one - mean) for one in sums) * 10_000 // months // mean, up_to(history, at))


def unusual_score(history: History, feature: Feature, at: Window) -> Reading | None:
    """The robust z of the latest payment's day against earlier days of the same payee or, without one, category or kind."""
    groups: dict[str, list[Series]] = {}
    for one in matching(history, feature, "amount_minor"):
        if field(one, "direction") == "out":
            groups.setdefault(_peer(one), []).append(one)
    days = {name: payments_of(series, at) for name, series in groups.items()}
    latest = max(((paid[-1].day, name) for name, paid in days.items() if paid), default=None)
    if latest is None or latest[0] < at.first:
        return None
    scores = [_score(paid) for paid in days.values() if paid and paid[-1].day == latest[0]]
    known = [score for score in scores if score is not None]
    return Reading(max(known), latest[0] * DAY_MS) if known else None


def _peer(one: Series) -> str:
    return field(one, "merchant") or field(one, "counterparty") or field(one, "merchant_category") or field(one, "kind")


def _score(payments: Sequence[Payment]) -> int | None:
    """How many deviations the last payment is above the median of those before; None with too few of them."""
    earlier = [payment.amount for payment in payments[:-1]]
    if len(earlier) < ENOUGH:
        return None
    middle = median(earlier)
    spread = max(1, median([abs(amount - middle) for amount in earlier]), abs(middle) // 20)
    return (payments[-1].amount - middle) * 1_000 // (spread * MAD_SCALE)
