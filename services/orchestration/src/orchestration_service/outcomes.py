"""RecordOutcomes: validate what a channel says became of a treatment, and publish it. Nothing is interpreted here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from assent.events.v1.outcome_pb2 import OutcomeRecorded, OutcomeType
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from catalog.model import Bundle
from orchestration_service.archive import find, is_decision_id
from orchestration_service.domain.tracking import is_genuine
from orchestration_service.ports import Archive, Catalog, Outcomes
from servicekit.clock import Clock
from servicekit.errors import AssentError, Invalid, NotFound, Unavailable

MOST: Final = 500
OUTCOME_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{8,64}")
ACTION: Final = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
TOKEN: Final = re.compile(r"[A-Za-z0-9_=-]{1,64}")
HIGHEST_RANK: Final = 16
AHEAD_MS: Final = 5 * 60 * 1000
"""How far a channel's clock may be ahead."""


async def record_outcomes(
    outcomes: Sequence[pb.Outcome],
    *,
    archive: Archive,
    stream: Outcomes,
    catalog: Catalog,
    clock: Clock,
    tracking_key: bytes,
) -> list[pb.OutcomeResult]:
    """A status for each, in order; a bad one affects no other. Raises Invalid for the list as a whole."""
    if not 0 < len(outcomes) <= MOST:
        raise Invalid(f"1 to {MOST} outcomes", reason="BAD_COUNT", field="outcomes")
    records = await _records(archive, outcomes, tracking_key)
    known = await stream.known([outcome.outcome_id for outcome in outcomes if OUTCOME_ID.fullmatch(outcome.outcome_id)])
    checked = [_try(outcome, records, tracking_key, clock.now_us() // 1000) for outcome in outcomes]
    facts: dict[str, OutcomeRecorded] = {}
    for outcome, error in zip(outcomes, checked, strict=True):
        if error is None and outcome.outcome_id not in known and outcome.outcome_id not in facts:
            record = records[outcome.decision_id]
            facts[outcome.outcome_id] = _fact(outcome, record, await catalog.get(record.bundle_digest))
    published = dict(zip(facts, await stream.publish(list(facts.values())), strict=True))
    return [_result(outcome, error, published) for outcome, error in _once(outcomes, checked)]


async def _records(archive: Archive, outcomes: Sequence[pb.Outcome], key: bytes) -> Mapping[str, DecisionRecord]:
    """The decisions that they name. A genuine token of one that is not archived yet is no mistake: Unavailable, so that it comes again."""
    names = {outcome.decision_id for outcome in outcomes if is_decision_id(outcome.decision_id)}
    found = await archive.find(sorted(names))
    ours = {o.decision_id for o in outcomes if o.decision_id in names - found.keys() and _has_token_of_ours(o, key)}
    if ours:
        found = await find(archive, names, wait_for=ours)
    if not ours <= found.keys():
        raise Unavailable("A decision is not archived yet", reason="DECISION_NOT_ARCHIVED", retry_after_ms=1000)
    return {name: DecisionRecord.FromString(archived.record) for name, archived in found.items() if archived.record}


def _has_token_of_ours(outcome: pb.Outcome, key: bytes) -> bool:
    """Whether the token is genuine for the decision, at whatever rank."""
    if not (ACTION.fullmatch(outcome.action) and TOKEN.fullmatch(outcome.tracking_token)):
        return False
    ranks = range(1, HIGHEST_RANK + 1)
    return any(is_genuine(key, outcome.tracking_token, outcome.decision_id, outcome.action, rank) for rank in ranks)


def _try(outcome: pb.Outcome, records: Mapping[str, DecisionRecord], key: bytes, now_ms: int) -> AssentError | None:
    """What is wrong with it."""
    try:
        _check(outcome, records.get(outcome.decision_id), key, now_ms)
    except AssentError as error:
        return error
    return None


def _check(outcome: pb.Outcome, record: DecisionRecord | None, key: bytes, now_ms: int) -> None:
    if not OUTCOME_ID.fullmatch(outcome.outcome_id):
        raise Invalid("8 to 64 characters", reason="BAD_TEXT", field="outcome_id")
    if outcome.replaces and not OUTCOME_ID.fullmatch(outcome.replaces):
        raise Invalid("8 to 64 characters", reason="BAD_TEXT", field="replaces")
    if record is None:
        raise NotFound("There is no such decision", reason="UNKNOWN_DECISION", field="decision_id")
    if outcome.type == OutcomeType.OUTCOME_TYPE_UNSPECIFIED or outcome.type not in OutcomeType.values():
        raise Invalid("A known type", reason="UNKNOWN_TYPE", field="type")
    placed = _placed(record, outcome.action)
    if placed is None or not is_genuine(
        key, outcome.tracking_token, record.decision_id, outcome.action, placed[1].rank
    ):
        raise Invalid("Not the token of this treatment", reason="BAD_TRACKING_TOKEN", field="tracking_token")
    if not record.now_ms - AHEAD_MS <= outcome.occurred_at_ms <= now_ms + AHEAD_MS:
        raise Invalid("Between the decision and now", reason="BAD_TIME", field="occurred_at_ms")


def _placed(record: DecisionRecord, action: str) -> tuple[str, pb.Treatment] | None:
    """Where the decision showed the action."""
    shown = ((answer.placement, treatment) for answer in record.placements for treatment in answer.treatments)
    return next((found for found in shown if found[1].action == action), None)


def _fact(outcome: pb.Outcome, record: DecisionRecord, bundle: Bundle) -> OutcomeRecorded:
    found = _placed(record, outcome.action)
    assert found is not None
    placement, treatment = found
    action = bundle.action[outcome.action]
    fact = OutcomeRecorded(
        outcome_id=outcome.outcome_id,
        decision_id=outcome.decision_id,
        subject_id=record.subject_id,
        placement=placement,
        action=action.id,
        treatment=treatment.treatment,
        rank=treatment.rank,
        type=outcome.type,
        occurred_at_ms=outcome.occurred_at_ms,
        replaces=outcome.replaces,
        channel=record.request.channel,
        group=action.group,
        issue=action.issue,
        contact_class=action.contact_class,
    )
    if outcome.HasField("value_minor"):
        fact.value_minor = outcome.value_minor
    return fact


def _once(
    outcomes: Sequence[pb.Outcome], errors: Sequence[AssentError | None]
) -> list[tuple[pb.Outcome, AssentError | str | None]]:
    """Each outcome with its error; a second one of the same id in the same list is a duplicate."""
    seen: set[str] = set()
    found: list[tuple[pb.Outcome, AssentError | str | None]] = []
    for outcome, error in zip(outcomes, errors, strict=True):
        found.append((outcome, "duplicate" if error is None and outcome.outcome_id in seen else error))
        if error is None:
            seen.add(outcome.outcome_id)
    return found


def _result(
    outcome: pb.Outcome, error: AssentError | str | None, published: Mapping[str, Exception | bool]
) -> pb.OutcomeResult:
    if isinstance(error, AssentError):
        return pb.OutcomeResult(
            outcome_id=outcome.outcome_id,
            status=pb.OUTCOME_STATUS_REJECTED,
            reason=error.code,
            field=error.field or "",
        )
    new = published.get(outcome.outcome_id, False)
    if isinstance(new, Exception):
        raise new
    accepted = new and error is None
    status = pb.OUTCOME_STATUS_ACCEPTED if accepted else pb.OUTCOME_STATUS_DUPLICATE
    return pb.OutcomeResult(outcome_id=outcome.outcome_id, status=status)
