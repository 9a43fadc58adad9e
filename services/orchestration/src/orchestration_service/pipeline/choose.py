"""The stages that choose: what survives, in which order, where a limit leaves room."""

from __future__ import annotations

from collections.abc import Collection, Mapping

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
from orchestration_service.pipeline import defaults, trust
from orchestration_service.pipeline.arms import arms_of
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.facts import facts_of
from orchestration_service.pipeline.trust import item_of
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
        jurisdictions=facts_of(draft.bundle).jurisdictions,
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
    found = await ports.eligibility.evaluate(evaluate_request(draft))
    trust.check_survivors(draft, found)
    draft.evaluated = found
    return found


def no_evaluation(draft: Draft, _error: Exception) -> None:
    """The bundle's service defaults: what needs no consent and sells nothing."""
    draft.degrade("evaluate", "ELIGIBILITY_UNAVAILABLE")


def survivors(draft: Draft) -> Mapping[str, Survivor]:
    """What may be shown, by action; looked up once per decision, since evaluation comes before everybody who asks."""
    if draft.may is None:
        found = draft.evaluated.survivors if draft.evaluated else defaults.survivors(draft)
        draft.may = {survivor.action: survivor for survivor in found}
    return draft.may


def rank_request(draft: Draft, *, replay: bool = False) -> ranking.RankRequest:
    """Everything that ranking reads; placements in the bundle's order, so that the request's does not matter."""
    wanted = {placement.id: placement for placement in draft.request.placements}
    read = facts_of(draft.bundle).ranked
    return ranking.RankRequest(
        decision_id=draft.decision_id,
        now_ms=draft.now_ms,
        bundle_digest=draft.active.digest,
        snapshot_version=draft.snapshot_version,
        seed=draft.seed,
        basis=draft.signed,
        arms=draft.arms,
        view=[field for field in draft.view.fields if field.attribute in read] if draft.view else (),
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
    may = survivors(draft)
    if not may:
        return None
    found = await ports.ranking.rank(rank_request(draft))
    trust.check_slate(draft, found, may)
    draft.ranked, draft.slate = found, list(found.slate)
    return found


def no_ranking(draft: Draft, _error: Exception) -> None:
    """The bundle's static order."""
    draft.degrade("rank", "RANKING_UNAVAILABLE")
    draft.slate = defaults.static_slate(draft, survivors(draft))


async def reserve(draft: Draft, ports: Ports) -> ReserveResponse | None:
    """A place for every item that something counts; a refused one takes the next reserve of its placement."""
    total, refused = ReserveResponse(), set[str]()
    for _ in range(ROUNDS):
        held = {accepted.item for accepted in total.accepted}
        waiting = [placed for placed in _counted(draft) if item_of(placed) not in held]
        if not waiting:
            break
        draft.asked.update(map(item_of, waiting))
        answer = await ports.eligibility.reserve(_reserve_request(draft, waiting))
        trust.check_places(map(item_of, waiting), answer)
        total.MergeFrom(answer)
        taken = {accepted.item for accepted in total.accepted}
        refused |= {placed.action for placed in waiting if item_of(placed) not in taken}
        draft.slate = _replaced(draft, refused)
    _keep_held(draft, {accepted.item for accepted in total.accepted})
    draft.reserved = total if draft.asked else None
    return draft.reserved


def _counted(draft: Draft) -> list[ranking.Placed]:
    """The items of the slate that a limit or a policy counts."""
    may = survivors(draft)
    return [placed for placed in draft.slate if may[placed.action].needs_reservation]


def _reserve_request(draft: Draft, items: list[ranking.Placed]) -> ReserveRequest:
    return ReserveRequest(
        decision_id=draft.decision_id,
        subject_ids=draft.members,
        items=[ReserveItem(item=item_of(p), action=p.action, channel=draft.request.channel) for p in items],
        now_ms=draft.now_ms,
        bundle_digest=draft.active.digest,
    )


def _replaced(draft: Draft, refused: Collection[str]) -> list[ranking.Placed]:
    """The slate with the next reserve of the same placement where an action was refused, or nothing; none is tried twice."""
    spare = draft.ranked.reserves if draft.ranked else ()
    used = {placed.action for placed in draft.slate} | set(refused)
    slate = []
    for placed in draft.slate:
        if placed.action not in refused:
            slate.append(placed)
            continue
        following = next((s for s in spare if s.placement == placed.placement and s.action not in used), None)
        if following is not None:
            used.add(following.action)
            slate.append(ranking.Placed(placement=placed.placement, slot=placed.slot, action=following.action))
    return slate


def _keep_held(draft: Draft, held: Collection[str]) -> None:
    """Leave out what is counted and has no place."""
    uncounted = {item_of(placed) for placed in draft.slate} - {item_of(placed) for placed in _counted(draft)}
    draft.slate = [placed for placed in draft.slate if item_of(placed) in uncounted or item_of(placed) in held]


def no_reservation(draft: Draft, _error: Exception) -> None:
    """What is counted cannot be shown; what comes next and is not, can."""
    draft.degrade("reserve", "RESERVATION_UNAVAILABLE")
    may = survivors(draft)
    uncounted = {name: survivor for name, survivor in may.items() if not survivor.needs_reservation}
    if draft.ranked is None:
        draft.slate = defaults.static_slate(draft, uncounted)
    else:
        draft.slate = _replaced(draft, may.keys() - uncounted.keys())
