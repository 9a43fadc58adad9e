"""The naive reference of eligibility.md: what survives and every reason why not, read straight off the rules.

It walks raw expressions in Kleene logic, one action and rule at a time, and shares no code with the engine that
serves: the two are compared on random bundles and requests, and on every golden case. Slow on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from catalog.attributes import WEEKDAYS
from catalog.expression import evaluate, settle
from catalog.frozen import FrozenMap
from catalog.golden import Outcome
from catalog.jurisdictions import lies_in
from catalog.model import Action, Bundle, ContactPolicy, Derived, Given, Pack, QuietHours, Rule, SignalDefinition
from catalog.values import Missing, Value, conform

NO_CONSENT = "NO_CONSENT"
NOT_IN_FORCE = "NOT_IN_FORCE"
KILLED = "KILLED"
NOT_WARRANTED = "NOT_WARRANTED"
HELP_FIRST = "HELP_FIRST"
VULNERABLE = "VULNERABLE"
CONTACT_UNKNOWN = "CONTACT_UNKNOWN"
CONTACT_PAUSED = "CONTACT_PAUSED"
CONTACT_LIMIT = "CONTACT_LIMIT"
QUIET_HOURS = "QUIET_HOURS"

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000
SAFEGUARDING = "safeguarding"
CONTACT_CONTROL = "contact_control"


def evaluate_reference(bundle: Bundle, given: Given) -> Outcome:
    """Survivors, and all codes of every other candidate; what could appear nowhere here is neither."""
    moment = _Moment(bundle, given)
    codes = {action.id: frozenset(moment.codes(action)) for action in bundle.actions if moment.candidate(action)}
    survivors = frozenset(action for action, found in codes.items() if not found)
    return Outcome(survivors, FrozenMap({action: found for action, found in codes.items() if found}))


@dataclass(frozen=True)
class _Moment:
    bundle: Bundle
    given: Given

    def codes(self, action: Action) -> Iterator[str]:
        """Every reason against the action."""
        yield from self._built_in(action)
        for rule in (*self.bundle.rules, *(rule for pack in self._packs for rule in pack.rules)):
            if rule.scope.covers(action) and not self._holds(rule, action):
                yield rule.reason.code
        yield from self._contact(action)

    def _built_in(self, action: Action) -> Iterator[str]:
        given, purpose = self.given, self.bundle.purpose[action.purpose]
        if purpose.needs_consent and not given.basis.get(action.purpose):
            yield NO_CONSENT
        if given.now < action.validity.start or (
            action.validity.until is not None and given.now >= action.validity.until
        ):
            yield NOT_IN_FORCE
        if action.id in given.killed:
            yield KILLED
        if action.warranted_by and not any(self._active(name, action.purpose) for name in action.warranted_by):
            yield NOT_WARRANTED
        if action.selling and self._friction():
            yield HELP_FIRST
        if action.selling and self._vulnerable():
            yield VULNERABLE

    def candidate(self, action: Action) -> bool:
        """Whether the action could appear at all: it has a treatment here, and a placement that is asked for."""
        asked = self.given.placements or tuple(self.bundle.placement)
        here = [name for name in action.placements if name in asked]
        shown = any(self.given.channel in self.bundle.placement[name].channels for name in here)
        return shown and bool(action.treatments_on(self.given.channel))

    def _active(self, signal: str, purpose: str) -> bool:
        strength = self._signal(signal, purpose)
        return not isinstance(strength, Missing) and bool(strength)

    def _friction(self) -> bool:
        help_first = self.bundle.help_first
        if not self._signals_known:
            return True
        if help_first.require_observation and not all(self._watched(signal) for signal in self.bundle.signals):
            return True
        friction = [name for name, strength in self._strengths.items() if strength >= help_first.strength]
        return any(self.bundle.signal[name].kind == "friction" for name in friction)

    def _watched(self, signal: SignalDefinition) -> bool:
        return signal.kind != "friction" or self.bundle.needs[signal.id] <= {*self.given.basis.get(signal.purpose, ())}

    def _vulnerable(self) -> bool:
        flags = self.lookup(SAFEGUARDING)("view.vulnerability")
        return not isinstance(flags, frozenset) or bool(flags)

    def _holds(self, rule: Rule, action: Action) -> bool:
        purpose = SAFEGUARDING if rule.protective else action.purpose
        truth = evaluate(self.bundle.expression(rule.require), self.lookup(purpose, action))
        return settle(truth, "fail" if rule.protective else rule.missing)

    # What a rule may see

    @cached_property
    def _packs(self) -> tuple[Pack, ...]:
        """The packs that bind this customer; where customer and bank are in different ones, all apply."""
        places = (*self.given.jurisdictions, self.bundle.bank.jurisdiction)
        return tuple(
            pack for pack in self.bundle.active_packs if any(lies_in(place, pack.jurisdiction) for place in places)
        )

    @cached_property
    def _signals_known(self) -> bool:
        return self.given.signals_fresh and "signals" not in self.given.unavailable

    @cached_property
    def _strengths(self) -> dict[str, int]:
        signals = self.given.signals
        return {
            one.id: self.bundle.signal[one.id].strength if one.strength is None else one.strength for one in signals
        }

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(str(self.given.view.get("view.time_zone", self.bundle.bank.time_zone)))

    def lookup(self, purpose: str, action: Action | None = None) -> Callable[[str], Value | Missing]:
        """Attribute values as the purpose may see them."""

        def look(name: str) -> Value | Missing:
            if not self.bundle.table[name].categories <= {*self.given.basis.get(purpose, ())}:
                return Missing.NO_CONSENT
            return self._value(name, purpose, action)

        return look

    def _value(self, name: str, purpose: str, action: Action | None) -> Value | Missing:
        namespace = name.partition(".")[0]
        if namespace == "signal":
            return self._signal(name.removeprefix("signal."), purpose)
        if namespace == "now":
            return self._clock(name)
        if namespace == "derived":
            return self._derived(next(one for one in self.bundle.derived if one.id == name), purpose, action)
        if namespace == "contact":
            return self._days_since_shown(action)
        return self._given(name)

    def _given(self, name: str) -> Value | Missing:
        if name == "context.channel":
            return self.given.channel
        if name == "context.jurisdictions":
            return frozenset(self.given.jurisdictions or (self.bundle.bank.jurisdiction,))
        if name.startswith("view.") and "profile" in self.given.unavailable:
            return Missing.UNAVAILABLE
        values = self.given.view if name.startswith("view.") else self.given.context
        return conform(values[name], self.bundle.table[name].type) if name in values else Missing.UNKNOWN

    def _signal(self, name: str, purpose: str) -> Value | Missing:
        if not self._signals_known:
            return Missing.UNAVAILABLE
        definition, _, field = name.partition(".")
        if not self.bundle.needs[definition] <= {*self.given.basis.get(purpose, ())}:
            return Missing.NO_CONSENT
        active = next((one for one in self.given.signals if one.id == definition), None)
        if not field:
            return self._strengths.get(definition, 0)
        value = active.fields.get(field) if active else None
        return Missing.UNKNOWN if value is None else conform(value, self.bundle.table[f"signal.{name}"].type)

    def _clock(self, name: str) -> Value:
        local = self._local(self._zone)
        if name == "now.local_hour":
            return local.hour
        return WEEKDAYS[local.weekday()] if name == "now.weekday" else local.date() in self._holidays

    def _days_since_shown(self, action: Action | None) -> Value | Missing:
        times = [shown.at for shown in self.given.contact.last_shown if action and shown.action == action.id]
        return (self.given.now - max(times)) // DAY_MS if times else Missing.UNKNOWN

    def _derived(self, derived: Derived, purpose: str, action: Action | None) -> Value | Missing:
        inputs = [self.lookup(purpose, action)(name) for name in derived.of]
        absent = [value for value in inputs if isinstance(value, Missing)]
        if absent:
            return absent[0]
        return _compute(derived, inputs, self.given.now)

    # Contact

    def _contact(self, action: Action) -> Iterator[str]:
        policies = [policy for policy in self.bundle.contact_policies if self._binds(policy, action)]
        limits = [limit for limit in self.bundle.contact_limits if self._limits(limit.channels, limit.classes, action)]
        known = bool(self.given.basis.get(CONTACT_CONTROL)) and "contact" not in self.given.unavailable
        if (policies or limits) and not known:
            yield CONTACT_UNKNOWN
        for policy in policies:
            if known and self._paused(policy, action):
                yield policy.reason.code if policy.reason else CONTACT_PAUSED
        used = {count.limit: count.used for count in self.given.contact.counts}
        if known and any(used.get(limit.id, 0) >= limit.max for limit in limits):
            yield CONTACT_LIMIT
        if self.bundle.channel[self.given.channel].outbound and self._quiet(action):
            yield QUIET_HOURS

    def _binds(self, policy: ContactPolicy, action: Action) -> bool:
        covered = policy.applies_to is None or policy.applies_to.covers(action)
        return covered and (not policy.channels or self.given.channel in policy.channels)

    def _limits(self, channels: tuple[str, ...], classes: tuple[str, ...], action: Action) -> bool:
        return self.given.channel in channels and action.contact_class in classes

    def _paused(self, policy: ContactPolicy, action: Action) -> bool:
        key = {"action": action.id, "group": action.group, "issue": action.issue, "all": "all"}[policy.level]
        return any(
            pause.policy == policy.id
            and pause.key == key
            and pause.channel in {None, self.given.channel}
            and self.given.now < pause.until
            for pause in self.given.contact.pauses
        )

    @cached_property
    def _holidays(self) -> frozenset[date]:
        return frozenset(_moment(day).date() for pack in self.bundle.active_packs for day in pack.holidays)

    def _quiet(self, action: Action) -> bool:
        hours = [*self.bundle.channel[self.given.channel].quiet_hours]
        hours += [one for pack in self._packs for one in pack.quiet_hours]
        binding = [
            one for one in hours if self.given.channel in one.channels and action.contact_class not in one.exempt
        ]
        return any(self._silent(one, zone) for one in binding for zone in self._zones)

    @cached_property
    def _zones(self) -> list[ZoneInfo]:
        """The customer's zone; unknown, those of the packs that bind, because quiet in any of them is quiet."""
        named = "view.time_zone" in self.given.view
        return [ZoneInfo(zone) for pack in self._packs for zone in pack.zones if not named] or [self._zone]

    def _silent(self, hours: QuietHours, zone: ZoneInfo) -> bool:
        local = self._local(zone)
        if hours.holidays and local.date() in self._holidays:
            return True
        clock = f"{local.hour:02}:{local.minute:02}"
        begun = local - timedelta(days=1) if hours.start >= hours.end and clock < hours.end else local
        if hours.days and WEEKDAYS[begun.weekday()] not in hours.days:
            return False
        if hours.start < hours.end:
            return hours.start <= clock < hours.end
        return clock >= hours.start or clock < hours.end

    def _local(self, zone: ZoneInfo) -> datetime:
        return _moment(self.given.now).astimezone(zone)


def _moment(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _compute(derived: Derived, inputs: list[Value | Missing], now: int) -> Value | Missing:
    if derived.op == "count":
        [members] = inputs
        assert isinstance(members, frozenset)
        return len(members)
    numbers = [value for value in inputs if isinstance(value, int)]
    if derived.op == "ratio_bp":
        return numbers[0] * 10_000 // numbers[1] if numbers[1] else Missing.UNKNOWN
    if derived.op == "days_since":
        return (now - numbers[0]) // DAY_MS
    combine: dict[str, Callable[[list[int]], int]] = {"add": sum, "sub": lambda n: n[0] - n[1], "min": min, "max": max}
    return combine[derived.op](numbers)
