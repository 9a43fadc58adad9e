"""Payments that repeat: payees and payers in a rhythm, and what is missing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, cast

from profile_service.domain.cadence import Cadence, cadence
from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Detector, Feature, Reading, matching, up_to
from profile_service.domain.history import History, Series
from profile_service.domain.transactions import field, keys_of, once, payments_of
from profile_service.domain.windows import Window

UNREPEATED: Final = frozenset({"cash", "fee", "interest", "card"})
"""Kinds of payment that are not looked at for payees that repeat; a subscription paid by card is a `subscription`."""


def of_recurring(read: Callable[[Mapping[str, Cadence], int], int | bool | frozenset[str] | None]) -> Detector:
    """A detector that reads the recurring payees and today; unknown of a subject of whom nothing is known."""

    def detect(history: History, feature: Feature, at: Window) -> Reading | None:
        value = read(recurring(history, feature, at), at.last) if history.newest_ms else None
        return None if value is None else Reading(value, up_to(history, at))

    return detect


def recurring(history: History, feature: Feature, at: Window) -> Mapping[str, Cadence]:
    """The payees that are paid in a rhythm which still goes on."""
    return _alive(_rhythms(history, feature, at, "out"), at)


def next_due(found: Mapping[str, Cadence], today: int) -> int | None:
    """When the next payment is due."""
    due = [one.next for one in found.values() if one.next >= today]
    return min(due) * DAY_MS if due else None


def price_rise(found: Mapping[str, Cadence], _today: int) -> int | None:
    """The greatest rise of a last payment over the one before, in basis points."""
    rises = [(one.newest - one.earlier) * 10_000 // one.earlier for one in found.values() if one.earlier > 0]
    return max([0, *rises]) if found else None


def missed_payments(history: History, feature: Feature, at: Window) -> Reading | None:
    """Payments in a rhythm, in or out, that were due in the window and did not come."""
    if not history.newest_ms:
        return None
    found = [*_rhythms(history, feature, at, "in").values(), *_rhythms(history, feature, at, "out").values()]
    return Reading(sum(one.missed(at.last) and one.next >= at.first for one in found), up_to(history, at))


def _alive(found: Mapping[str, Cadence], at: Window) -> Mapping[str, Cadence]:
    return {payee: one for payee, one in found.items() if one.alive(at.last)}


def _rhythms(history: History, feature: Feature, at: Window, direction: str) -> Mapping[str, Cadence]:
    """Payees or payers by the rhythm of all their payments, however short the feature's window."""
    series = [one for one in matching(history, feature, "amount_minor") if field(one, "direction") == direction]
    key = ("rhythms", at.last, keys_of(series))
    return cast("Mapping[str, Cadence]", once(history, key, lambda: _rhythms_of(series, at)))


def _rhythms_of(found: Iterable[Series], at: Window) -> Mapping[str, Cadence]:
    payees: dict[str, list[Series]] = {}
    for one in found:
        payee = field(one, "merchant") or field(one, "counterparty")
        if payee and field(one, "kind") not in UNREPEATED:
            payees.setdefault(payee, []).append(one)
    rhythms = {payee: cadence(payments_of(series, at)) for payee, series in payees.items()}
    return {payee: one for payee, one in rhythms.items() if one is not None}
