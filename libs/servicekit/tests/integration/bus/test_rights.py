"""With the rights that each service has on the real server, and no others, everything of the kit works."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from assent.consent.v1 import consent_service_pb2_grpc
from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest
from assent.events.v1.consent_pb2 import ConsentNarrowed
from assent.events.v1.envelope_pb2 import Envelope
from embedded.nats import Nats
from servicekit import errors
from servicekit.app import Servicer, Subscription
from servicekit.auth import Caller
from servicekit.calls import Invoker
from servicekit.folds import fold
from servicekit.jetstream import consume
from servicekit.leases import own
from servicekit.nats import connect
from servicekit.rpc.server import serve
from servicekit.streams import ensure_streams, subject

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = Nats(tmp_path_factory.mktemp("guarded"))
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module")
async def connected(guarded):
    def connected(user):
        password = SecretStr(guarded.passwords[user])
        return connect(SimpleNamespace(servers=[guarded.url], user=user, password=password), user)

    async with connected("cli") as admin:
        await ensure_streams(admin)
    return connected


def an_envelope(event_id):
    return Envelope(event_id=event_id, key="k", consent_narrowed=ConsentNarrowed())


class Anybody:
    async def caller_of(self, token):
        return Caller("anybody", scopes=frozenset())


async def test_a_service_calls_the_siblings_it_may_call(connected):
    add = consent_service_pb2_grpc.add_ConsentServiceServicer_to_server
    servicers = [Servicer(add, consent_service_pb2_grpc.ConsentServiceServicer())]

    async with (
        connected("consent") as callee,
        connected("profile") as caller,
        serve(callee, "consent", servicers, invoker=Invoker(Anybody(), transport="nats")),
    ):
        stub = consent_service_pb2_grpc.ConsentServiceStub(caller.channel("consent"))
        with pytest.raises(errors.Forbidden) as caught:
            await stub.EvaluateBasis(EvaluateBasisRequest(), timeout=5)

    assert caught.value.code == "SCOPE_MISSING"


async def test_a_service_writes_its_facts_and_no_others(connected):
    async with connected("consent") as bus:
        await bus.publish(subject("consent", "k"), an_envelope("a"))
        with pytest.raises(errors.Unavailable):
            async with asyncio.timeout(10):
                await bus.publish(subject("decision", "k"), an_envelope("b"))


async def test_a_service_consumes_folds_and_gives_up_what_it_may_read(connected, until):
    heard, folded = [], []

    async def handler(envelope):
        heard.append(envelope.event_id)

    async def refuse(envelope):
        raise errors.Invalid

    async def apply(partition, epoch, facts):
        folded.extend(envelope.event_id for _, envelope, _ in facts)

    async def load_position(partition):
        return 0

    subscriptions = [
        Subscription("CONSENT", "signals-heard", {"consent_narrowed": handler}),
        Subscription("CONSENT", "signals-refused", {"consent_narrowed": refuse}),
        Subscription("CONSENT", "signals-cache", {"consent_narrowed": handler}, every_replica=True),
    ]
    async with (
        connected("consent") as writer,
        connected("signals") as reader,
        connected("cli") as admin,
        own(reader, "signals", "one") as leases,
        consume(reader, subscriptions),
    ):
        folding = asyncio.ensure_future(fold(reader, leases, "CONSENT", apply=apply, load_position=load_position))
        await writer.publish(subject("consent", "k"), an_envelope("c"))
        await until(lambda: heard.count("c") == 2 and "c" in folded)

        async def given_up():
            return (await admin.js.stream_info("DEAD_LETTERS")).state.messages > 0

        await until(given_up)
        folding.cancel()
