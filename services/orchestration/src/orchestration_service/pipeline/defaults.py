"""What is left when a service is away: the bundle's service defaults, static order, and fallback texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from assent.content.v1.content_service_pb2 import Rendered, RenderedContent
from assent.eligibility.v1.eligibility_service_pb2 import Survivor
from assent.ranking.v1.ranking_service_pb2 import Placed
from catalog.model import Action, Bundle, Placement, Treatment
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.trust import in_force


def survivors(draft: Draft) -> list[Survivor]:
    """What a bank may always say: it needs no consent, sells nothing, waits for no signal, and nothing unknown could forbid it."""
    channel = draft.bundle.channel[draft.request.channel]
    if channel.outbound:  # quiet hours are eligibility's to judge
        return []
    return [
        Survivor(action=action.id, placements=placements)
        for action in sorted(draft.bundle.actions, key=lambda action: action.id)
        if _is_service(draft, action) and (placements := _placements(draft, action))
    ]


def _is_service(draft: Draft, action: Action) -> bool:
    return (
        not draft.bundle.purpose[action.purpose].needs_consent
        and not action.selling
        and not action.warranted_by
        and action.contact_class == "service"
        and action.id not in draft.active.killed_of("action")
        and in_force(action, draft.now_ms)
        and not _is_judged(draft.bundle, action)
        and not _is_counted(draft.bundle, action, draft.request.channel)
    )


def _is_judged(bundle: Bundle, action: Action) -> bool:
    """Whether a rule covers it that fails on what is not known."""
    covering = (rule for rule in bundle.all_rules if rule.id in action.policies or rule.scope.covers(action))
    return any(rule.protective or rule.missing == "fail" for rule in covering)


def _is_counted(bundle: Bundle, action: Action, channel: str) -> bool:
    """Whether a contact policy or limit covers it, whose state is eligibility's."""
    return any(
        (not policy.channels or channel in policy.channels)
        and (policy.applies_to is None or policy.applies_to.covers(action))
        for policy in bundle.contact_policies
    ) or any(channel in limit.channels and action.contact_class in limit.classes for limit in bundle.contact_limits)


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
    """Each action once, and no two that exclude each other."""
    wanted = {placement.id: placement for placement in draft.request.placements}
    left, tags = list(ordered), set[str]()
    for placement in (p for p in draft.bundle.placements if p.id in wanted):
        room = _Room(placement, draft.wanted(wanted[placement.id]))
        for action in tuple(left):
            if placement.id in may[action.id].placements and tags.isdisjoint(action.exclusive) and room.takes(action):
                left.remove(action)
                tags.update(action.exclusive)
                yield Placed(placement=placement.id, slot=room.taken, action=action.id)


class _Room:
    """What a placement still takes: its items, and per group and issue."""

    def __init__(self, placement: Placement, size: int) -> None:
        self.taken = 0
        self._size = size
        self._limits = {"group": placement.max_per_group, "issue": placement.max_per_issue}
        self._used: Counter[tuple[str, str]] = Counter()

    def takes(self, action: Action) -> bool:
        """Whether it took the action."""
        keys = [("group", action.group), ("issue", action.issue)]
        limits = [(self._used[key], self._limits[key[0]]) for key in keys]
        if self.taken >= self._size or any(limit is not None and used >= limit for used, limit in limits):
            return False
        self.taken += 1
        self._used.update(keys)
        return True


def fallback(draft: Draft, action_id: str, item: str) -> Rendered | None:
    """The text that an action brings along for when content is away; None when it has none, or its treatments are stopped."""
    action = draft.bundle.action[action_id]
    chain = draft.bundle.bank.locale_chain(draft.request.locale)
    locale = next((name for name in chain if name in action.fallback), None)
    treatment = _treatment(draft, action)
    if locale is None or treatment is None:
        return None
    content = RenderedContent(body=action.fallback[locale], locale=locale)
    return Rendered(item=item, treatment=treatment.id, content=content, fallback="CONTENT_UNAVAILABLE")


def _treatment(draft: Draft, action: Action) -> Treatment | None:
    stopped = draft.active.killed_of("treatment")
    return next((t for t in action.treatments_on(draft.request.channel) if t.id not in stopped), None)
