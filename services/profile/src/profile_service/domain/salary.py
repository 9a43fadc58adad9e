"""The salary: incoming pay in a rhythm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from profile_service.domain.cadence import Cadence, cadence
from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Detector, Feature, Reading, matching
from profile_service.domain.history import History, Series
from profile_service.domain.transactions import field, keys_of, once, payments_of
from profile_service.domain.windows import Window

SALARY_KINDS: Final = frozenset({"payroll"})


def of_salary(read: Callable[[Cadence], int]) -> Detector:
    """A detector that reads the salary's rhythm; unknown when the last one was before the window."""

    def detect(history: History, feature: Feature, at: Window) -> Reading | None:
        found = _salary(history, feature, at)
        return Reading(read(found), found.last * DAY_MS) if found and found.last >= at.first else None

    return detect


def salary_payer_changed(history: History, feature: Feature, at: Window) -> Reading | None:
    """Whether the last salary came from another payer than the one before."""
    paid = [
        (day, field(one, "counterparty"))
        for one in _salary_series(history, feature)
        for day, _ in one.within(0, at.last)
    ]
    if len(paid) < 2:
        return None
    paid.sort()
    return Reading(paid[-1][1] != paid[-2][1], paid[-1][0] * DAY_MS)


def _salary_series(history: History, feature: Feature) -> list[Series]:
    incoming = [one for one in matching(history, feature, "amount_minor") if field(one, "direction") == "in"]
    if feature.matches is not None:
        return incoming
    return [one for one in incoming if field(one, "kind") in SALARY_KINDS]


def _salary(history: History, feature: Feature, at: Window) -> Cadence | None:
    series = _salary_series(history, feature)
    return cast(
        "Cadence | None", once(history, ("salary", at.last, keys_of(series)), lambda: cadence(payments_of(series, at)))
    )
