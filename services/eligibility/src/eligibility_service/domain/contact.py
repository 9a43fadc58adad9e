"""Contact state from contacts: pauses, and how much of each limit is used.

A policy pauses a scope key at `now` iff some matching outcome t has `#{u: t - window < u <= t} >= count` and `t <= now < t + pause`:
a function of the set of outcomes, so late, repeated and reordered events give the same state (eligibility.md section 6).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from catalog.model import Action, Bundle, ContactLimit, ContactPolicy
from eligibility_service.domain import local_time
from eligibility_service.domain.request import ContactState, Pause, Used

RESERVED = "reserved"
COUNTED = frozenset({"impression", RESERVED})
LONGEST_MONTH_MS = 31 * 86_400_000 + 2 * 3_600_000
"""With the hour that a change of the clock may add, and one to spare."""


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


def keys(action: str, group: str, issue: str) -> Mapping[str, str]:
    """What policies of each level pause."""
    return {"action": action, "group": group, "issue": issue, "all": "all"}


def wanted(action: Action, channel: str, now_ms: int) -> Contact:
    """The contact that showing an action would be."""
    return Contact(action.id, action.group, action.issue, channel, action.contact_class, RESERVED, now_ms)


def paused_until(times: Sequence[int], policy: ContactPolicy, now_ms: int) -> int | None:
    """When the pause ends that these sorted times cause at `now_ms`; None when there is none."""
    for position in range(bisect_right(times, now_ms) - 1, -1, -1):
        at = times[position]
        if now_ms >= at + policy.pause:
            return None
        if bisect_right(times, at) - bisect_right(times, at - policy.window) >= policy.count:
            return at + policy.pause
    return None


def pauses(bundle: Bundle, contacts: Iterable[Contact], now_ms: int) -> Iterator[Pause]:
    """Every pause in force."""
    known = tuple(contacts)
    for policy in bundle.contact_policies:
        for (key, channel), times in sorted(_times(policy, known).items()):
            until = paused_until(sorted(times), policy, now_ms)
            if until is not None:
                yield Pause(policy.id, policy.level, key, until, channel)


def _times(policy: ContactPolicy, contacts: Iterable[Contact]) -> Mapping[tuple[str, str], list[int]]:
    """When matching outcomes happened, by scope key and, if the policy names channels, by channel."""
    times: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in contacts:
        if each.outcome in policy.outcomes and (not policy.channels or each.channel in policy.channels):
            key = keys(each.action, each.group, each.issue)[policy.level]
            times[key, each.channel if policy.channels else ""].append(each.at_ms)
    return times


def governs(policy: ContactPolicy, action: Action, channel: str) -> bool:
    """Whether a policy covers an action on a channel."""
    in_scope = policy.applies_to is None or policy.applies_to.covers(action)
    return in_scope and (not policy.channels or channel in policy.channels)


def binds(limit: ContactLimit, contact_class: str, channel: str) -> bool:
    """Whether a limit counts contacts of this class on this channel, and ends them."""
    return channel in limit.channels and contact_class in limit.classes


def used(bundle: Bundle, contacts: Iterable[Contact], now_ms: int, where: ZoneInfo) -> Iterator[Used]:
    """How much of every limit is used; calendar periods are those of `where`."""
    counted = [each for each in contacts if each.outcome in COUNTED]
    for limit in bundle.contact_limits:
        yield _used(limit, counted, now_ms, where)


def _used(limit: ContactLimit, counted: Iterable[Contact], now_ms: int, where: ZoneInfo) -> Used:
    start, shift = _period(limit, now_ms, where)
    times = [each.at_ms for each in counted if binds(limit, each.contact_class, each.channel)]
    inside = [at for at in times if at >= start]
    first = min(inside, default=start) if limit.per.sliding else start
    return Used(limit.id, len(inside), first + shift if inside else 0)


def _period(limit: ContactLimit, now_ms: int, where: ZoneInfo) -> tuple[int, int]:
    """The first millisecond that counts, and how long one that happens then does."""
    if limit.per.sliding:
        return now_ms - limit.per.sliding + 1, limit.per.sliding
    return _calendar_period(limit.per.calendar or "day", local_time.local(now_ms, where).date(), where)


@lru_cache(64)
def _calendar_period(period: str, today: date, where: ZoneInfo) -> tuple[int, int]:
    """Asked by every decision of a day."""
    start, following = _calendar(period, today)
    begun = local_time.midnight(start, where)
    return begun, local_time.midnight(following, where) - begun


def _calendar(period: str, today: date) -> tuple[date, date]:
    """The first day of the period of `today`, and of the next."""
    if period == "month":
        first = today.replace(day=1)
        return first, (first + timedelta(days=31)).replace(day=1)
    days = {"day": 1, "week": 7}[period]
    start = today - timedelta(days=today.weekday() if period == "week" else 0)
    return start, start + timedelta(days=days)


def contact_state(bundle: Bundle, contacts: Sequence[Contact], *, version: int, now_ms: int) -> ContactState:
    """What was shown, paused and counted; calendar periods are the bank's, because the customer's zone is not asked for."""
    where = ZoneInfo(bundle.bank.time_zone)
    return ContactState(
        version=version,
        pauses=tuple(pauses(bundle, contacts, now_ms)),
        counts=tuple(sorted(used(bundle, contacts, now_ms, where), key=lambda count: count.limit)),
        last_shown=_last_shown(contacts),
    )


def _last_shown(contacts: Sequence[Contact]) -> Mapping[str, int]:
    shown: dict[str, int] = {}
    for each in contacts:
        if each.outcome == "impression":
            shown[each.action] = max(each.at_ms, shown.get(each.action, 0))
    return shown


def refusal(bundle: Bundle, contacts: Sequence[Contact], asked: Contact, now_ms: int) -> str | None:
    """The first policy or limit that leaves no place for the contact."""
    action, own = bundle.action[asked.action], keys(asked.action, asked.group, asked.issue)
    for policy in bundle.contact_policies:
        times = _times(policy, contacts).get((own[policy.level], asked.channel if policy.channels else ""))
        if times and governs(policy, action, asked.channel) and paused_until(sorted(times), policy, now_ms) is not None:
            return policy.id
    counted, where = [each for each in contacts if each.outcome in COUNTED], ZoneInfo(bundle.bank.time_zone)
    for limit in bundle.contact_limits:
        if binds(limit, asked.contact_class, asked.channel) and _used(limit, counted, now_ms, where).used >= limit.max:
            return limit.id
    return None


def memory_ms(bundle: Bundle) -> int:
    """How far back anything counts: the longest window with its pause, and the longest period."""
    pauses = [policy.window + policy.pause for policy in bundle.contact_policies]
    periods = [limit.per.sliding or LONGEST_MONTH_MS for limit in bundle.contact_limits]
    return max([LONGEST_MONTH_MS, *pauses, *periods])
