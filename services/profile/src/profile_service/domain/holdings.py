"""What registers say: products held, when they mature, complaints, life events and goals."""

from __future__ import annotations

from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Feature, Reading, up_to
from profile_service.domain.fold import LAST
from profile_service.domain.history import History
from profile_service.domain.windows import Window


def tenure_days(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Days since the first product was opened."""
    opened = [at_ms for _, at_ms, _ in history.group("<opened") if at_ms <= at.now_ms]
    return Reading(at.last - min(opened) // DAY_MS, up_to(history, at)) if opened else None


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


def maturity_days(history: History, feature: Feature, at: Window) -> Reading | None:
    """Days until the next of the open holdings matures."""
    due = next_maturity(history, feature, at)
    return Reading(int(due.value) // DAY_MS - at.last, due.as_of_ms) if due and isinstance(due.value, int) else None


def maturing_amount(history: History, _feature: Feature, at: Window) -> Reading | None:
    """The balance of the account whose id is the holding that matures next."""
    due = [
        (terms[1], name)
        for name, (_, terms) in open_holdings(history).items()
        if isinstance(terms[1], int) and terms[1] >= at.last * DAY_MS
    ]
    name = min(due)[1] if due else None
    for series in history.of("balance", "balance_minor"):
        newest = series.before(at.last + 1)
        if series.fields[0] == name and newest:
            return Reading(newest[1][LAST], newest[0] * DAY_MS + newest[1][0])
    return None


def open_complaint(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Whether a complaint is open."""
    if not history.newest_ms:
        return None
    return Reading(any(state == "open" for *_, state in history.group("complaint")), up_to(history, at))


def life_events(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Kinds of life events dated in the window, or later."""
    if not history.newest_ms:
        return None
    kinds = {kind for kind, _, day in history.group("life") if day >= at.first * DAY_MS}
    return Reading(frozenset(kinds), up_to(history, at))


def goals(history: History, _feature: Feature, at: Window) -> Reading | None:
    """Kinds of goals that are set."""
    if not history.newest_ms:
        return None
    return Reading(frozenset(kind for kind, *_ in history.group("goal")), up_to(history, at))
