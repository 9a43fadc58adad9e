"""Use cases: evaluate, tell contact state, reserve, release, learn of outcomes, forget."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from catalog.model import Bundle
from eligibility_service.domain import contact, evaluation
from eligibility_service.domain.evaluation import Evaluation
from eligibility_service.domain.request import ContactState, Request
from eligibility_service.ports import Answer, Contacts, Policies, Wish
from servicekit.errors import Invalid

IN_SESSION_MS = 10 * 60 * 1000
OUTBOUND_MS = 86_400_000


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
    now_ms: int,
    policies: Policies,
    contacts: Contacts,
) -> ContactState:
    """What was shown, paused and counted."""
    policy = await policies.get(digest)
    version, known = await contacts.of(subject_ids, since_ms=now_ms - policy.memory_ms, now_ms=now_ms)
    return contact.contact_state(policy.bundle, known, version=version, now_ms=now_ms)


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
    bundle = policy.bundle
    items = [_wish(bundle, wish, place, now_ms) for place, wish in enumerate(wishes)]
    outbound = any(bundle.channel[wish.contact.channel].outbound for wish in items)
    return await contacts.reserve(
        decision_id,
        sorted(subject_ids),
        items,
        admit=lambda known, wanted: contact.refusal(bundle, known, wanted, now_ms),
        since_ms=now_ms - policy.memory_ms,
        now_ms=now_ms,
        until_ms=now_ms + (ttl_ms or (OUTBOUND_MS if outbound else IN_SESSION_MS)),
    )


def _wish(bundle: Bundle, wish: tuple[str, str, str], place: int, now_ms: int) -> Wish:
    item, action_id, channel = wish
    action = bundle.action.get(action_id)
    if action is None:
        raise Invalid("The bundle has no such action", reason="UNKNOWN_ACTION", field=f"items[{place}].action")
    if channel not in bundle.channel:
        raise Invalid("The bundle has no such channel", reason="UNKNOWN_CHANNEL", field=f"items[{place}].channel")
    return Wish(item, contact.wanted(action, channel, now_ms))
