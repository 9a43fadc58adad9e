"""What stands in the way of touching a customer now: quiet hours, pauses and limits (eligibility.md section 6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from catalog.model import Action, Bundle, ContactLimit, ContactPolicy, Pack, QuietHours
from catalog.values import Missing
from eligibility_service.domain import local_time
from eligibility_service.domain.contact import binds, governs, keys
from eligibility_service.domain.lookup import customer_zone
from eligibility_service.domain.reasons import Reason, built_in, touching
from eligibility_service.domain.request import ContactState, Pause, Request

CONTACT_CONTROL = "contact_control"


@dataclass(frozen=True, slots=True)
class Cover:
    """What counts contacts of one action on one channel: policies with the key they pause, limits, and quiet hours by name."""

    policies: tuple[tuple[ContactPolicy, str], ...]
    limits: tuple[ContactLimit, ...]
    quiet: tuple[str, ...]

    @property
    def counted(self) -> bool:
        """Whether a contact counts for anything: then it needs a reservation, and unknown contact state stops it."""
        return bool(self.policies or self.limits)


@dataclass(frozen=True, slots=True)
class Calm:
    """The quiet hours that bind a channel, by name, and the zones of those who bind it."""

    hours: Mapping[str, QuietHours]
    zones: tuple[ZoneInfo, ...]


def calm(bundle: Bundle, channel: str, packs: tuple[Pack, ...]) -> Calm:
    """The channel's own quiet hours and those of the packs in force; only what goes out has any."""
    if not bundle.channel[channel].outbound:
        return Calm({}, ())
    sources = {f"channels.{channel}": bundle.channel[channel].quiet_hours} | {
        f"packs.{pack.id}": pack.quiet_hours for pack in packs
    }
    here = {
        f"{source}.quiet_hours.{place}": hours
        for source, listed in sources.items()
        for place, hours in enumerate(listed)
        if channel in hours.channels
    }
    zones = [name for pack in packs for name in pack.zones] or [bundle.bank.time_zone]
    return Calm(here, tuple(filter(None, map(local_time.zone, sorted(set(zones))))))


def cover(bundle: Bundle, action: Action, channel: str, calm: Calm) -> Cover:
    """What binds this action here."""
    own = keys(action.id, action.group, action.issue)
    policies = [policy for policy in bundle.contact_policies if governs(policy, action, channel)]
    limits = [limit for limit in bundle.contact_limits if binds(limit, action.contact_class, channel)]
    quiet = [name for name, hours in calm.hours.items() if action.contact_class not in hours.exempt]
    return Cover(tuple((policy, own[policy.level]) for policy in policies), tuple(limits), tuple(quiet))


class Touching:
    """What stands in the way of anything at the moment of one request."""

    def __init__(self, bundle: Bundle, request: Request, calm: Calm) -> None:
        self._unknown = _unknown(request)
        contact = request.contact or ContactState()
        self._pauses = {
            (pause.policy, pause.key): pause
            for pause in sorted(contact.pauses, key=lambda pause: pause.until_ms)
            if request.now_ms < pause.until_ms and pause.channel in {"", request.channel}
        }
        self._used = {count.limit: count for count in contact.counts}
        self._quiet = frozenset(_silent(bundle, request, calm))

    def __call__(self, cover: Cover) -> list[Reason]:
        """Every reason against an action that is covered like this."""
        found = [touching(name, "QUIET_HOURS", disclose="customer") for name in cover.quiet if name in self._quiet]
        if self._unknown is None:
            found += self._counted(cover)
        elif cover.counted:
            found.append(built_in("CONTACT_UNKNOWN", stage="contact", seen=self._unknown))
        return found

    def _counted(self, cover: Cover) -> Iterator[Reason]:
        for policy, key in cover.policies if self._pauses else ():
            pause = self._pauses.get((policy.id, key))
            if pause is not None:
                yield _paused(policy, pause)
        for limit in cover.limits:
            count = self._used.get(limit.id)
            if (count.used if count else 0) >= limit.max:
                yield touching(limit.id, "CONTACT_LIMIT", until_ms=count.resets_ms if count else 0)


def _unknown(request: Request) -> Missing | None:
    """Why contact state cannot be told, if it cannot."""
    if not request.categories(CONTACT_CONTROL):
        return Missing.NO_CONSENT
    away = request.contact is None or "contact" in request.unavailable
    return Missing.UNAVAILABLE if away else None


def _paused(policy: ContactPolicy, pause: Pause) -> Reason:
    told = policy.reason
    if told is None:
        return touching(policy.id, "CONTACT_PAUSED", until_ms=pause.until_ms)
    return touching(policy.id, told.code, text=told.text, disclose=told.disclose, until_ms=pause.until_ms)


def _silent(bundle: Bundle, request: Request, calm: Calm) -> Iterator[str]:
    """The quiet hours that last now, in the customer's zone or, where that is unknown, in any of those it may be."""
    if not calm.hours:
        return
    named = local_time.zone(customer_zone(request) or "")
    zones = (named,) if named else calm.zones
    holidays = {each: _holiday(bundle, request, each) for each in zones}
    for name, hours in calm.hours.items():
        if any(local_time.is_quiet(hours, request.now_ms, each, holiday=holidays[each]) for each in zones):
            yield name


def _holiday(bundle: Bundle, request: Request, where: ZoneInfo) -> bool:
    return local_time.is_holiday(local_time.local(request.now_ms, where).date(), bundle.active_packs)
