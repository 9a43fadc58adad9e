"""What customers do comes back: to eligibility, which stops in time, and to ranking, which learns."""

from uuid import uuid4

import pytest
from e2e_world import OFFER, PATIENCE_S, actions, now_ms

from assent.events.v1 import outcome_pb2
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.explanation_pb2 import AUDIENCE_AUDITOR
from testkit.waiting import until

pytestmark = pytest.mark.e2e


def outcome(decision: pb.DecideResponse, shown: str, kind: int, **more) -> pb.Outcome:
    token = next(t.tracking_token for p in decision.placements for t in p.treatments if t.action == shown)
    said = {
        "outcome_id": uuid4().hex,
        "decision_id": decision.decision_id,
        "action": shown,
        "type": kind,
        "occurred_at_ms": now_ms(),
        "tracking_token": token,
    }
    return pb.Outcome(**(said | more))


async def record(world, *outcomes: pb.Outcome) -> list[pb.OutcomeResult]:
    stub = await world.who.app.orchestration()
    return list((await stub.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=outcomes), timeout=PATIENCE_S)).results)


async def test_an_action_dismissed_twice_is_paused(world):
    customer, first = await world.an_offered_customer()
    for decision in (first, await until(lambda: world.offered(customer), timeout=5)):
        [result] = await record(world, outcome(decision, OFFER, outcome_pb2.OUTCOME_TYPE_DISMISS))
        assert result.status == pb.OUTCOME_STATUS_ACCEPTED

    async def paused():
        decision = await world.decide(customer)
        return None if OFFER in actions(decision) else decision

    decision = await until(paused, timeout=10)
    auditor = await world.who.auditor.orchestration()
    explained = await auditor.ExplainDecision(
        pb.ExplainDecisionRequest(decision_id=decision.decision_id, audience=AUDIENCE_AUDITOR)
    )
    offer = next(c for c in explained.explanation.candidates if c.action == OFFER)

    assert offer.result == "contact"
    assert "dismissed_twice" in {reason.rule.removeprefix("contact.") for reason in offer.reasons}


async def test_ranking_counts_the_evidence_and_publishes_a_newer_snapshot(world):
    def counted(snapshot):
        return sum(c.positives for c in snapshot.counts if c.action == OFFER and not c.context)

    _, decision = await world.an_offered_customer()
    before = await world.snapshot()
    shown = outcome(decision, OFFER, outcome_pb2.OUTCOME_TYPE_IMPRESSION)
    converted = outcome(decision, OFFER, outcome_pb2.OUTCOME_TYPE_CONVERT, value_minor=5_000)
    results = await record(world, shown, converted)

    assert [r.status for r in results] == [pb.OUTCOME_STATUS_ACCEPTED] * 2

    async def learned():
        snapshot = await world.snapshot()
        return snapshot if counted(snapshot) > counted(before) else None

    after = await until(learned, timeout=20, every=0.2)
    assert after.version > before.version
    assert after.digest != before.digest


async def test_what_is_not_an_outcome_of_ours_is_turned_away_and_the_rest_is_kept(world):
    _, decision = await world.an_offered_customer()
    _, foreign = await world.an_offered_customer()
    click = outcome_pb2.OUTCOME_TYPE_CLICK
    good = outcome(decision, OFFER, click)
    token = outcome(foreign, OFFER, click).tracking_token

    results = await record(
        world,
        outcome(decision, OFFER, click, tracking_token="A" * len(token)),
        outcome(decision, OFFER, click, tracking_token=token),
        outcome(decision, OFFER, click, action="mortgage_preapproval"),
        outcome(decision, OFFER, click, decision_id="0" * 32),
        outcome(decision, OFFER, click, occurred_at_ms=now_ms() + 86_400_000),
        outcome(decision, OFFER, click, occurred_at_ms=0),
        outcome(decision, OFFER, 4711),
        good,
        good,
    )

    assert [r.reason for r in results[:7]] == [
        *("BAD_TRACKING_TOKEN", "BAD_TRACKING_TOKEN", "BAD_TRACKING_TOKEN", "UNKNOWN_DECISION"),
        *("BAD_TIME", "BAD_TIME", "UNKNOWN_TYPE"),
    ]
    assert [r.status for r in results[7:]] == [pb.OUTCOME_STATUS_ACCEPTED, pb.OUTCOME_STATUS_DUPLICATE]
