"""A recorded decision is run again from its record: identical, or the first stage that differs."""

from __future__ import annotations

import asyncio
import hashlib
from itertools import product

import pytest
from orchestration_fakes import (
    EVERYTHING,
    PORTS,
    World,
    a_request,
    a_signal,
    break_stage,
    bundle,
    shown,
    signed_basis,
)

from orchestration_service.replaying import replay
from servicekit.basis import SignedBasis
from servicekit.errors import FailedPrecondition, Forbidden


async def decided(world, **request):
    await world.decider().decide(a_request(**request), caller="app")
    return world.recorder.last()


async def test_a_replay_of_the_same_world_is_identical(world):
    world.live = [a_signal("home_loan_reading")]
    found = await replay(await decided(world), world.ports())

    assert found.difference is None
    assert found.stages == ("evaluate", "rank", "render")


@pytest.mark.parametrize(("stage", "way"), list(product([*PORTS][:9], ["down", "bug", "wrong"])))
async def test_a_degraded_decision_is_replayed_as_it_was(stage, way):
    broken = World()
    break_stage(broken, stage, way)
    found = await replay(await decided(broken), World().ports())

    assert found.difference is None, found


def _after_a_turn(reserve):
    async def slower(request):
        await asyncio.sleep(0)
        return await reserve(request)

    return slower


async def test_words_of_what_took_a_refused_items_place_are_recorded_as_if_asked_in_one_call(world):
    first = shown(await world.decider().decide(a_request(), caller="app"))
    for full in ([first[0]], first):
        again = World(full=set(full))
        again.eligibility.reserve = _after_a_turn(again.eligibility.reserve)
        record = await decided(again)
        found = await replay(record, again.ports())

        assert {placed.action for placed in record.slate}.isdisjoint(full)
        assert [(stage.stage, stage.outcome) for stage in record.stages][-1] == ("rerender", "ok")
        assert len(record.rendered.items) == len(record.slate)
        assert found.difference is None, found


async def test_a_slate_that_lost_everything_has_no_words(world):
    world.full = {action.id for action in bundle().actions}
    world.allowed = tuple(p for p in EVERYTHING if p != "servicing")
    record = await decided(world)

    assert record.HasField("rendered") == bool(record.slate)
    assert (await replay(record, world.ports())).difference is None


async def test_a_decision_on_signals_that_were_behind_is_replayed_as_it_was(world):
    world.fresh = False
    found = await replay(await decided(world), world.ports())

    assert found.difference is None


async def test_evaluation_is_asked_the_very_same_question(world):
    record = await decided(world)
    await replay(record, world.ports())
    first, again = world.eligibility.requests

    assert first == again


@pytest.mark.parametrize(("stage", "port"), [("evaluate", "eligibility"), ("rank", "ranking"), ("render", "content")])
async def test_the_first_stage_that_differs_is_named_with_both_digests(world, stage, port):
    record = await decided(world)
    method = {"evaluate": "evaluate", "rank": "rank", "render": "render"}[stage]
    honest = getattr(getattr(world, port), method)

    async def changed(request):
        answer = await honest(request)
        for repeated in ("survivors", "slate", "items"):
            if hasattr(answer, repeated):
                del getattr(answer, repeated)[-1]
        return answer

    setattr(getattr(world, port), method, changed)
    found = await replay(record, world.ports())

    recorded = {"evaluate": record.evaluated, "rank": record.ranked, "render": record.rendered}[stage]
    assert found.difference.stage == stage == found.stages[-1]
    assert found.difference.recorded == hashlib.sha256(recorded.SerializeToString(deterministic=True)).digest()
    assert found.difference.replayed != found.difference.recorded


async def test_the_recorded_digest_of_a_stage_is_the_one_that_a_difference_names(world):
    record = await decided(world)
    stages = {stage.stage: stage.output for stage in record.stages}

    assert stages["rank"] == hashlib.sha256(record.ranked.SerializeToString(deterministic=True)).digest()


async def test_a_decision_of_an_older_epoch_of_the_ledger_is_replayed(world):
    record = await decided(world)
    ports = world.ports()
    newer = signed_basis(("servicing",), epoch=9)
    ports.verifier.verify(
        SignedBasis(newer.body, newer.key_id, newer.signature),
        now_us=world.clock.now_us(),
        subject=record.subject_id,
        channel="mobile",
    )
    world.clock.advance(3600 * 1_000_000)
    found = await replay(record, ports)

    assert found.difference is None


async def test_a_forged_basis_is_not_replayed(world):
    record = await decided(world)
    record.basis.body += b" "

    with pytest.raises(Forbidden):
        await replay(record, world.ports())


async def test_a_bundle_that_is_gone_is_said(world):
    record = await decided(world)
    record.bundle_digest = "sha256:gone"

    with pytest.raises(FailedPrecondition):
        await replay(record, world.ports())
