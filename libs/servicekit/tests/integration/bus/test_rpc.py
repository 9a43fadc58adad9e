"""Calls over a real NATS server, with the stubs that protoc generates."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from servicekit import deadline, errors
from servicekit.app import Servicer
from servicekit.auth import Caller
from servicekit.calls import Invoker
from servicekit.gates import Gate
from servicekit.nats import connect
from servicekit.rpc import headers
from servicekit.rpc.server import serve

pytestmark = pytest.mark.integration

SUBJECT = "rpc.grpc.health.v1.Health.Check"
SERVING = HealthCheckResponse(status=HealthCheckResponse.SERVING)


class Answering(health_pb2_grpc.HealthServicer):
    """A servicer whose one method does what the test says."""

    def __init__(self, answer):
        self.answer = answer
        self.calls = 0

    async def Check(self, request, context):
        self.calls += 1
        return await self.answer(request)


async def serving(request):
    return SERVING


class UnsafeAllowAll:
    """Believes everybody: the transport alone is under test."""

    async def caller_of(self, token):
        return Caller(subject="anybody", scopes=frozenset({""}))


def serves(bus, answer=serving, **options):
    servicer = answer if isinstance(answer, Answering) else Answering(answer)
    servicers = [Servicer(health_pb2_grpc.add_HealthServicer_to_server, servicer)]
    return serve(bus, bus.service, servicers, invoker=Invoker(UnsafeAllowAll(), transport="nats"), **options)


def stub_of(bus, **options):
    return health_pb2_grpc.HealthStub(bus.channel("callee", **options))


def raising(error):
    async def answer(request):
        raise error

    return answer


class Held:
    """An answer that waits until it is let go."""

    def __init__(self):
        self.started = asyncio.Event()
        self.let_go = asyncio.Event()

    async def __call__(self, request):
        self.started.set()
        await self.let_go.wait()
        return SERVING


async def test_a_generated_stub_calls_a_generated_servicer(bus, other_bus):
    async with serves(other_bus):
        response = await stub_of(bus).Check(HealthCheckRequest(service="x"), timeout=5)

    assert response == SERVING


async def test_a_kit_error_arrives_as_it_was_raised(bus, other_bus):
    error = errors.NotFound("No such thing.", reason="NO_SUCH_THING", field="service", retry_after_ms=1500, kind="x")

    async with serves(other_bus, raising(error)):
        with pytest.raises(errors.NotFound) as caught:
            await stub_of(bus).Check(HealthCheckRequest(), timeout=5)

    assert (
        caught.value.code,
        caught.value.text,
        caught.value.field,
        caught.value.retry_after_ms,
        caught.value.metadata,
    ) == ("NO_SUCH_THING", "No such thing.", "service", 1500, {"kind": "x"})


async def test_the_text_of_a_bug_stays_inside(bus, other_bus):
    async with serves(other_bus, raising(KeyError("customer 4711"))):
        with pytest.raises(errors.AssentError) as caught:
            await stub_of(bus).Check(HealthCheckRequest(), timeout=5)

    assert caught.value.code == "INTERNAL"
    assert "4711" not in str(caught.value)


async def test_nobody_listening_is_known_at_once(bus):
    async with asyncio.timeout(2):
        with pytest.raises(errors.Unavailable) as caught:
            await stub_of(bus).Check(HealthCheckRequest(), timeout=30)

    assert caught.value.code == "NO_RESPONDERS"


async def test_a_method_behind_a_gate_is_heard_only_while_it_is_open(bus, other_bus, until):
    gate = Gate()
    servicer = Answering(serving)
    servicers = [Servicer(health_pb2_grpc.add_HealthServicer_to_server, servicer, {"Check": gate})]
    invoker = Invoker(UnsafeAllowAll(), transport="nats")

    async def heard():
        try:
            return await stub_of(other_bus).Check(HealthCheckRequest()) == SERVING
        except errors.Unavailable as error:
            if error.code != "NO_RESPONDERS":
                raise
            return False

    async def unheard():
        return not await heard()

    async with serve(bus, bus.service, servicers, invoker=invoker):
        assert not await heard()
        for _ in range(2):
            gate.open()
            await until(heard)
            gate.close()
            await until(unheard)
        gate.open()
        await until(heard)
    assert not await heard()


async def test_a_call_that_runs_when_its_gate_closes_is_answered(bus, other_bus, until):
    gate, held = Gate(), Held()
    servicers = [Servicer(health_pb2_grpc.add_HealthServicer_to_server, Answering(held), {"Check": gate})]

    async with serve(bus, bus.service, servicers, invoker=Invoker(UnsafeAllowAll(), transport="nats")):
        gate.open()

        async def started():
            calls.append(asyncio.create_task(stub_of(other_bus).Check(HealthCheckRequest())))
            await asyncio.wait(calls, timeout=0.05)
            return held.started.is_set()

        calls = []
        await until(started)
        gate.close()
        held.let_go.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)

    assert SERVING in answers


async def test_a_slow_peer_costs_no_more_than_the_timeout(bus, other_bus):
    held = Held()

    async with serves(other_bus, held, drain_seconds=0):
        with pytest.raises(errors.DeadlineExceeded):
            await stub_of(bus).Check(HealthCheckRequest(), timeout=0.05)


async def test_a_streaming_method_says_where_it_is_served(bus):
    with pytest.raises(errors.Unimplemented) as caught:
        stub_of(bus).Watch(HealthCheckRequest())

    assert caught.value.code == "STREAMS_ARE_GRPC_ONLY"


async def test_an_oversized_request_is_refused_before_it_is_sent(bus, other_bus):
    async with serves(other_bus):
        with pytest.raises(errors.Exhausted) as caught:
            await stub_of(bus).Check(HealthCheckRequest(service="x" * bus.nc.max_payload), timeout=5)

        assert await stub_of(bus).Check(HealthCheckRequest(), timeout=5) == SERVING
    assert str(bus.nc.max_payload) == caught.value.metadata["limit"]


async def test_an_oversized_response_is_an_error_of_that_call_alone(bus, other_bus):
    async def unknown_field(request):
        return HealthCheckResponse.FromString(b"\x52" + _varint(bus.nc.max_payload) + b"x" * bus.nc.max_payload)

    async with serves(other_bus, unknown_field):
        with pytest.raises(errors.Exhausted) as caught:
            await stub_of(bus).Check(HealthCheckRequest(), timeout=5)

    assert caught.value.code == "MESSAGE_TOO_LARGE"


def _varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


async def raw_call(bus, payload=b"", **fields):
    """What a client that is not ours might send; gives the error of the reply."""
    reply = await bus.nc.request(SUBJECT, payload, timeout=5, headers=fields)
    return int(reply.headers["Assent-Status"])


async def test_malformed_bytes_are_an_invalid_request(bus, other_bus):
    answering = Answering(serving)

    async with serves(other_bus, answering):
        status = await raw_call(bus, b"\xff\xff\xff", **{"Assent-Deadline-Ms": "1000"})

    assert (status, answering.calls) == (3, 0)


@pytest.mark.parametrize("left", ["0", "-5"])
async def test_a_call_whose_deadline_has_passed_is_not_started(bus, other_bus, left):
    answering = Answering(serving)

    async with serves(other_bus, answering):
        status = await raw_call(bus, **{"Assent-Deadline-Ms": left})

    assert (status, answering.calls) == (4, 0)


async def test_a_call_without_a_deadline_is_refused(bus, other_bus):
    async with serves(other_bus):
        assert await raw_call(bus, X="y") == 3


async def test_a_deadline_shrinks_at_each_hop(bus, other_bus):
    seen = []

    async def look(request):
        seen.append(deadline.remaining_s(60))
        return SERVING

    async with serves(other_bus, look):
        with deadline.ending_in(2):
            await stub_of(bus).Check(HealthCheckRequest(), timeout=30)

    assert 1 < seen[0] <= 2


async def test_no_call_starts_after_the_ambient_deadline(bus, other_bus):
    async with serves(other_bus):
        with deadline.ending_in(0), pytest.raises(errors.DeadlineExceeded):
            await stub_of(bus).Check(HealthCheckRequest(), timeout=30)


async def test_one_call_too_many_is_refused_and_the_others_finish(bus, other_bus):
    held = Held()

    async with serves(other_bus, held, max_concurrent=1):
        first = asyncio.ensure_future(stub_of(bus).Check(HealthCheckRequest(), timeout=5))
        await held.started.wait()
        with pytest.raises(errors.Exhausted) as caught:
            await stub_of(bus).Check(HealthCheckRequest(), timeout=5)
        held.let_go.set()

        assert await first == SERVING
    assert caught.value.code == "OVERLOADED"


async def test_replicas_share_the_calls(bus, other_bus, server):
    first, second = Answering(serving), Answering(serving)

    async with connect(server.settings, "callee") as second_bus, serves(other_bus, first), serves(second_bus, second):
        stub = stub_of(bus)
        await asyncio.gather(*(stub.Check(HealthCheckRequest(), timeout=5) for _ in range(200)))

    assert first.calls + second.calls == 200
    assert min(first.calls, second.calls) > 40


async def test_leaving_finishes_running_calls_and_loses_none(bus, server):
    answered = itertools.count()

    async with (
        connect(server.settings, "callee") as leaving_bus,
        connect(server.settings, "callee") as staying_bus,
        serves(staying_bus),
    ):
        stub = stub_of(bus)
        async with serves(leaving_bus):
            calls = [asyncio.ensure_future(stub.Check(HealthCheckRequest(), timeout=5)) for _ in range(300)]
            await asyncio.sleep(0)
        for call in calls:
            assert await call == SERVING
            next(answered)

    assert next(answered) == 300


async def test_a_call_that_outlasts_the_drain_is_answered_unavailable(bus, other_bus):
    held = Held()

    async with serves(other_bus, held, drain_seconds=0.05):
        call = asyncio.ensure_future(stub_of(bus).Check(HealthCheckRequest(), timeout=5))
        await held.started.wait()

    with pytest.raises(errors.Unavailable) as caught:
        await call
    assert caught.value.code == "SHUTTING_DOWN"


async def test_calls_recover_by_themselves_after_the_server_was_killed(frail_server, until):
    async with (
        connect(frail_server.settings, "callee") as there,
        connect(frail_server.settings, "caller") as here,
        serves(there),
    ):
        stub = stub_of(here)
        await stub.Check(HealthCheckRequest(), timeout=5)
        await frail_server.kill()
        await until(lambda: not here.connected)
        with pytest.raises(errors.Unavailable) as caught:
            await stub.Check(HealthCheckRequest(), timeout=5)
        with pytest.raises(errors.Unavailable):
            await here.check()
        await frail_server.start()
        await until(lambda: here.connected and there.connected)

        async def answers():
            try:
                return await stub.Check(HealthCheckRequest(), timeout=1) == SERVING
            except errors.Unavailable:
                return False

        await until(answers)
    assert caught.value.code == "BUS_AWAY"


async def test_a_process_may_start_before_its_server(frail_server, until):
    await frail_server.kill()

    async def connected():
        async with connect(frail_server.settings, "caller") as here:
            await here.nc.flush()

    starting = asyncio.ensure_future(connected())
    await frail_server.start()

    await starting


async def test_a_stalled_server_costs_no_more_than_the_timeout(frail_server):
    async with (
        connect(frail_server.settings, "callee") as there,
        connect(frail_server.settings, "caller") as here,
        serves(there),
    ):
        frail_server.stall()
        with pytest.raises(errors.DeadlineExceeded):
            await stub_of(here).Check(HealthCheckRequest(), timeout=0.1)
        frail_server.go_on()

        assert await stub_of(here).Check(HealthCheckRequest(), timeout=5) == SERVING


async def test_calls_on_their_way_fail_at_once_when_the_server_dies(frail_server):
    held = Held()

    async with (
        connect(frail_server.settings, "callee") as there,
        connect(frail_server.settings, "caller") as here,
        serves(there, held, drain_seconds=0),
    ):
        call = asyncio.ensure_future(stub_of(here).Check(HealthCheckRequest(), timeout=60))
        await held.started.wait()
        await frail_server.kill()
        async with asyncio.timeout(5):
            with pytest.raises(errors.Unavailable):
                await call


async def test_a_reply_that_is_not_ours_is_an_error(bus, other_bus):
    async def babble(message):
        await message.respond(b"hello")

    subscription = await other_bus.nc.subscribe(SUBJECT, cb=babble)
    await other_bus.nc.flush()
    with pytest.raises(errors.Unavailable) as caught:
        await stub_of(bus).Check(HealthCheckRequest(), timeout=5)
    await subscription.unsubscribe()
    await other_bus.nc.flush()

    assert caught.value.code == "BAD_REPLY"


@pytest.mark.parametrize("suffix", ["", ".callee", ".callee.one"])
async def test_discovery_answers_by_kind_name_and_id(bus, other_bus, suffix):
    async with serves(other_bus, instance="one", version="1.2.3"):
        replies = {verb: await bus.nc.request(f"$SRV.{verb}{suffix}", timeout=5) for verb in ("PING", "INFO", "STATS")}

    answers = {verb: json.loads(reply.data) for verb, reply in replies.items()}
    for verb, answer in answers.items():
        assert f"io.nats.micro.v1.{verb.lower()}_response" == answer["type"]
        assert (answer["id"], answer["name"], answer["version"]) == ("one", "callee", "1.2.3")
    assert SUBJECT in [endpoint["subject"] for endpoint in answers["INFO"]["endpoints"]]


async def test_statistics_count_calls_errors_and_time(bus, other_bus):
    async with serves(other_bus, raising(errors.Conflict())):
        for _ in range(3):
            with pytest.raises(errors.Conflict):
                await stub_of(bus).Check(HealthCheckRequest(), timeout=5)
        answer = json.loads((await bus.nc.request("$SRV.STATS.callee", timeout=5)).data)

    (endpoint,) = (e for e in answer["endpoints"] if e["subject"] == SUBJECT)
    assert (endpoint["num_requests"], endpoint["num_errors"], endpoint["last_error"]) == (3, 3, "CONFLICT")
    assert endpoint["average_processing_time"] == endpoint["processing_time"] // 3 > 0


async def test_an_error_of_the_server_does_not_close_the_connection_for_good(frail_server, until):
    async with connect(frail_server.settings, "caller") as here:
        here.nc.send(b"NONSENSE\r\n")
        await until(lambda: here.nc.stats["reconnects"] == 1 and here.connected)

        await here.nc.flush()


def test_call_headers_are_read_as_they_were_written():
    block = headers.write_call(250, "a.b.c", "00-1-2-01")

    assert (headers.read(block)) == {
        b"Assent-Deadline-Ms": b"250",
        b"Assent-Caller-Token": b"a.b.c",
        b"traceparent": b"00-1-2-01",
    }
