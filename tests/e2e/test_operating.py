"""What operators and auditors do with a running suite."""

import time

import grpc
import pytest
from e2e_world import HERO, OFFER, PATIENCE_S, actions, side_by_side
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from assent.content.v1 import content_service_pb2 as content
from assent.orchestration.v1 import explanation_pb2 as explained
from assent.orchestration.v1 import orchestration_service_pb2 as pb

pytestmark = pytest.mark.e2e

SERVICES = {
    "consent": {
        f"assent.consent.v1.{name}Service" for name in ("Audit", "CheckpointKey", "Consent", "Registry", "Rights")
    },
    "content": {"assent.content.v1.ContentService"},
    "eligibility": {"assent.eligibility.v1.EligibilityService"},
    "orchestration": {"assent.orchestration.v1.OrchestrationService"},
    "profile": {"assent.profile.v1.ProfileService"},
    "ranking": {"assent.ranking.v1.RankingService"},
    "signals": {"assent.signals.v1.SignalsService"},
}


async def switch(world, *, killed: bool) -> None:
    stub = await world.operator.content()
    request = content.KillSwitchRequest(kind="action", id=OFFER, killed=killed, why="a test")
    await stub.KillSwitch(request, timeout=PATIENCE_S)


async def test_a_killed_action_is_gone_within_a_second_and_comes_back(world):
    customer, _ = await world.an_offered_customer()
    try:
        await switch(world, killed=True)
        killed_at = time.monotonic()
        while OFFER in actions(await world.decide(customer)):
            assert time.monotonic() - killed_at < 1
        later = await side_by_side(lambda _: world.decide(customer), 20)
        assert not [decision for decision in later if OFFER in actions(decision)]
    finally:
        await switch(world, killed=False)
    # Somebody else: what she was shown meanwhile may have used up her places for offers.
    await world.an_offered_customer()


async def test_a_subject_is_in_the_same_arm_on_every_channel_and_in_every_session(world):
    customers = await side_by_side(lambda _: world.a_customer(), 5)
    for customer in customers:
        decisions = [
            await world.decide(customer),
            await world.decide(customer, session="a-session-of-hers"),
            await world.decide(customer, channel="web"),
            await world.decide(customer, ["chat.opening"], channel="chat"),
            await world.decide(customer, ["email.weekly"], channel="email"),
        ]
        arms = [dict((await world.recorded(decision)).arms) for decision in decisions]
        on_screens = {arm.get("warm_tone") for arm in arms[:3]}

        assert len({arm["personalization_holdout"] for arm in arms if arm}) == 1
        assert len(on_screens) == 1


async def test_each_audience_reads_what_it_may_and_no_more(world):
    customer = await world.a_customer()
    decision = await world.decide(customer, [HERO, "home.list"])
    stub = await world.inspector.orchestration()

    async def read(audience: int) -> explained.Explanation:
        request = pb.ExplainDecisionRequest(decision_id=decision.decision_id, audience=audience)
        return (await stub.ExplainDecision(request, timeout=PATIENCE_S)).explanation

    to_customer, to_agent, to_auditor = [
        await read(audience)
        for audience in (explained.AUDIENCE_CUSTOMER, explained.AUDIENCE_AGENT, explained.AUDIENCE_AUDITOR)
    ]

    assert disclosures(to_customer) <= {"customer"}
    assert disclosures(to_agent) <= {"customer", "staff"}
    assert "never" in disclosures(to_auditor)
    assert not [c for c in to_customer.candidates if c.HasField("score")]
    assert not [r for c in to_customer.candidates for r in c.reasons if r.HasField("seen")]
    assert len(to_customer.candidates) < len(to_auditor.candidates) == len(to_agent.candidates)


def disclosures(explanation: explained.Explanation) -> set[str]:
    return {reason.disclose for candidate in explanation.candidates for reason in candidate.reasons}


@pytest.mark.parametrize("audience", [explained.AUDIENCE_AGENT, explained.AUDIENCE_AUDITOR])
async def test_an_audience_needs_its_scope(world, audience):
    decision = await world.decide(await world.a_customer(()))
    request = pb.ExplainDecisionRequest(decision_id=decision.decision_id, audience=audience)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await (await world.who.app.orchestration()).ExplainDecision(request, timeout=PATIENCE_S)

    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("service", sorted(SERVICES))
async def test_reflection_lists_what_a_service_serves(world, service):
    async with grpc.aio.insecure_channel(world.stack.grpc_address(service)) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        answers = [answer async for answer in stub.ServerReflectionInfo(asked, timeout=PATIENCE_S)]
    listed = {found.name for answer in answers for found in answer.list_services_response.service}

    assert listed == SERVICES[service] | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
