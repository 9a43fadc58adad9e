"""RecordOutcomes: a status for each; a bad one affects no other."""

from __future__ import annotations

import pytest
from orchestration_fakes import (
    NOW_MS,
    SUBJECT,
    TRACKING_KEY,
    MemoryArchive,
    MemoryCatalog,
    MemoryOutcomes,
    a_request,
    bundle,
    pb,
)

from assent.events.v1.outcome_pb2 import OUTCOME_TYPE_CLICK
from orchestration_service.domain.tracking import tracking_token
from orchestration_service.outcomes import record_outcomes
from servicekit.errors import Invalid, Unavailable
from testkit.builders import unique

ACCEPTED, DUPLICATE, REJECTED = (
    pb.OUTCOME_STATUS_ACCEPTED,
    pb.OUTCOME_STATUS_DUPLICATE,
    pb.OUTCOME_STATUS_REJECTED,
)


class Bench:
    def __init__(self, world) -> None:
        self.world = world
        self.archive = MemoryArchive()
        self.stream = MemoryOutcomes()

    async def decide(self):
        answer = await self.world.decider().decide(a_request(), caller="app")
        await self.archive.keep(self.world.recorder.last())
        return answer

    async def record(self, *outcomes):
        return await record_outcomes(
            outcomes,
            archive=self.archive,
            stream=self.stream,
            catalog=MemoryCatalog(),
            clock=self.world.clock,
            tracking_key=TRACKING_KEY,
        )

    async def one(self, outcome):
        (result,) = await self.record(outcome)
        return result


@pytest.fixture
def bench(world):
    return Bench(world)


@pytest.fixture
async def answer(bench):
    return await bench.decide()


def an_outcome(answer, place=0, **changed):
    treatment = answer.placements[place].treatments[0]
    outcome = pb.Outcome(
        outcome_id=unique("outcome"),
        decision_id=answer.decision_id,
        action=treatment.action,
        type=OUTCOME_TYPE_CLICK,
        occurred_at_ms=NOW_MS + 1000,
        tracking_token=treatment.tracking_token,
    )
    for name, value in changed.items():
        setattr(outcome, name, value)
    return outcome


async def test_a_genuine_outcome_is_published_with_what_the_decision_says(bench, answer):
    outcome = an_outcome(answer, place=1, value_minor=250)
    result = await bench.one(outcome)

    assert (result.status, result.outcome_id) == (ACCEPTED, outcome.outcome_id)
    (fact,) = bench.stream.stored.values()
    action = bundle().action[outcome.action]
    assert (fact.subject_id, fact.placement, fact.channel) == (SUBJECT, "home.list", "mobile")
    assert (fact.group, fact.issue, fact.contact_class) == (action.group, action.issue, action.contact_class)
    assert (fact.rank, fact.value_minor) == (1, 250)


async def test_a_repeat_is_a_duplicate(bench, answer):
    outcome = an_outcome(answer)
    results = [await bench.one(outcome), await bench.one(outcome)]

    assert [result.status for result in results] == [ACCEPTED, DUPLICATE]
    assert len(bench.stream.stored) == 1


async def test_a_repeat_in_the_same_list_is_a_duplicate(bench, answer):
    outcome = an_outcome(answer)

    assert [result.status for result in await bench.record(outcome, outcome)] == [ACCEPTED, DUPLICATE]


