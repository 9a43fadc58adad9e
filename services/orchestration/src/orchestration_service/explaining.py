"""The funnel of a recorded decision, for its audience. Reads the record and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from assent.eligibility.v1.eligibility_service_pb2 import Reason
from assent.orchestration.v1 import explanation_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.ranking.v1.ranking_service_pb2 import Score
from orchestration_service.pipeline.trust import item_of

CUSTOMER: Final = "customer"
READERS: Final = {CUSTOMER: ("customer",), "agent": ("customer", "staff"), "auditor": ("customer", "staff", "never")}
"""Which disclosures each audience may read."""
CONTACT: Final = "contact"


def explain(record: DecisionRecord, audience: str) -> pb.Explanation:
    """Every candidate with what became of it; reasons as far as the audience may read them.

    A customer reads nothing of what may not be told: no candidate whose reasons are all withheld, no scores, counts and signals.
    """
    body = json.loads(record.basis.body) if record.basis.body else {}
    told = pb.Explanation(
        decision_id=record.decision_id,
        candidates=[*_survivors(record, audience), *_removed(record, audience)],
        degradations=sorted({degradation.code for degradation in record.degradations}),
        consent_index=body.get("index", 0),
        allowed_purposes=sorted({entry["purpose"] for entry in body.get("allowed", ())}),
    )
    if audience != CUSTOMER:
        told.stages.extend(record.evaluated.stage_counts)
        told.signals.extend(sorted({signal.definition for signal in record.signals.signals}))
    return told


def _survivors(record: DecisionRecord, audience: str) -> Iterator[pb.CandidateExplanation]:
    """Those that survived: placed ones first, then by rank."""
    placed = {t.action: answer.placement for answer in record.placements for t in answer.treatments}
    scores = {score.action: score for score in record.ranked.scores}
    names = {survivor.action for survivor in record.evaluated.survivors} | set(placed)
    for name in sorted(names, key=lambda name: (name not in placed, scores.get(name, Score()).rank, name)):
        yield pb.CandidateExplanation(
            action=name,
            result=_result(record, name, placed),
            placement=placed.get(name, ""),
            reasons=_refusal(record, name, audience),
            score=scores.get(name) if audience != CUSTOMER else None,
        )


def _result(record: DecisionRecord, action: str, placed: dict[str, str]) -> str:
    if action in placed:
        return "placed"
    if _refused(record, action):
        return CONTACT
    return "reserve" if any(reserve.action == action for reserve in record.ranked.reserves) else "outranked"


def _refused(record: DecisionRecord, action: str) -> str:
    """The policy or limit that left no room for it."""
    names = {item_of(p): p.action for p in (*record.ranked.slate, *record.ranked.reserves, *record.slate)}
    refused = record.reserved.refused
    return next((r.cause for r in refused if names.get(r.item, r.item.rpartition("/")[2]) == action), "")


def _refusal(record: DecisionRecord, action: str, audience: str) -> list[Reason]:
    cause = _refused(record, action)
    if not cause or "staff" not in READERS[audience]:
        return []
    return [Reason(stage=CONTACT, rule=cause, code="NO_PLACE_LEFT", disclose="staff")]


def _removed(record: DecisionRecord, audience: str) -> Iterator[pb.CandidateExplanation]:
    for rejected in record.evaluated.rejected:
        told = [_told(reason, audience) for reason in rejected.reasons if reason.disclose in READERS[audience]]
        if audience != CUSTOMER:
            yield pb.CandidateExplanation(action=rejected.action, result=rejected.stage, reasons=told)
        elif told:
            # Not the stage that came first: that one may say what must not be said.
            yield pb.CandidateExplanation(action=rejected.action, result=told[0].stage, reasons=told)


def _told(reason: Reason, audience: str) -> Reason:
    """A customer reads why, not the value that the bank saw."""
    if audience != CUSTOMER:
        return reason
    return Reason(stage=reason.stage, code=reason.code, text=reason.text, disclose=reason.disclose)
