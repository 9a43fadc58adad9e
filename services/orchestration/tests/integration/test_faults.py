"""NATS and PostgreSQL die under the service, and come back."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from orchestration_fakes import a_request, bundle, codes, pb, shown

from testkit.waiting import until

pytestmark = pytest.mark.integration
PATIENT = {"timeout": 3.0}


@pytest.fixture
def nats(platform):
    """Killable, and alive again whatever the test does."""
    alive = [True]

    class Nats:
        def kill(self):
            platform.nats.kill()
            alive[0] = False

        def restart(self):
            platform.nats.restart()
            alive[0] = True

    yield Nats()
    if not alive[0]:
        platform.nats.restart()


@pytest.fixture
def postgres(platform):
    """As `nats`."""
    alive = [True]

    class Postgres:
        def kill(self):
            platform.postgres.kill()
            alive[0] = False

        def restart(self):
            platform.postgres.restart()
            alive[0] = True

    yield Postgres()
    if not alive[0]:
        platform.postgres.restart()


def nothing_personal(answer) -> bool:
    return not any(bundle().purpose[bundle().action[name].purpose].needs_consent for name in shown(answer))


async def works(client) -> bool:
    answer = await client.Decide(a_request(), **PATIENT)
    return answer.HasField("receipt") and not codes(answer)


async def test_without_nats_an_answer_has_no_receipt_and_nothing_personal(suite, nats):
    async with suite.client() as client:
        assert await works(client)
        nats.kill()
        answer = await client.Decide(a_request(), **PATIENT)

        assert not answer.HasField("receipt")
        assert "RECORDING_UNAVAILABLE" in codes(answer)
        assert nothing_personal(answer)
        nats.restart()
        await until(lambda: works(client), timeout=20)


async def test_nats_that_dies_right_before_the_record_leaves_nothing_personal_and_the_retry_is_decided(suite, nats):
    honest = suite.world.content.render

    async def render_and_die(request):
        answer = await honest(request)
        asyncio.get_running_loop().call_later(0.0, nats.kill)
        return answer

    request = a_request()
    async with suite.client() as client:
        suite.world.content.render = render_and_die
        answer = await client.Decide(request, **PATIENT)
        suite.world.content.render = honest

        assert not answer.HasField("receipt")
        assert nothing_personal(answer)
        nats.restart()
        await until(lambda: works(client), timeout=20)
        retried = await client.Decide(request, **PATIENT)

    assert retried.decision_id == answer.decision_id
    assert retried.HasField("receipt")
    assert shown(retried)


async def test_the_archive_catches_up_after_nats_is_back(suite, nats):
    async with suite.client("orchestration.decide", "orchestration.audit") as client:
        nats.kill()
        nats.restart()
        await until(lambda: works(client), timeout=20)
        answer = await client.Decide(a_request(), **PATIENT)

        async def archived() -> bool:
            try:
                await client.GetDecision(pb.GetDecisionRequest(decision_id=answer.decision_id), timeout=5)
            except grpc.aio.AioRpcError:
                return False
            return True

        await until(archived, timeout=20)


async def test_deciding_does_not_need_postgresql_and_the_archive_catches_up(suite, postgres):
    async with suite.client("orchestration.decide", "orchestration.audit") as client:
        assert await works(client)
        postgres.kill()
        answers = [await client.Decide(a_request(), **PATIENT) for _ in range(10)]

        assert all(answer.HasField("receipt") and not codes(answer) for answer in answers)
        request = pb.GetDecisionRequest(decision_id=answers[0].decision_id)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.GetDecision(request, timeout=10)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        postgres.restart()

        async def archived() -> bool:
            try:
                return bool((await client.GetDecision(request, timeout=5)).record)
            except grpc.aio.AioRpcError:
                return False

        await until(archived, timeout=40)