@pytest.mark.parametrize(
    ("changed", "reason", "field"),
    [
        ({"outcome_id": "short"}, "BAD_TEXT", "outcome_id"),
        ({"outcome_id": "a" * 65}, "BAD_TEXT", "outcome_id"),
        ({"outcome_id": "nul\x00nul\x00nul"}, "BAD_TEXT", "outcome_id"),
        ({"outcome_id": "'; DROP TABLE outcome; --"}, "BAD_TEXT", "outcome_id"),
        ({"decision_id": "0" * 32}, "UNKNOWN_DECISION", "decision_id"),
        ({"decision_id": "nul\x00"}, "UNKNOWN_DECISION", "decision_id"),
        ({"decision_id": "d" * 100_000}, "UNKNOWN_DECISION", "decision_id"),
        ({"type": 0}, "UNKNOWN_TYPE", "type"),
        ({"type": 99}, "UNKNOWN_TYPE", "type"),
        ({"tracking_token": ""}, "BAD_TRACKING_TOKEN", "tracking_token"),
        ({"tracking_token": "forged" * 4}, "BAD_TRACKING_TOKEN", "tracking_token"),
        ({"action": "gold_card"}, "BAD_TRACKING_TOKEN", "tracking_token"),
        ({"occurred_at_ms": 0}, "BAD_TIME", "occurred_at_ms"),
        ({"occurred_at_ms": NOW_MS - 3_600_000}, "BAD_TIME", "occurred_at_ms"),
        ({"occurred_at_ms": NOW_MS + 3_600_000}, "BAD_TIME", "occurred_at_ms"),
        ({"replaces": "{{7*7}}  "}, "BAD_TEXT", "replaces"),
    ],
)
async def test_what_is_not_right_is_rejected_with_its_field(bench, answer, changed, reason, field):
    result = await bench.one(an_outcome(answer, **changed))

    assert (result.status, result.reason, result.field) == (REJECTED, reason, field)
    assert not bench.stream.stored


async def test_the_token_of_another_decision_is_rejected(bench, answer):
    other = await bench.decide()
    foreign = an_outcome(other).tracking_token

    assert (await bench.one(an_outcome(answer, tracking_token=foreign))).reason == "BAD_TRACKING_TOKEN"


async def test_the_token_of_another_place_is_rejected(bench, answer):
    foreign = an_outcome(answer, place=1).tracking_token

    assert (await bench.one(an_outcome(answer, tracking_token=foreign))).reason == "BAD_TRACKING_TOKEN"


async def test_in_a_mixed_list_each_has_its_own_status_in_order(bench, answer):
    known = an_outcome(answer)
    await bench.record(known)
    bad, good = an_outcome(answer, type=99), an_outcome(answer)
    results = await bench.record(bad, known, good, good, an_outcome(answer, decision_id="0" * 32))

    assert [result.status for result in results] == [REJECTED, DUPLICATE, ACCEPTED, DUPLICATE, REJECTED]
    assert bench.stream.stored.keys() == {known.outcome_id, good.outcome_id}


async def test_a_correction_names_what_it_replaces(bench, answer):
    first = an_outcome(answer)
    second = an_outcome(answer, replaces=first.outcome_id)
    await bench.record(first, second)

    assert bench.stream.stored[second.outcome_id].replaces == first.outcome_id


@pytest.mark.parametrize("count", [0, 501])
async def test_a_list_holds_one_to_five_hundred(bench, count):
    with pytest.raises(Invalid) as caught:
        await bench.record(*[pb.Outcome()] * count)

    assert caught.value.field == "outcomes"


async def test_a_stream_that_does_not_acknowledge_is_unavailable(bench, answer):
    bench.stream.fails = True

    with pytest.raises(Unavailable):
        await bench.record(an_outcome(answer))


async def test_a_decision_that_was_just_made_is_waited_for(bench, answer):
    bench.archive.late = 2

    assert (await bench.one(an_outcome(answer))).status == ACCEPTED


def test_a_genuine_token_of_a_decision_that_is_not_archived_is_told_to_come_again(bench, in_virtual_time):
    name = "0" * 32
    token = tracking_token(TRACKING_KEY, name, "gold_card", 2)
    outcome = pb.Outcome(outcome_id=unique("o"), decision_id=name, action="gold_card", tracking_token=token)

    with pytest.raises(Unavailable) as caught:
        in_virtual_time(bench.one(outcome))
    assert caught.value.code == "DECISION_NOT_ARCHIVED"
    assert caught.value.retry_after_ms


async def test_nobody_waits_for_a_decision_whose_token_is_forged(bench):
    bench.archive.late = 1_000_000
    outcome = pb.Outcome(outcome_id=unique("o"), decision_id="0" * 32, action="gold_card", tracking_token="x" * 24)

    assert (await bench.one(outcome)).reason == "UNKNOWN_DECISION"
    assert bench.archive.late == 999_999


async def test_outcomes_of_an_erased_subject_are_rejected(bench, answer):
    await bench.archive.forget(SUBJECT)

    assert (await bench.one(an_outcome(answer))).reason == "UNKNOWN_DECISION"
