"""Use cases: evaluate, tell contact state, reserve, release, learn of outcomes, forget."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

from catalog.model import Bundle
from eligibility_service.domain import contact, evaluation
from eligibility_service.domain.contact import Contact
from eligibility_service.domain.evaluation import Evaluation
from eligibility_service.domain.policy import Policy
from eligibility_service.domain.request import ContactState, Request
from eligibility_service.ports import Answer, Contacts, Policies, Wish
from servicekit.errors import Forbidden, Invalid

CONTACT_CONTROL = "contact_control"
DAY_MS = 86_400_000
LONGEST_MONTH_MS = 31 * DAY_MS
IN_SESSION_MS = 10 * 60 * 1000
OUTBOUND_MS = DAY_MS


async def evaluate(digest: str, request: Request, *, policies: Policies) -> Evaluation:
    """What survives, and every reason why the rest does not."""
    policy = await policies.get(digest)
    if request.channel not in policy.bundle.channel:
        raise Invalid("The bundle has no such channel", reason="UNKNOWN_CHANNEL", field="channel")
    return evaluation.evaluate_request(policy, request)


async def contact_state(
    digest: str,
    subject_ids: Collection[str],
    *,
    allowed: Collection[str],
    now_ms: int,
    policies: Policies,
    contacts: Contacts,
) -> ContactState:
    """What was shown, paused and counted. Raises Forbidden unless the basis allows contact control."""
    if CONTACT_CONTROL not in allowed:
        raise Forbidden("The basis does not allow contact control", reason="BASIS_SCOPE")
    bundle = (await policies.get(digest)).bundle
    version, known = await contacts.of(subject_ids, since_ms=now_ms - memory_ms(bundle), now_ms=now_ms)
    return ContactState(
        version=version,
        pauses=tuple(contact.pauses(bundle, known, now_ms)),
        counts=tuple(
            sorted(contact.used(bundle, known, now_ms, ZoneInfo(bundle.bank.time_zone)), key=lambda c: c.limit)
        ),
        last_shown=_last_shown(known),
    )


def memory_ms(bundle: Bundle) -> int:
    """How far back anything counts: the longest window with its pause, and the longest period."""
    pauses = [policy.window + policy.pause for policy in bundle.contact_policies]
    periods = [limit.per.sliding or LONGEST_MONTH_MS for limit in bundle.contact_limits]
    return max([LONGEST_MONTH_MS, *pauses, *periods])


def _last_shown(known: Sequence[Contact]) -> dict[str, int]:
    shown: dict[str, int] = {}
    for each in known:
        if each.outcome == "impression":
            shown[each.action] = max(each.at_ms, shown.get(each.action, 0))
    return shown


async def reserve(
    digest: str,
    decision_id: str,
    subject_ids: Sequence[str],
    wishes: Sequence[tuple[str, str, str]],
    *,
    now_ms: int,
    ttl_ms: int,
    policies: Policies,
    contacts: Contacts,
) -> Answer:
    """Take a place for each (item, action, channel) where policies and limits leave one."""
    policy = await policies.get(digest)
    items = [Wish(item, _contact(policy, action, channel, now_ms)) for item, action, channel in wishes]
    ttl = ttl_ms or (
        OUTBOUND_MS if any(policy.bundle.channel[w.contact.channel].outbound for w in items) else IN_SESSION_MS
    )
    return await contacts.reserve(
        decision_id,
        sorted(subject_ids),
        items,
        admit=lambda known, wanted: refusal(policy.bundle, known, wanted, now_ms),
        since_ms=now_ms - memory_ms(policy.bundle),
        now_ms=now_ms,
        until_ms=now_ms + ttl,
    )


def _contact(policy: Policy, action_id: str, channel: str, now_ms: int) -> Contact:
    action = policy.bundle.action.get(action_id)
    if action is None or channel not in policy.bundle.channel:
        raise Invalid("The bundle has no such action or channel", reason="UNKNOWN_ACTION", field="items")
    return Contact(action.id, action.group, action.issue, channel, action.contact_class, "reserved", now_ms)


def refusal(bundle: Bundle, known: Sequence[Contact], wanted: Contact, now_ms: int) -> str | None:
    """The first policy or limit that leaves no place for the wanted contact."""
    action = bundle.action[wanted.action]
    policies = {policy.id: policy for policy in bundle.contact_policies}
    for pause in contact.pauses(bundle, known, now_ms):
        same = pause.key == wanted.key(pause.scope) and pause.channel in {"", wanted.channel}
        if same and contact.governs(policies[pause.policy], action, wanted.channel):
            return pause.policy
    limits = {limit.id: limit for limit in bundle.contact_limits}
    for count in contact.used(bundle, known, now_ms, ZoneInfo(bundle.bank.time_zone)):
        if contact.counts_for(limits[count.limit], wanted) and count.used >= limits[count.limit].max:
            return count.limit
    return None
