"""From recorded decisions and outcomes to what the learner takes from them."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import DecodeError

from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.outcome_pb2 import OutcomeRecorded, OutcomeType
from assent.orchestration.v1.record_pb2 import DecisionRecord
from ranking_service.domain.learning import Decision, Item, ItemOutcome, Outcome, may_learn
from ranking_service.domain.specification import Specification
from servicekit.basis import Basis, SignedBasis, Verifier
from servicekit.errors import Forbidden, Invalid

FORMAT: Final = 1
KINDS: Final = {
    OutcomeType.OUTCOME_TYPE_IMPRESSION: "impression",
    OutcomeType.OUTCOME_TYPE_CLICK: "click",
    OutcomeType.OUTCOME_TYPE_DISMISS: "dismiss",
    OutcomeType.OUTCOME_TYPE_ACCEPT: "accept",
    OutcomeType.OUTCOME_TYPE_CONVERT: "convert",
    OutcomeType.OUTCOME_TYPE_COMPLAINT: "complaint",
}


def record_of(recorded: DecisionRecorded) -> DecisionRecord:
    """The record of a decision. Raises Invalid for one that cannot be read."""
    try:
        record = DecisionRecord.FromString(recorded.record)
    except DecodeError:
        raise Invalid("The record cannot be read.", reason="RECORD_UNREADABLE", field="record") from None
    if record.format != FORMAT:
        raise Invalid("The record is of another format.", reason="RECORD_FORMAT", field="record.format")
    return record


def placed_something(record: DecisionRecord) -> bool:
    """Whether an action stands anywhere."""
    return any(answer.treatments for answer in record.placements)


def basis_of(record: DecisionRecord, verifier: Verifier) -> Basis | None:
    """What was allowed when the decision was made: verified as it was then, because a basis lives for seconds."""
    signed = SignedBasis(record.basis.body, record.basis.key_id, record.basis.signature)
    try:
        return verifier.verify_then(
            signed, now_us=record.now_ms * 1000, subject=record.subject_id, channel=record.request.channel
        )
    except Forbidden:
        return None


def decision_of(record: DecisionRecord, basis: Basis | None, specification: Specification | None) -> Decision:
    """What the learner keeps: no item when the basis does not allow learning."""
    learnable = basis is not None and may_learn(basis.allowed) and specification is not None
    return Decision(
        id=_id(record.decision_id, "decision_id"),
        subject_id=record.subject_id,
        channel=record.request.channel,
        at_ms=record.now_ms,
        ledger_index=basis.index if basis else 0,
        arm=record.ranked.arm,
        snapshot_version=record.ranked.snapshot_version,
        items=items_of(record, specification) if learnable and specification else (),
    )


def items_of(record: DecisionRecord, specification: Specification) -> tuple[Item, ...]:
    """The placed actions that have a model. An action stands in a decision once."""
    found = {}
    for answer in record.placements:
        for treatment in answer.treatments:
            action = specification.actions.get(treatment.action)
            if action is not None and action.model is not None:
                found[action.id] = Item(
                    decision_id=record.decision_id,
                    action=action.id,
                    placement=answer.placement,
                    slot=treatment.rank,
                    model=action.model,
                    channel=record.request.channel,
                    attribution=action.attribution,
                )
    return tuple(found.values())


def outcome_of(recorded: OutcomeRecorded) -> ItemOutcome:
    """The outcome of an item. Raises Invalid for one that says too little."""
    kind = KINDS.get(recorded.type)
    if kind is None:
        raise Invalid("The outcome is of no known type.", reason="UNKNOWN_TYPE", field="type")
    return ItemOutcome(
        decision_id=_id(recorded.decision_id, "decision_id"),
        action=_id(recorded.action, "action"),
        subject_id=_id(recorded.subject_id, "subject_id"),
        channel=recorded.channel,
        outcome=Outcome(_id(recorded.outcome_id, "outcome_id"), kind, recorded.occurred_at_ms, recorded.replaces),
    )


def _id(text: str, field: str) -> str:
    if not text or len(text) > 256 or "\x00" in text:
        raise Invalid("An id is 1 to 256 characters.", reason="BAD_ID", field=field)
    return text
