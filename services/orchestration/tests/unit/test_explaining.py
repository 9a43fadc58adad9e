"""The funnel, for each audience."""

from __future__ import annotations

import pytest
from orchestration_fakes import World, a_request, a_signal, down, shown

from assent.catalog.v1.value_pb2 import Value
from assent.eligibility.v1.eligibility_service_pb2 import Reason, Rejected, StageCount
from orchestration_service.explaining import explain


@pytest.fixture
async def record(world):
    """A decision with reasons for every ear: one action is removed for what nobody may be told, then for something harmless."""
    world.live = [a_signal("rage_click")]
    await world.decider().decide(a_request(), caller="app")
    record = world.recorder.last()
    seen = Value(text="in_hardship")
    secret = Reason(
        stage="suppression", rule="s", code="VULNERABLE", attribute="view.hardship", seen=seen, disclose="never"
    )
    staff = Reason(stage="eligibility", rule="r", code="LOW_SCORE", needed="over 600", disclose="staff")
    plain = Reason(
        stage="contact", rule="c", code="PAUSED", text="reason-paused", needed="x", seen=seen, disclose="customer"
    )
    record.evaluated.rejected.append(Rejected(action="hush_hush", stage="suppression", reasons=[secret, staff]))
    record.evaluated.rejected.append(Rejected(action="mixed", stage="suppression", reasons=[secret, staff, plain]))
    record.evaluated.stage_counts.append(StageCount(stage="suppression", removed=2))
    return record


def reasons_of(explanation, action):
    return next((c.reasons for c in explanation.candidates if c.action == action), None)


def test_a_customer_reads_neither_staff_nor_never_reasons_nor_any_value(record):
    told = explain(record, "customer")

    everything = [reason for candidate in told.candidates for reason in candidate.reasons]
    assert {reason.disclose for reason in everything} == {"customer"}
    assert not any(r.HasField("seen") or r.needed or r.attribute or r.rule or r.missing for r in everything)
    assert not any(candidate.HasField("score") for candidate in told.candidates)


def test_a_customer_cannot_tell_that_there_is_something_untold(record):
    told = explain(record, "customer")

    assert reasons_of(told, "hush_hush") is None
    assert [reason.code for reason in reasons_of(told, "mixed")] == ["PAUSED"]
    assert {c.result for c in told.candidates if c.action == "mixed"} == {"contact"}
    text = str(told)
    assert not any(word in text for word in ("VULNERABLE", "suppression", "hardship", "LOW_SCORE", "rage_click"))
    assert not told.stages
    assert not told.signals


def test_an_agent_reads_what_staff_may_and_no_more(record):
    told = explain(record, "agent")

    assert [reason.code for reason in reasons_of(told, "mixed")] == ["LOW_SCORE", "PAUSED"]
    assert [reason.code for reason in reasons_of(told, "hush_hush")] == ["LOW_SCORE"]
    assert told.signals == ["rage_click"]


def test_an_auditor_reads_everything(record):
    told = explain(record, "auditor")

    assert [reason.code for reason in reasons_of(told, "mixed")] == ["VULNERABLE", "LOW_SCORE", "PAUSED"]
    removed = [c for c in told.candidates if c.result not in {"placed", "reserve", "outranked"}]
    assert removed
    assert all(candidate.reasons for candidate in removed)


def test_placed_candidates_come_first_with_their_scores(record):
    told = explain(record, "auditor")
    placed = [c.action for c in told.candidates if c.result == "placed"]

    assert placed == [c.action for c in told.candidates[: len(placed)]]
    assert all(c.HasField("score") for c in told.candidates[: len(placed)])
    assert told.consent_index == 41
    assert "servicing" in told.allowed_purposes


async def test_a_candidate_that_found_no_place_says_which_limit_left_none(world):
    first = await world.decider().decide(a_request(), caller="app")
    world.full = {shown(first)[0]}
    await world.decider().decide(a_request(), caller="app")
    told = explain(world.recorder.last(), "agent")

    refused = next(c for c in told.candidates if c.action == shown(first)[0])
    assert refused.result == "contact"
    assert [reason.rule for reason in refused.reasons] == ["six_offers_a_week"]


async def test_service_defaults_are_explained_too(world):
    world.eligibility.evaluate = down
    answer = await world.decider().decide(a_request(), caller="app")
    told = explain(world.recorder.last(), "customer")

    assert [c.action for c in told.candidates] == shown(answer)
    assert told.degradations == ["ELIGIBILITY_UNAVAILABLE"]


async def test_explaining_changes_nothing(world):
    await world.decider().decide(a_request(), caller="app")
    record = world.recorder.last()
    before = record.SerializeToString(deterministic=True)
    for audience in ("customer", "agent", "auditor"):
        explain(record, audience)

    assert record.SerializeToString(deterministic=True) == before
    assert isinstance(world, World)
