"""What a rule sees: values that the purpose may read, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from catalog.attributes import AttributeInfo
from catalog.model import Bundle, Derived
from catalog.values import Missing, Value, conform
from eligibility_service.domain import local_time
from eligibility_service.domain.request import Money, RawValue, Request, Seen
from eligibility_service.domain.verdicts import Found, Read

DAY_MS = 86_400_000
CANDIDATE = "contact.days_since_shown"
"""The one attribute whose value depends on the action that is judged."""


class Lookup(dict[str, Found]):
    """Values of one request, read for one purpose; `candidate` is the action judged, where a rule asks about it.

    A dictionary that finds what it does not have yet: rules read each value many times, so reading should cost no more than that.
    """

    def __init__(
        self,
        bundle: Bundle,
        request: Request,
        purpose: str,
        derived: Mapping[str, Derived],
        candidate: str | None = None,
    ) -> None:
        super().__init__()
        self._bundle = bundle
        self._table = bundle.table
        self._request = request
        self._purpose = purpose
        self.categories = request.categories(purpose)
        self._derived = derived
        self._candidate = candidate

    @property
    def read(self) -> Read:
        """Gives an attribute's value, or the cause of its absence."""
        return self.__getitem__

    def __missing__(self, name: str) -> Found:
        """Look it up, once."""
        info = self._table[name]
        found = self[name] = self._value(info) if info.categories <= self.categories else Missing.NO_CONSENT
        return found

    def judging(self, action: str) -> Lookup:
        """The same, for a rule that reads what is known of one action."""
        return Lookup(self._bundle, self._request, self._purpose, self._derived, action)

    def _value(self, info: AttributeInfo) -> Found:
        match info.id.partition(".")[0]:
            case "view":
                return self._view(info)
            case "signal":
                return self._signal(info)
            case "derived":
                return self._derive(info)
            case "context":
                return self._context(info)
            case "now":
                return self._now(info)
            case _:
                return self._days_since_shown()

    def _view(self, info: AttributeInfo) -> Found:
        if "profile" in self._request.unavailable:
            return Missing.UNAVAILABLE
        seen = self._request.view.get(info.id)
        if seen is None:
            return self._request.withheld.get(info.id, Missing.UNKNOWN)
        return Missing.STALE if self._stale(seen, info) else _conform(seen.value, info)

    def _stale(self, seen: Seen, info: AttributeInfo) -> bool:
        return info.freshness_ms is not None and self._request.now_ms - seen.as_of_ms > info.freshness_ms

    def _signal(self, info: AttributeInfo) -> Found:
        """A signal that was not returned is inactive: strength 0, and none of its fields is known."""
        if not self._request.signals_known:
            return Missing.UNAVAILABLE
        _, definition, *field = info.id.split(".")
        live = self._request.signals.get(definition)
        if not field:
            return 0 if live is None else live.strength
        if live is None or field[0] not in live.fields:
            return Missing.UNKNOWN
        return _conform(live.fields[field[0]], info)

    def _context(self, info: AttributeInfo) -> Found:
        if info.id == "context.channel":
            return self._request.channel
        if info.id == "context.jurisdictions":
            return frozenset(self._request.jurisdictions or (self._bundle.bank.jurisdiction,))
        if info.id not in self._request.context:
            return Missing.UNKNOWN
        return _conform(self._request.context[info.id], info)

    def _now(self, info: AttributeInfo) -> Found:
        if info.id == "now.local_hour":
            return self._wall.hour
        if info.id == "now.weekday":
            return local_time.weekday(self._wall)
        return local_time.is_holiday(self._wall.date(), self._bundle.active_packs)

    @cached_property
    def _wall(self) -> datetime:
        where = local_time.zone(customer_zone(self._request) or self._bundle.bank.time_zone)
        return local_time.local(self._request.now_ms, where or ZoneInfo("UTC"))

    def _days_since_shown(self) -> Found:
        """The one thing that is known of a candidate."""
        contact = self._request.contact
        if contact is None or "contact" in self._request.unavailable:
            return Missing.UNAVAILABLE
        at = contact.last_shown.get(self._candidate or "")
        return Missing.UNKNOWN if at is None else (self._request.now_ms - at) // DAY_MS

    def _derive(self, info: AttributeInfo) -> Found:
        derived = self._derived[info.id]
        values: list[Value] = []
        for name in derived.of:
            value = self[name]
            if isinstance(value, Missing):
                return value
            values.append(value)
        result = _ARITHMETIC[derived.op](values, self._request.now_ms)
        return result if isinstance(result, Missing) else conform(result, info.type)


def _numbers(values: list[Value]) -> list[int]:
    return [value for value in values if isinstance(value, int)]


def _ratio_bp(values: list[Value], _now_ms: int) -> Found:
    part, whole = _numbers(values)
    return Missing.UNKNOWN if whole == 0 else part * 10_000 // whole


_ARITHMETIC: Mapping[str, Callable[[list[Value], int], Found]] = {
    "add": lambda values, _: sum(_numbers(values)),
    "sub": lambda values, _: _numbers(values)[0] - sum(_numbers(values)[1:]),
    "min": lambda values, _: min(_numbers(values)),
    "max": lambda values, _: max(_numbers(values)),
    "count": lambda values, _: len(values[0]) if isinstance(values[0], frozenset) else Missing.MISMATCH,
    "days_since": lambda values, now_ms: (now_ms - _numbers(values)[0]) // DAY_MS,
    "ratio_bp": _ratio_bp,
}


def _conform(value: RawValue, info: AttributeInfo) -> Found:
    """The value in its declared type; money of another currency is a mismatch."""
    if isinstance(value, Money):
        same = info.type.kind == "money" and info.type.currency == value.currency
        return value.amount_minor if same else Missing.MISMATCH
    found = conform(value, info.type)
    if info.type.kind == "enum" and info.type.values and found not in info.type.values:
        return Missing.MISMATCH
    return found


def customer_zone(request: Request) -> str | None:
    """The customer's time zone, when the view or the request tells it."""
    seen = request.view.get("view.time_zone")
    named = seen.value if seen else request.context.get("context.time_zone")
    return named if isinstance(named, str) and local_time.zone(named) else None
