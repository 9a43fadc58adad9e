"""One request id, one answer."""

import asyncio
from uuid import uuid4

import grpc
import pytest
from e2e_world import HERO, PATIENCE_S, now_ms, reason_of

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from harbour_bank import mara, steps

pytestmark = pytest.mark.e2e


def told(answer: pb.DecideResponse) -> bytes:
    """All of an answer but whether it is a repeat."""
    same = pb.DecideResponse()
    same.CopyFrom(answer)
    same.replayed = False
    return same.SerializeToString(deterministic=True)


async def test_sixteen_retries_of_one_request_get_one_decision(world):
    customer = await world.a_customer()
    stub = await world.who.app.orchestration()
    request = steps.decide_request(customer.identifier, [HERO, "home.list"])

    answers = await asyncio.gather(*(stub.Decide(request, timeout=PATIENCE_S) for _ in range(16)))
    later = await stub.Decide(request, timeout=PATIENCE_S)

    assert len({told(answer) for answer in [*answers, later]}) == 1
    assert later.replayed


async def test_another_body_under_the_same_id_is_refused(world):
    customer = await world.a_customer(())
    stub = await world.who.app.orchestration()
    request = steps.decide_request(customer.identifier, [HERO])
    await stub.Decide(request, timeout=PATIENCE_S)
    request.placements.add(id="home.list")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Decide(request, timeout=PATIENCE_S)

    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert reason_of(refused.value) == "REQUEST_ID_REUSED"


async def test_callers_do_not_share_request_ids(world):
    customer = await world.a_customer(())
    request = steps.decide_request(customer.identifier, [HERO])

    ours = await (await world.who.app.orchestration()).Decide(request, timeout=PATIENCE_S)
    theirs = await (await world.who.bank.orchestration()).Decide(request, timeout=PATIENCE_S)

    assert ours.decision_id != theirs.decision_id


async def test_bank_events_sent_twice_count_once(world):
    events = list(mara.money(f"HB-TWICE-{uuid4().hex[:8]}", now_ms()))

    first = await steps.ingest(events, world.who, lambda _: None)
    second = await steps.ingest(events, world.who, lambda _: None)

    assert (first.accepted, first.duplicates) == (len(events), 0)
    assert (second.accepted, second.duplicates) == (0, len(events))
