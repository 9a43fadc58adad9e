"""What is left when a service is away: the bundle's service defaults, static order, and fallback texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from assent.content.v1.content_service_pb2 import Rendered, RenderedContent
from assent.eligibility.v1.eligibility_service_pb2 import Survivor
from assent.ranking.v1.ranking_service_pb2 import Placed
from catalog.model import Action
from orchestration_service.pipeline.draft import Draft


def survivors(draft: Draft) -> list[Survivor]:
    """Actions that need no consent, sell nothing, wait for no signal and are in force: what a bank may always say."""
    return [
        Survivor(action=action.id, placements=placements)
        for action in sorted(draft.bundle.actions, key=lambda action: action.id)
        if _is_service(draft, action) and (placements := _placements(draft, action))
    ]


def _is_service(draft: Draft, action: Action) -> bool:
    validity = action.validity
    return (
        not draft.bundle.purpose[action.purpose].needs_consent
        and not action.selling
        and not action.warranted_by
        and action.contact_class == "service"
        and action.id not in draft.active.killed_of("action")
        and validity.start <= draft.now_ms
        and (validity.until is None or draft.now_ms < validity.until)
    )


def _placements(draft: Draft, action: Action) -> list[str]:
    channel = draft.request.channel
    if not action.treatments_on(channel):
        return []
    wanted = {placement.id for placement in draft.request.placements}
    return sorted(p for p in action.placements if p in wanted and channel in draft.bundle.placement[p].channels)


def static_slate(draft: Draft, may: Mapping[str, Survivor]) -> list[Placed]:
    """Mandatory actions first, then the bundle's static order, then by id; placements in the bundle's order."""
    order = {action: position for position, action in enumerate(draft.bundle.ranking.static_order)}
    actions = [draft.bundle.action[name] for name in may]
    ordered = sorted(actions, key=lambda action: (not action.mandatory, order.get(action.id, len(order)), action.id))
    return list(_fill(draft, ordered, may))


def _fill(draft: Draft, ordered: Iterable[Action], may: Mapping[str, Survivor]) -> Iterator[Placed]:
    wanted = {placement.id: placement for placement in draft.request.placements}
    left = list(ordered)
    for name in (name for name in draft.bundle.placement if name in wanted):
        fitting = [action for action in left if name in may[action.id].placements][: draft.wanted(wanted[name])]
        for slot, action in enumerate(fitting, start=1):
            left.remove(action)
            yield Placed(placement=name, slot=slot, action=action.id)


def fallback(draft: Draft, action_id: str, item: str) -> Rendered:
    """The text that an action brings along for when content is away."""
    action = draft.bundle.action[action_id]
    chain = draft.bundle.bank.locale_chain(draft.request.locale)
    locale = next((name for name in chain if name in action.fallback), "")
    text = action.fallback.get(locale, "")
    treatments = action.treatments_on(draft.request.channel)
    content = RenderedContent(body=text, locale=locale)
    return Rendered(
        item=item, treatment=treatments[0].id if treatments else "", content=content, fallback="CONTENT_UNAVAILABLE"
    )
