"""Contact policies, limits and quiet hours.

A policy pauses a scope key at `now` iff some matching outcome t has `#{u: t - window < u <= t} >= count` and `t <= now < t + pause`:
a function of the set of outcomes, so late, repeated and reordered events give the same state (eligibility.md section 6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from catalog.model import Action, Bundle, ContactLimit, ContactPolicy, QuietHours, Scope
from eligibility_service.domain import local_time
from eligibility_service.domain.lookup import customer_zone, jurisdictions
from eligibility_service.domain.request import ContactState, Pause, Request, Used


@dataclass(frozen=True, slots=True)
class Contact:
    """One thing that happened between the bank and a customer: an outcome, or a reservation that still holds (`reserved`)."""

    action: str
    group: str
    issue: str
    channel: str
    contact_class: str
    outcome: str
    at_ms: int

    def key(self, level: str) -> str:
        """What a policy of that level pauses."""
        return {"action": self.action, "group": self.group, "issue": self.issue, "all": "all"}[level]


def in_scope(scope: Scope | None, action: Action) -> bool:
    """Whether a scope covers an action; no scope covers all."""
    return (
        scope is None
        or scope.all_
        or action.issue in scope.issue
        or action.group in scope.group
        or action.id in scope.action
        or action.kind in scope.kind
        or not set(action.tags).isdisjoint(scope.tag)
    )


def paused_until(times: Sequence[int], policy: ContactPolicy, now_ms: int) -> int | None:
    """When the pause ends that these sorted times cause at `now_ms`; None when there is none."""
    for position in range(bisect_right(times, now_ms) - 1, -1, -1):
        at = times[position]
        if now_ms >= at + policy.pause:
            return None
        first = bisect_right(times, at - policy.window)
        after = bisect_right(times, at)
        if after - first >= policy.count:
            return at + policy.pause
    return None


def pauses(bundle: Bundle, contacts: Iterable[Contact], now_ms: int) -> Iterator[Pause]:
    """Every pause in force."""
    known = tuple(contacts)
    for policy in bundle.contact_policies:
        times: dict[tuple[str, str], list[int]] = defaultdict(list)
        for contact in known:
            if contact.outcome in policy.outcomes and (not policy.channels or contact.channel in policy.channels):
                times[contact.key(policy.level), contact.channel if policy.channels else ""].append(contact.at_ms)
        for (key, channel), at in sorted(times.items()):
            until = paused_until(sorted(at), policy, now_ms)
            if until is not None:
                yield Pause(policy.id, policy.level, key, until, channel)


def used(bundle: Bundle, contacts: Iterable[Contact], now_ms: int, where: ZoneInfo) -> Iterator[Used]:
    """How much of every limit is used."""
    counted = [contact for contact in contacts if contact.outcome in {"impression", "reserved"}]
    for limit in bundle.contact_limits:
        start = period_start(limit, now_ms, where)
        times = sorted(contact.at_ms for contact in counted if counts_for(limit, contact) and contact.at_ms > start)
        yield Used(limit.id, len(times), _resets(limit, times, now_ms, where))


def counts_for(limit: ContactLimit, contact: Contact) -> bool:
    """Whether the contact is one that the limit counts."""
    return contact.channel in limit.channels and contact.contact_class in limit.classes


def period_start(limit: ContactLimit, now_ms: int, where: ZoneInfo) -> int:
    """The last millisecond that no longer counts."""
    if limit.per.sliding:
        return now_ms - limit.per.sliding
    return _milliseconds(_calendar_start(limit, now_ms, where)) - 1


def _calendar_start(limit: ContactLimit, now_ms: int, where: ZoneInfo) -> datetime:
    today = local_time.local(now_ms, where).replace(hour=0, minute=0, second=0, microsecond=0)
    back = {"day": 0, "week": today.weekday(), "month": today.day - 1}[limit.per.calendar or "day"]
    return today - timedelta(days=back)


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp()) * 1000


def _resets(limit: ContactLimit, times: Sequence[int], now_ms: int, where: ZoneInfo) -> int:
    if not times:
        return 0
    if limit.per.sliding:
        return times[0] + limit.per.sliding
    start = _calendar_start(limit, now_ms, where)
    days = {"day": 1, "week": 7, "month": 31}[limit.per.calendar or "day"]
    following = start + timedelta(days=days)
    return _milliseconds(following.replace(day=1) if limit.per.calendar == "month" else following)


@dataclass(frozen=True, slots=True)
class Block:
    """Why contact stands in an action's way."""

    rule: str
    code: str
    text: str = ""
    disclose: str = "staff"
    until_ms: int = 0
    missing: str = ""


