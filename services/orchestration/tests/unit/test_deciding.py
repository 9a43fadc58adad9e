"""One decision: what it shows, what it records, and that it is made once."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from orchestration_fakes import (
    EVERYTHING,
    NOW_MS,
    SERVICE_ONLY,
    SUBJECT,
    World,
    a_request,
    a_signal,
    bundle,
    codes,
    down,
    forever,
    shown,
)

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.domain.tracking import is_genuine
from servicekit.errors import AlreadyExists, DeadlineExceeded


async def test_a_decision_shows_what_ranking_put_first_and_nothing_is_left_out(world):
    answer = await world.decider().decide(a_request(), caller="app")

    assert shown(answer)
    assert not codes(answer)
    assert [placement.placement for placement in answer.placements] == ["home.hero", "home.list"]
    assert answer.consent.personal
    assert answer.consent.index == 41
    assert not answer.replayed


async def test_the_receipt_names_the_very_bytes_that_were_recorded(world):
    answer = await world.decider().decide(a_request(), caller="app")

    data = world.recorder.records[answer.receipt.sequence - 1]
    assert answer.receipt.record_digest == hashlib.sha256(data).digest()
    record = DecisionRecord.FromString(data)
    assert record.placements == answer.placements
    assert record.subject_id == SUBJECT
    assert [stage.stage for stage in record.stages][-2:] == ["render", "rerender"]
    assert {stage.outcome for stage in record.stages} <= {"ok", "skipped"}


async def test_every_token_is_genuine_for_its_place(world):
    answer = await world.decider().decide(a_request(), caller="app")

    for placement in answer.placements:
        for treatment in placement.treatments:
            key = world.ports().tracking_key
            assert is_genuine(key, treatment.tracking_token, answer.decision_id, treatment.action, treatment.rank)


async def test_the_order_of_placements_does_not_change_what_each_gets(world):
    names = ["home.hero", "home.list", "accounts.banner"]
    request = a_request(*names)
    first = await world.decider().decide(request, caller="app")
    for order in ([2, 0, 1], [1, 2, 0], [2, 1, 0]):
        turned = a_request(*(names[place] for place in order), request_id=request.request_id)
        other = World()
        again = await other.decider().decide(turned, caller="app")

        assert {p.placement: p for p in again.placements} == {p.placement: p for p in first.placements}
        assert [p.placement for p in again.placements] == [names[place] for place in order]


async def test_without_consent_only_service_is_shown(world):
    world.allowed = SERVICE_ONLY
    answer = await world.decider().decide(a_request(), caller="app")

    assert shown(answer)
    assert all(not bundle().purpose[bundle().action[name].purpose].needs_consent for name in shown(answer))
    assert not answer.consent.personal


async def test_an_unknown_customer_number_gets_service_only_and_is_recorded(world):
    world.unknown = {"4711"}
    answer = await world.decider().decide(a_request(), caller="app")

    assert codes(answer) == {"SUBJECT_UNKNOWN"}
    assert "branch_hours" in shown(answer)
    assert answer.HasField("receipt")
    assert all(not bundle().purpose[bundle().action[name].purpose].needs_consent for name in shown(answer))


async def test_live_friction_brings_help_and_no_offer(world):
    world.live = [a_signal("rage_click")]
    answer = await world.decider().decide(a_request("home.hero", "home.list", "journey.inline"), caller="app")

    assert "something_not_working" in shown(answer)
    assert not any(bundle().action[name].selling for name in shown(answer))
    helping = next(t for p in answer.placements for t in p.treatments if t.action == "something_not_working")
    assert helping.reason == "signal.rage_click"
    assert helping.expires_at_ms == NOW_MS + 60_000


async def test_signals_that_are_behind_stop_offers(world):
    world.fresh = False
    answer = await world.decider().decide(a_request(), caller="app")

    assert codes(answer) == {"SIGNALS_BEHIND"}
    assert not any(bundle().action[name].selling for name in shown(answer))


async def test_a_refused_item_takes_the_next_reserve_of_its_placement(world):
    first = await world.decider().decide(a_request(), caller="app")
    world.full = {shown(first)[0]}
    second = await world.decider().decide(a_request(), caller="app")

    assert shown(first)[0] not in shown(second)
    assert len(second.placements[0].treatments) == 1


async def test_no_action_is_tried_twice_for_a_reservation(world):
    asked = []
    reserve = world.eligibility.reserve

    async def noted(request):
        asked.extend(item.item for item in request.items)
        return await reserve(request)

    world.eligibility.reserve = noted
    world.full = {action.id for action in bundle().actions}
    answer = await world.decider().decide(a_request(), caller="app")

    assert len(asked) == len(set(asked))
    assert not any(bundle().action[name].selling for name in shown(answer))


async def test_a_killed_treatment_is_not_shown_in_any_words(world):
    first = await world.decider().decide(a_request("home.list"), caller="app")
    killed = first.placements[0].treatments[0]
    world.catalog.killed = frozenset({f"treatment:{killed.treatment}"})
    world.content.render = down
    second = await world.decider().decide(a_request("home.list"), caller="app")

    assert killed.treatment not in [t.treatment for p in second.placements for t in p.treatments]


async def test_a_repeat_gets_the_first_answer_and_says_so(world):
    decider, request = world.decider(), a_request()
    first = await decider.decide(request, caller="app")
    again = await decider.decide(request, caller="app")

    assert again.replayed
    again.replayed = False
    assert again == first
    assert len(world.recorder.records) == 1


async def test_another_body_under_the_same_id_is_refused(world):
    decider, request = world.decider(), a_request()
    await decider.decide(request, caller="app")
    request.locale = "de-DE"

    with pytest.raises(AlreadyExists):
        await decider.decide(request, caller="app")


async def test_another_body_under_the_same_id_is_refused_by_another_replica_too(world):
    request = a_request()
    await world.decider().decide(request, caller="app")
    request.locale = "de-DE"

    with pytest.raises(AlreadyExists):
        await world.decider().decide(request, caller="app")
    assert len(world.recorder.records) == 1


async def test_two_callers_may_use_the_same_request_id(world):
    request = a_request()
    one, other = [await world.decider().decide(request, caller=name) for name in ("app", "web")]

    assert one.decision_id != other.decision_id


async def test_thirty_two_concurrent_retries_are_one_decision_on_two_replicas(world):
    replicas, request = [world.decider(), world.decider()], a_request()
    answers = await asyncio.gather(*(replicas[n % 2].decide(request, caller="app") for n in range(32)))

    assert len(world.recorder.records) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    for answer in answers:
        answer.replayed = False
    assert all(answer == answers[0] for answer in answers)


async def test_replicas_that_saw_different_things_give_the_first_recorded_answer(world):
    request, other = a_request(), World(allowed=SERVICE_ONLY)
    other.recorder = world.recorder
    first = await world.decider().decide(request, caller="app")
    second = await other.decider().decide(request, caller="app")

    assert second.replayed
    assert second.placements == first.placements


async def test_the_second_replica_gives_back_what_only_it_reserved(world):
    request, other = a_request(), World(full={"wealth_plan", "business_credit_line", "mortgage_preapproval"})
    other.recorder = world.recorder
    first = await world.decider().decide(request, caller="app")
    decider = other.decider()
    await decider.decide(request, caller="app")
    await asyncio.gather(*decider._releasing)

    items = {f"{p.placement}/{t.rank}/{t.action}" for p in first.placements for t in p.treatments}
    assert set(other.eligibility.reserved) <= items
    assert not set(other.eligibility.released) & items


async def test_a_repeat_after_ten_minutes_is_not_remembered_here(world):
    decider, request = world.decider(), a_request()
    await decider.decide(request, caller="app")
    world.clock.advance(10 * 60 * 1_000_000 + 1)
    world.recorder.by_id.clear()
    again = await decider.decide(request, caller="app")

    assert not again.replayed
    assert len(decider.remembered) == 1


async def test_an_erased_subject_is_not_remembered(world):
    decider = world.decider()
    await decider.decide(a_request(), caller="app")
    decider.remembered.forget(SUBJECT)

    assert len(decider.remembered) == 0


async def test_a_caller_that_goes_away_takes_nothing_from_those_who_wait(world):
    decider, request = world.decider(), a_request()
    leaving = asyncio.ensure_future(decider.decide(request, caller="app"))
    await asyncio.sleep(0)
    staying = asyncio.ensure_future(decider.decide(request, caller="app"))
    await asyncio.sleep(0)
    leaving.cancel()

    assert shown(await staying)
    assert len(world.recorder.records) == 1


async def test_a_call_that_is_too_late_is_refused_before_any_work(world):
    with pytest.raises(DeadlineExceeded):
        await world.decider().decide(a_request(), caller="app", within_s=0.0)
    assert not world.recorder.records


def test_concurrent_retries_while_nothing_can_be_recorded_share_one_attempt(world, in_virtual_time):
    world.recorder.write = forever

    async def many():
        decider, request = world.decider(), a_request()
        started = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(decider.decide(request, caller="app", within_s=0.1) for _ in range(32)))
        return answers, asyncio.get_running_loop().time() - started

    answers, seconds = in_virtual_time(many())
    assert seconds <= 0.1
    assert not any(answer.HasField("receipt") or answer.replayed for answer in answers)


def test_an_answer_without_a_record_shows_defaults_and_gives_reservations_back(world, in_virtual_time):
    world.recorder.write = down

    async def decide():
        decider = world.decider()
        answer = await decider.decide(a_request(), caller="app")
        await asyncio.gather(*decider._releasing)
        return answer

    answer = in_virtual_time(decide())
    assert codes(answer) == {"RECORDING_UNAVAILABLE"}
    assert not answer.HasField("receipt")
    assert not answer.HasField("consent")
    assert shown(answer) == ["branch_hours"]
    assert not any(t.tracking_token for p in answer.placements for t in p.treatments)
    assert world.eligibility.released
    assert not world.eligibility.reserved


def test_an_answer_does_not_wait_for_reservations_to_be_given_back(world, in_virtual_time):
    world.recorder.write, world.eligibility.release = down, forever

    async def decide():
        started = asyncio.get_running_loop().time()
        await world.decider().decide(a_request(), caller="app")
        return asyncio.get_running_loop().time() - started

    assert in_virtual_time(decide()) < 0.001


async def test_after_recording_is_back_the_same_request_is_decided(world):
    write, world.recorder.write = world.recorder.write, down
    decider, request = world.decider(), a_request()
    await decider.decide(request, caller="app")
    world.recorder.write = write
    answer = await decider.decide(request, caller="app")

    assert answer.HasField("receipt")
    assert not answer.replayed
    assert shown(answer)


async def test_an_explanation_comes_with_the_answer_when_asked_for(world):
    answer = await world.decider().decide(a_request(explain=True), caller="app")

    assert answer.explanation.decision_id == answer.decision_id
    assert {c.action for c in answer.explanation.candidates if c.result == "placed"} == set(shown(answer))


def test_a_client_without_a_deadline_waits_no_longer_than_the_default(world, in_virtual_time):
    world.profiles.resolve = forever

    async def decide():
        started = asyncio.get_running_loop().time()
        await world.decider().decide(a_request(), caller="app", within_s=None)
        return asyncio.get_running_loop().time() - started

    assert in_virtual_time(decide()) <= 0.150


async def test_the_basis_is_what_the_record_rests_on_and_its_time_is_not_before_the_decision(world):
    world.allowed = EVERYTHING
    await world.decider().decide(a_request(), caller="app")
    record = world.recorder.last()

    assert record.basis.body
    assert record.now_ms == NOW_MS
    assert isinstance(record.consent, pb.ConsentUse)
