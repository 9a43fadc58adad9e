"""Named detectors: what a window cannot say. Each is a function of the history, the feature's settings and the time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Detector, Feature, Reading
from profile_service.domain.history import History
from profile_service.domain.holdings import (
    goals,
    life_events,
    maturing_amount,
    maturity_days,
    next_maturity,
    open_complaint,
    tenure_days,
)
from profile_service.domain.liquidity import buffer_days, days_below, idle_cash, net_flow, utilization_bp
from profile_service.domain.rhythms import missed_payments, next_due, of_recurring, price_rise
from profile_service.domain.salary import of_salary, salary_payer_changed
from profile_service.domain.spending import (
    MONTH,
    income_volatility,
    repeated_manual_payments,
    top_category,
    unusual_score,
)
from profile_service.domain.windows import window

DETECTORS: Final[Mapping[str, Detector]] = {
    "salary_amount": of_salary(lambda found: found.amount),
    "salary_period_days": of_salary(lambda found: found.period),
    "salary_last": of_salary(lambda found: found.last * DAY_MS),
    "salary_next": of_salary(lambda found: found.next * DAY_MS),
    "salary_payer_changed": salary_payer_changed,
    "recurring_payees": of_recurring(lambda found, _today: frozenset(found)),
    "recurring_count": of_recurring(lambda found, _today: len(found)),
    "recurring_amount": of_recurring(lambda found, _: sum(one.amount * MONTH // one.period for one in found.values())),
    "recurring_next": of_recurring(next_due),
    "recurring_price_rise_bp": of_recurring(price_rise),
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
