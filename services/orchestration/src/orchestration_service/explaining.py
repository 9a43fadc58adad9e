"""The funnel of a recorded decision, for its audience. Reads the record and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from assent.eligibility.v1.eligibility_service_pb2 import Reason, Rejected
from assent.orchestration.v1 import explanation_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.ranking.v1.ranking_service_pb2 import Score

READERS: Final = {"customer": ("customer",), "agent": ("customer", "staff"), "auditor": ("customer", "staff", "never")}
"""Which disclosures each audience may read."""


def explain(record: DecisionRecord, audience: str) -> pb.Explanation:
    """Every candidate with what became of it; reasons as far as the audience may read them."""
    body = json.loads(record.basis.body) if record.basis.body else {}
    return pb.Explanation(
        decision_id=record.decision_id,
        candidates=[*_survivors(record), *(_removed(rejected, audience) for rejected in record.evaluated.rejected)],
        stages=record.evaluated.stage_counts,
        degradations=[degradation.code for degradation in record.degradations],
        consent_index=body.get("index", 0),
        allowed_purposes=sorted(entry["purpose"] for entry in body.get("allowed", ())),
        signals=sorted({signal.definition for signal in record.signals.signals}),
    )


def _survivors(record: DecisionRecord) -> Iterator[pb.CandidateExplanation]:
    """Those that survived: placed ones first, then by rank."""
    placed = {t.action: answer.placement for answer in record.placements for t in answer.treatments}
    reserves = {reserve.action for reserve in record.ranked.reserves}
    scores = {score.action: score for score in record.ranked.scores}
    names = [survivor.action for survivor in record.evaluated.survivors] or list(placed)
    for name in sorted(names, key=lambda name: (name not in placed, scores.get(name, Score()).rank, name)):
        result = "placed" if name in placed else "reserve" if name in reserves else "outranked"
        yield pb.CandidateExplanation(
            action=name, result=result, placement=placed.get(name, ""), score=scores.get(name)
        )


def _removed(rejected: Rejected, audience: str) -> pb.CandidateExplanation:
    told = [reason for reason in rejected.reasons if reason.disclose in READERS[audience]]
    return pb.CandidateExplanation(
        action=rejected.action, result=rejected.stage, reasons=[_told(reason, audience) for reason in told]
    )


def _told(reason: Reason, audience: str) -> Reason:
    """A customer reads why, not the value that the bank saw."""
    if audience != "customer":
        return reason
    return Reason(stage=reason.stage, code=reason.code, text=reason.text, disclose=reason.disclose)
