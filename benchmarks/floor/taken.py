"""The messages of the hops, as they were in a recorded decision: same requests, same answers, same sizes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from google.protobuf.message import Message

from assent.catalog.v1.value_pb2 import Attribute
from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest, EvaluateBasisResponse
from assent.content.v1.content_service_pb2 import RenderItem, RenderRequest
from assent.eligibility.v1 import eligibility_service_pb2 as eligibility
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.profile.v1.profile_service_pb2 import GetViewRequest, ResolveSubjectRequest, ResolveSubjectResponse
from assent.ranking.v1.ranking_service_pb2 import Candidate, PlacementRequest, RankRequest
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsRequest
from benchmarks.floor.hops import Hop, Prepared
from catalog.model import Bundle
from orchestration_service.pipeline.facts import facts_of

Messages = tuple[str, str, Message, Message]
"""Service, method, request, response."""
ROWS = (("resolve",), ("basis",), ("view", "signals", "contact"), ("evaluate",), ("rank",), ("reserve", "render"))
"""The rows of the pipeline (orchestration.md, Stages)."""


def taken(record: DecisionRecord, receipt: pb.Receipt, bundle: Bundle) -> Prepared:
    """The hops that this decision made: a stage that had nothing to do made none."""
    made = {stage.stage for stage in record.stages if stage.outcome == "ok"}
    rows = [[_hop(stage, record, bundle) for stage in row if stage in made] for row in ROWS]
    answer = pb.DecideResponse(
        decision_id=record.decision_id,
        placements=record.placements,
        consent=record.consent,
        bundle_digest=record.bundle_digest,
        snapshot_version=record.snapshot_version,
        receipt=receipt,
    )
    return Prepared(
        [row for row in rows if row], record.SerializeToString(deterministic=True), answer.SerializeToString()
    )


def _hop(stage: str, record: DecisionRecord, bundle: Bundle) -> Hop:
    service, method, request, response = STAGES[stage](record, bundle)
    return Hop(stage, service, method, request.SerializeToString(), response.SerializeToString())


def _resolve(record: DecisionRecord, _: Bundle) -> Messages:
    found = ResolveSubjectResponse(subject_id=record.subject_id, members=record.members)
    return "profile", "ResolveSubject", ResolveSubjectRequest(identifier=record.request.subject), found


def _basis(record: DecisionRecord, _: Bundle) -> Messages:
    asked = EvaluateBasisRequest(subject_id=record.subject_id, channel=record.request.channel)
    return "consent", "EvaluateBasis", asked, EvaluateBasisResponse(basis=record.basis)


def _view(record: DecisionRecord, _: Bundle) -> Messages:
    asked = GetViewRequest(
        basis=record.basis,
        subject_id=record.subject_id,
        channel=record.request.channel,
        bundle_digest=record.bundle_digest,
        now_ms=record.now_ms,
    )
    return "profile", "GetView", asked, record.view


def _signals(record: DecisionRecord, _: Bundle) -> Messages:
    asked = GetActiveSignalsRequest(
        basis=record.basis, subject_id=record.subject_id, channel=record.request.channel, now_ms=record.now_ms
    )
    return "signals", "GetActiveSignals", asked, record.signals


def _contact(record: DecisionRecord, _: Bundle) -> Messages:
    asked = eligibility.GetContactStateRequest(
        subject_ids=record.members,
        now_ms=record.now_ms,
        basis=record.basis,
        channel=record.request.channel,
        bundle_digest=record.bundle_digest,
    )
    return "eligibility", "GetContactState", asked, record.contact


def _evaluate(record: DecisionRecord, bundle: Bundle) -> Messages:
    asked = eligibility.EvaluateRequest(
        decision_id=record.decision_id,
        now_ms=record.now_ms,
        bundle_digest=record.bundle_digest,
        basis=record.basis,
        subject_ids=record.members,
        jurisdictions=facts_of(bundle).jurisdictions,
        channel=record.request.channel,
        placements=[placement.id for placement in record.request.placements],
        view=record.view.fields,
        withheld=record.view.withheld,
        signals=record.signals.signals,
        signals_fresh=True,
        contact=record.contact.state,
    )
    return "eligibility", "Evaluate", asked, record.evaluated


def _rank(record: DecisionRecord, bundle: Bundle) -> Messages:
    survivors, read = record.evaluated.survivors, facts_of(bundle).ranked
    asked = RankRequest(
        decision_id=record.decision_id,
        now_ms=record.now_ms,
        bundle_digest=record.bundle_digest,
        snapshot_version=record.snapshot_version,
        seed=record.seed,
        basis=record.basis,
        arms=record.arms,
        view=[field for field in record.view.fields if field.attribute in read],
        signals=record.signals.signals,
        contact=record.contact.state,
        candidates=[Candidate(action=each.action, placements=each.placements) for each in survivors],
        placements=[PlacementRequest(id=placement.id, max_items=1) for placement in record.request.placements],
        channel=record.request.channel,
    )
    return "ranking", "Rank", asked, record.ranked


def _reserve(record: DecisionRecord, _: Bundle) -> Messages:
    held = [each.item for each in record.reserved.accepted] + [each.item for each in record.reserved.refused]
    channel = record.request.channel
    items = [eligibility.ReserveItem(item=item, action=item.rpartition("/")[2], channel=channel) for item in held]
    asked = eligibility.ReserveRequest(
        decision_id=record.decision_id,
        subject_ids=record.members,
        items=items,
        now_ms=record.now_ms,
        bundle_digest=record.bundle_digest,
    )
    return "eligibility", "Reserve", asked, record.reserved


def _render(record: DecisionRecord, bundle: Bundle) -> Messages:
    named = facts_of(bundle).named
    items = [
        RenderItem(
            item=f"{placed.placement}/{placed.slot}",
            action=placed.action,
            placement=placed.placement,
            values=_values(record, bundle.action[placed.action].purpose, named[placed.action]),
        )
        for placed in record.slate
    ]
    asked = RenderRequest(
        bundle_digest=record.bundle_digest, locale=record.request.locale, channel=record.request.channel, items=items
    )
    return "content", "Render", asked, record.rendered


def _values(record: DecisionRecord, purpose: str, named: Collection[str]) -> list[Attribute]:
    readable = (field for field in record.view.fields if field.attribute in named and purpose in field.purposes)
    return [Attribute(name=field.attribute, value=field.value) for field in readable]


STAGES: Mapping[str, Callable[[DecisionRecord, Bundle], Messages]] = {
    "resolve": _resolve,
    "basis": _basis,
    "view": _view,
    "signals": _signals,
    "contact": _contact,
    "evaluate": _evaluate,
    "rank": _rank,
    "reserve": _reserve,
    "render": _render,
}
