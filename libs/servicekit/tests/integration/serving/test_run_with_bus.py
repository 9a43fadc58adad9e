"""A service on a real message bus, as a process: calls and events come over it, and it outlives it."""

from __future__ import annotations

import asyncio
import json

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from assent.events.v1.consent_pb2 import ConsentWidened
from assent.events.v1.envelope_pb2 import Envelope
from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit import errors
from servicekit.auth import ServiceIdentity, public_jwk
from servicekit.nats import connect
from servicekit.streams import subject
from testkit.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def on_bus(tiny, nats, issuer):
    """The tiny service, ready, with a sibling named orchestration that may resolve subjects."""
    services = tiny.folder / "services.json"
    services.write_text(json.dumps({"keys": [public_jwk(issuer.key.public_key(), "orchestration")]}))
    tiny.variables |= {
        "TINY_WITH_BUS": "true",
        "TINY_NATS__SERVERS": json.dumps(list(nats.settings.servers)),
        "TINY_AUTH__SERVICE_KEYS": str(services),
        "TINY_AUTH__CALLERS": json.dumps({"orchestration": ["profile.resolve", "profile.link"]}),
    }
    await tiny.start()
    await until(tiny.ready, timeout=20)
    return tiny


@pytest.fixture
async def bus(nats):
    async with connect(nats.settings, "orchestration") as opened:
        yield opened


@pytest.fixture
def stub(bus, issuer):
    return rpc.ProfileServiceStub(bus.channel("tiny", identity=ServiceIdentity("orchestration", issuer.key)))


async def test_a_sibling_may_what_the_receivers_settings_say(on_bus, stub):
    assert (await stub.ResolveSubject(pb.ResolveSubjectRequest())).subject_id == "tiny"
    with pytest.raises(errors.Forbidden) as caught:
        await stub.EraseSubject(pb.EraseSubjectRequest())
    assert caught.value.code == "SCOPE_MISSING"


async def test_a_sibling_without_a_token_is_unauthenticated(on_bus, bus):
    with pytest.raises(errors.Unauthenticated):
        await rpc.ProfileServiceStub(bus.channel("tiny")).ResolveSubject(pb.ResolveSubjectRequest())


async def test_what_is_not_built_is_unimplemented_over_the_bus_too(on_bus, stub):
    with pytest.raises(errors.Unimplemented):
        await stub.LinkIdentifiers(pb.LinkIdentifiersRequest())


async def test_sigterm_finishes_the_call_that_came_over_the_bus(on_bus, stub):
    call = asyncio.ensure_future(stub.ResolveSubject(pb.ResolveSubjectRequest(create=True)))
    await until((on_bus.folder / "started").exists)
    on_bus.terminate()
    await until(lambda: "not ready" in on_bus.messages())
    (on_bus.folder / "go-on").touch()

    assert (await call).subject_id == "tiny"
    assert await on_bus.ended() == 0
    assert on_bus.messages()[-5:] == ["call answered", "calls finished", "task stopped", "pool closed", "closed"]


async def test_after_it_has_left_siblings_are_told_that_nobody_listens(on_bus, stub):
    on_bus.terminate()
    await on_bus.ended()

    with pytest.raises(errors.Unavailable) as caught:
        await stub.ResolveSubject(pb.ResolveSubjectRequest())
    assert caught.value.code == "NO_RESPONDERS"


async def test_an_event_of_a_subscription_is_handled(on_bus, bus):
    envelope = Envelope(event_id="e1", key="s1", consent_widened=ConsentWidened())
    await bus.publish(subject("consent", "s1"), envelope)

    await until((on_bus.folder / "handled").exists)


async def test_a_replica_that_loses_the_bus_is_not_ready_until_it_is_back(on_bus, nats):
    async with on_bus.open() as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def serving() -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest())
            return answer.status == health_pb2.HealthCheckResponse.SERVING

        async def away() -> bool:
            return not await serving()

        await until(serving)
        await nats.kill()
        await until(away)
        await nats.start()
        await until(serving)