def binds(limit: ContactLimit, action: Action, channel: str) -> bool:
    """Whether a limit covers an action on a channel."""
    return channel in limit.channels and action.contact_class in limit.classes


def governs(policy: ContactPolicy, action: Action, channel: str) -> bool:
    """Whether a policy covers an action on a channel."""
    return in_scope(policy.applies_to, action) and (not policy.channels or channel in policy.channels)


def covered(bundle: Bundle, action: Action, channel: str) -> bool:
    """Whether anything counts contacts of this action: then it needs a reservation, and unknown contact state stops it."""
    return any(binds(limit, action, channel) for limit in bundle.contact_limits) or any(
        governs(policy, action, channel) for policy in bundle.contact_policies
    )


def blocks(bundle: Bundle, request: Request, action: Action) -> Iterator[Block]:
    """Everything about contact that stands in the action's way."""
    yield from _quiet(bundle, request, action)
    if request.contact is None or "contact" in request.unavailable or "contact_control" not in (request.allowed or {}):
        if covered(bundle, action, request.channel):
            yield Block("builtin.contact_unknown", "CONTACT_UNKNOWN", missing="unavailable")
        return
    yield from _paused(bundle, request, request.contact, action)
    yield from _limited(bundle, request, request.contact, action)


def _paused(bundle: Bundle, request: Request, contact: ContactState, action: Action) -> Iterator[Block]:
    policies = {policy.id: policy for policy in bundle.contact_policies}
    keys = {"action": action.id, "group": action.group, "issue": action.issue, "all": "all"}
    for pause in contact.pauses:
        policy = policies.get(pause.policy)
        if (
            policy is not None
            and request.now_ms < pause.until_ms
            and keys[policy.level] == pause.key
            and pause.channel in {"", request.channel}
            and governs(policy, action, request.channel)
        ):
            reason = policy.reason
            code, text, disclose = (
                (reason.code, reason.text, reason.disclose) if reason else ("CONTACT_PAUSED", "", "staff")
            )
            yield Block(policy.id, code, text, disclose, pause.until_ms)


def _limited(bundle: Bundle, request: Request, contact: ContactState, action: Action) -> Iterator[Block]:
    counts = {count.limit: count for count in contact.counts}
    for limit in bundle.contact_limits:
        count = counts.get(limit.id, Used(limit.id, 0))
        if binds(limit, action, request.channel) and count.used >= limit.max:
            yield Block(limit.id, "CONTACT_LIMIT", until_ms=count.resets_ms)


def _quiet(bundle: Bundle, request: Request, action: Action) -> Iterator[Block]:
    channel = bundle.channel.get(request.channel)
    if channel is None or not channel.outbound:
        return
    for name, hours in _quiet_hours(bundle, request):
        bound = request.channel in hours.channels and action.contact_class not in hours.exempt
        if bound and any(_quiet_there(bundle, request, hours, where) for where in _zones(bundle, request)):
            yield Block(name, "QUIET_HOURS", disclose="customer")


def _quiet_there(bundle: Bundle, request: Request, hours: QuietHours, where: ZoneInfo) -> bool:
    holiday = local_time.is_holiday(local_time.local(request.now_ms, where), bundle.active_packs)
    return local_time.is_quiet(hours, request.now_ms, where, holiday=holiday)


def _quiet_hours(bundle: Bundle, request: Request) -> Iterator[tuple[str, QuietHours]]:
    own = bundle.channel[request.channel].quiet_hours
    yield from ((f"channels.{request.channel}.quiet_hours", hours) for hours in own)
    for pack in bundle.active_packs:
        if pack.jurisdiction in jurisdictions(bundle, request):
            yield from ((f"packs.{pack.id}.quiet_hours", hours) for hours in pack.quiet_hours)


def _zones(bundle: Bundle, request: Request) -> tuple[ZoneInfo, ...]:
    """The customer's zone; unknown, all zones of the jurisdictions, because quiet in any of them is quiet."""
    named = customer_zone(request)
    bound = jurisdictions(bundle, request)
    names = (
        (named,)
        if named
        else tuple(z for pack in bundle.active_packs if pack.jurisdiction in bound for z in pack.zones)
    )
    return tuple(filter(None, map(local_time.zone, names or (bundle.bank.time_zone,))))
