"""The stages that choose: what survives, in which order, where a limit leaves room."""

from __future__ import annotations

from collections.abc import Mapping

from assent.catalog.v1.value_pb2 import Attribute, Value
from assent.eligibility.v1.eligibility_service_pb2 import (
    EvaluateRequest,
    EvaluateResponse,
    ReserveItem,
    ReserveRequest,
    ReserveResponse,
    Survivor,
)
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.ranking.v1 import ranking_service_pb2 as ranking
from orchestration_service.pipeline import defaults
from orchestration_service.pipeline.arms import arms_of
from orchestration_service.pipeline.draft import Draft
from orchestration_service.ports import Ports

ROUNDS = 3
"""How often refused items are replaced before their slots stay empty."""


def context_of(request: pb.DecideRequest) -> list[Attribute]:
    """The request's context as attributes; what was not said is absent."""
    said = request.context
    named = {
        "context.screen": said.screen,
        "context.flow": said.flow,
        "context.step": said.step,
        "context.device_class": said.device_class,
        "context.time_zone": said.time_zone,
    }
    told = [Attribute(name=name, value=Value(text=text)) for name, text in named.items() if text]
    return told + list(said.attributes)


def evaluate_request(draft: Draft) -> EvaluateRequest:
    """Everything that evaluation needs."""
    return EvaluateRequest(
        decision_id=draft.decision_id,
        now_ms=draft.now_ms,
        bundle_digest=draft.active.digest,
        basis=draft.signed,
        subject_ids=draft.members,
        jurisdictions=[draft.bundle.bank.jurisdiction],
        channel=draft.request.channel,
        placements=sorted(placement.id for placement in draft.request.placements),
        view=draft.view.fields if draft.view else (),
        withheld=draft.view.withheld if draft.view else (),
        signals=draft.signals.signals if draft.signals else (),
        signals_fresh=draft.signals is not None and draft.signals.fresh,
        context=context_of(draft.request),
        contact=draft.contact.state if draft.contact else None,
        killed=draft.active.killed_of("action"),
        unavailable=sorted(draft.unavailable),
    )


async def evaluate(draft: Draft, ports: Ports) -> EvaluateResponse:
    """What survives, and every reason for the rest."""
    draft.evaluated = await ports.eligibility.evaluate(evaluate_request(draft))
    return draft.evaluated


def no_evaluation(draft: Draft, _error: Exception) -> None:
    """The bundle's service defaults: what needs no consent and sells nothing."""
    draft.degrade("evaluate", "ELIGIBILITY_UNAVAILABLE")


def survivors(draft: Draft) -> Mapping[str, Survivor]:
    """What may be shown, by action."""
    found = draft.evaluated.survivors if draft.evaluated else defaults.survivors(draft)
    return {survivor.action: survivor for survivor in found}


def rank_request(draft: Draft, *, replay: bool = False) -> ranking.RankRequest:
    """Everything that ranking needs; placements in the bundle's order, so that the request's does not matter."""
    wanted = {placement.id: placement for placement in draft.request.placements}
    return ranking.RankRequest(
        decision_id=draft.decision_id,
        now_ms=draft.now_ms,
        bundle_digest=draft.active.digest,
        snapshot_version=draft.snapshot_version,
        seed=draft.seed,
        basis=draft.signed,
        arms=draft.arms,
        view=draft.view.fields if draft.view else (),
        signals=draft.signals.signals if draft.signals else (),
        context=context_of(draft.request),
        contact=draft.contact.state if draft.contact else None,
        candidates=[ranking.Candidate(action=s.action, placements=s.placements) for s in survivors(draft).values()],
        placements=[
            ranking.PlacementRequest(id=name, max_items=draft.wanted(wanted[name]))
            for name in draft.bundle.placement
            if name in wanted
        ],
        killed=draft.active.killed_of("model"),
        channel=draft.request.channel,
        replay=replay,
    )


async def rank(draft: Draft, ports: Ports) -> ranking.RankResponse | None:
    """The slate and its reserves."""
    draft.arms = arms_of(draft)
    if not survivors(draft):
        return None
    draft.ranked = await ports.ranking.rank(rank_request(draft))
    draft.slate = list(draft.ranked.slate)
    return draft.ranked


def no_ranking(draft: Draft, _error: Exception) -> None:
    """The bundle's static order."""
    draft.degrade("rank", "RANKING_UNAVAILABLE")
    draft.slate = defaults.static_slate(draft, survivors(draft))


async def reserve(draft: Draft, ports: Ports) -> ReserveResponse | None:
    """A place for every item that something counts; a refused one takes the next reserve of its placement."""
    may = survivors(draft)
    total = ReserveResponse()
    for _ in range(ROUNDS):
        held = {accepted.item for accepted in total.accepted}
        open_items = [p for p in draft.slate if may[p.action].needs_reservation and _item(p) not in held]
        if not open_items:
            break
        answer = await ports.eligibility.reserve(_reserve_request(draft, open_items))
        total.MergeFrom(answer)
        _replace(draft, {refused.item for refused in answer.refused})
    else:
        accepted = {accepted.item for accepted in total.accepted}
        draft.slate = [p for p in draft.slate if not may[p.action].needs_reservation or _item(p) in accepted]
    if not total.accepted and not total.refused:
        return None
    draft.reserved = total
    return total


def _item(placed: ranking.Placed) -> str:
    """An item's name in its decision."""
    return f"{placed.placement}/{placed.slot}/{placed.action}"


def _reserve_request(draft: Draft, items: list[ranking.Placed]) -> ReserveRequest:
    return ReserveRequest(
        decision_id=draft.decision_id,
        subject_ids=draft.members,
        items=[ReserveItem(item=_item(p), action=p.action, channel=draft.request.channel) for p in items],
        now_ms=draft.now_ms,
        bundle_digest=draft.active.digest,
    )


def _replace(draft: Draft, refused: set[str]) -> None:
    """Put the next reserve of the same placement where an item was refused, or nothing."""
    spare = list(draft.ranked.reserves) if draft.ranked else []
    shown = {placed.action for placed in draft.slate}
    slate = []
    for placed in draft.slate:
        if _item(placed) not in refused:
            slate.append(placed)
            continue
        following = next((s for s in spare if s.placement == placed.placement and s.action not in shown), None)
        if following is not None:
            shown.add(following.action)
            slate.append(ranking.Placed(placement=placed.placement, slot=placed.slot, action=following.action))
    draft.slate = slate


def no_reservation(draft: Draft, _error: Exception) -> None:
    """What is counted cannot be shown."""
    draft.degrade("reserve", "RESERVATION_UNAVAILABLE")
    may = survivors(draft)
    draft.slate = [placed for placed in draft.slate if not may[placed.action].needs_reservation]
