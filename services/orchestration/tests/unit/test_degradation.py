"""Whatever is down, slow or wrong, alone or in pairs: an answer in time, and in it only what the degradation table allows."""

from __future__ import annotations

import asyncio
from itertools import combinations, product

import pytest
from orchestration_fakes import (
    CANARY,
    EVERYTHING,
    PORTS,
    SUBJECT,
    Identifier,
    World,
    a_request,
    a_signal,
    break_stage,
    bundle,
    codes,
    counted,
    needs_profile,
    shown,
)

STAGES = tuple(PORTS)
WAYS = ("down", "slow", "bug", "wrong")
DEADLINE_S = 0.150
CODES = {
    "resolve": "PROFILE_UNAVAILABLE",
    "basis": "CONSENT_UNAVAILABLE",
    "view": "PROFILE_UNAVAILABLE",
    "signals": "SIGNALS_UNAVAILABLE",
    "contact": "CONTACT_UNAVAILABLE",
    "evaluate": "ELIGIBILITY_UNAVAILABLE",
    "rank": "RANKING_UNAVAILABLE",
    "reserve": "RESERVATION_UNAVAILABLE",
    "render": "CONTENT_UNAVAILABLE",
    "record": "RECORDING_UNAVAILABLE",
}
DEFAULTS = {"branch_hours", "home_everyday"}


def forbidden(action, broken) -> str:
    """The row of the table that keeps this action from being shown."""
    rows = (
        ("resolve basis", bundle().purpose[action.purpose].needs_consent),
        ("resolve basis signals", action.selling),
        ("resolve basis view", needs_profile(action)),
        ("contact reserve", counted(action)),
        ("evaluate record", action.id not in DEFAULTS),
    )
    return next((row for row, hit in rows if hit and broken & set(row.split())), "")


def check(answer, broken, world) -> None:
    """The answer is one that the table allows."""
    assert [p.placement for p in answer.placements] == ["home.hero", "home.list", "home.layout"]
    for placement in answer.placements:
        for treatment in placement.treatments:
            action = bundle().action[treatment.action]
            assert placement.placement in action.placements
            assert not forbidden(action, broken), treatment.action
            assert treatment.content.body
            assert CANARY not in treatment.content.body
            if broken & {"render", "record"}:
                assert treatment.content.body == action.fallback["en-GB"]
    assert "home_everyday" in shown(answer) or "home_money_focus" in shown(answer)
    assert answer.placements[0].treatments
    assert codes(answer) <= {CODES[stage] for stage in broken}
    assert CODES[next(stage for stage in STAGES if stage in broken)] in codes(answer)
    assert answer.HasField("receipt") == ("record" not in broken)
    assert len(world.recorder.by_id) == ("record" not in broken)


def decide(world, broken, in_virtual_time):
    async def timed():
        loop, started = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        request = a_request("home.hero", "home.list", "home.layout")
        decider = world.decider()
        answer = await decider.decide(request, caller="app", within_s=DEADLINE_S)
        seconds = loop.time() - started
        await asyncio.gather(*decider._releasing)
        return answer, seconds

    for stage, way in broken.items():
        break_stage(world, stage, way)
    return in_virtual_time(timed())


def a_world() -> World:
    return World(allowed=tuple(p for p in EVERYTHING if p != "assistance"), live=[a_signal("home_loan_reading")])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stage", STAGES)
def test_with_one_thing_failing_an_answer_in_time_holds_what_the_table_allows(stage, way, in_virtual_time):
    world = a_world()
    answer, seconds = decide(world, {stage: way}, in_virtual_time)

    assert seconds < DEADLINE_S
    check(answer, {stage}, world)
    assert codes(answer) == {CODES[stage]}


@pytest.mark.parametrize(("one", "other"), list(combinations(STAGES, 2)))
def test_with_two_things_failing_an_answer_in_time_holds_what_the_table_allows(one, other, in_virtual_time):
    for ways in product(WAYS, WAYS):
        world = a_world()
        answer, seconds = decide(world, dict(zip((one, other), ways, strict=True)), in_virtual_time)

        assert seconds < DEADLINE_S, ways
        check(answer, {one, other}, world)


def test_with_everything_slow_the_answer_still_comes_in_time(in_virtual_time):
    world = a_world()
    answer, seconds = decide(world, dict.fromkeys(STAGES, "slow"), in_virtual_time)

    assert seconds < DEADLINE_S
    assert set(shown(answer)) == DEFAULTS


def test_nothing_fails_and_everything_allowed_is_shown(in_virtual_time):
    world = a_world()
    answer, _ = decide(world, {}, in_virtual_time)

    assert not codes(answer)
    assert any(bundle().action[name].selling for name in shown(answer))
    assert set(shown(answer)) - DEFAULTS


def test_what_a_slow_stage_reserved_after_all_is_given_back(in_virtual_time):
    world = a_world()
    reserve = world.eligibility.reserve

    async def too_slow(request):
        await reserve(request)
        await asyncio.Event().wait()

    world.eligibility.reserve = too_slow
    answer, _ = decide(world, {}, in_virtual_time)

    assert codes(answer) == {"RESERVATION_UNAVAILABLE"}
    assert not world.eligibility.reserved


def test_a_subject_id_of_ours_is_judged_by_the_ledger_while_profile_is_away(in_virtual_time):
    world = a_world()
    break_stage(world, "resolve", "down")

    async def decided():
        request = a_request(subject=Identifier(type="subject_id", value=SUBJECT))
        return await world.decider().decide(request, caller="app")

    answer = in_virtual_time(decided())
    assert codes(answer) == {"PROFILE_UNAVAILABLE"}
    assert answer.consent.personal


def test_another_subject_than_the_one_asked_for_is_a_wrong_answer(in_virtual_time):
    world = a_world()
    request = a_request(subject=Identifier(type="subject_id", value="5c1d6e3a-0000-4000-8000-00000000dead"))
    answer = in_virtual_time(world.decider().decide(request, caller="app"))

    assert "PROFILE_UNAVAILABLE" in codes(answer)
    assert world.recorder.last().subject_id == request.subject.value
