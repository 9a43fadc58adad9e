"""What happens around every call, whatever carried it."""

from __future__ import annotations

import asyncio
import logging

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit import deadline, errors, telemetry
from servicekit.app import Servicer
from servicekit.auth import Caller, caller
from servicekit.calls import Invoker, Method, ScopeMissing, method_named, routes
from servicekit.collecting import collecting
from servicekit.status import Internal

METHOD = Method("assent.test.v1.TestService/Do", "test.do", streams_request=False, streams_response=False)
STREAM = Method("assent.test.v1.TestService/Watch", "test.do", streams_request=False, streams_response=True)
UPLOAD = Method("assent.test.v1.TestService/Ingest", "test.do", streams_request=True, streams_response=False)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Anybody:
    """Believes every token, and says which scopes its bearer has."""

    async def caller_of(self, token: str | None) -> Caller:
        if token is None:
            raise errors.Unauthenticated(reason="TOKEN_MISSING")
        return Caller("app", frozenset(token.split()))


INVOKER = Invoker(Anybody(), transport="test", default_deadline_s=5)


async def invoke(work, *, method=METHOD, token="test.do", remaining_s=1.0, traceparent=""):
    return await INVOKER.invoke(method, work, token=token, remaining_s=remaining_s, traceparent=traceparent)


async def never():
    pytest.fail("the work was begun")


async def wait_for_ever():
    await asyncio.Event().wait()


async def test_the_work_is_done_on_the_callers_behalf():
    async def work():
        return caller()

    assert await invoke(work) == Caller("app", frozenset({"test.do"}))


async def test_without_a_token_no_work_is_begun():
    with pytest.raises(errors.Unauthenticated):
        await invoke(never, token=None)


async def test_without_the_scope_no_work_is_begun():
    with pytest.raises(errors.Forbidden) as caught:
        await invoke(never, token="test.other")

    assert (caught.value.code, caught.value.metadata) == ("SCOPE_MISSING", {"scope": "test.do"})


@pytest.mark.parametrize("remaining_s", [0, -1])
async def test_after_its_deadline_no_work_is_begun(remaining_s):
    with pytest.raises(errors.DeadlineExceeded) as caught:
        await invoke(never, remaining_s=remaining_s)

    assert caught.value.code == "DEADLINE_PASSED"


async def test_work_is_stopped_at_the_deadline():
    with pytest.raises(errors.DeadlineExceeded):
        await invoke(wait_for_ever, remaining_s=0.02)


async def test_what_the_work_asks_of_others_gets_no_longer_than_the_call_has():
    async def work():
        return deadline.remaining_s(100)

    assert 0 < await invoke(work, remaining_s=0.5) <= 0.5
    assert 4 < await invoke(work, remaining_s=None) <= 5


@pytest.mark.parametrize("method", [STREAM, UPLOAD], ids=["answer", "request"])
async def test_a_call_that_streams_has_no_default_deadline(method):
    async def work():
        return deadline.remaining_s(100)

    assert await invoke(work, method=method, remaining_s=None) == 100


async def test_a_timeout_of_the_work_itself_is_a_bug_and_no_deadline():
    async def work():
        raise TimeoutError

    with pytest.raises(Internal):
        await invoke(work)


async def test_an_error_of_ours_passes_as_it_is():
    failure = errors.Conflict()

    async def work():
        raise failure

    with pytest.raises(errors.Conflict) as caught:
        await invoke(work)

    assert caught.value is failure


async def test_a_bug_becomes_an_id_and_the_log_has_the_rest(caplog):
    async def work():
        raise KeyError("account 4711")

    with pytest.raises(Internal) as caught:
        await invoke(work, traceparent=TRACEPARENT)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert (record.method, record.trace_id) == (METHOD.name, caught.value.metadata["trace_id"])
    assert record.exc_info[0] is KeyError
    assert "4711" not in str(caught.value)


async def test_a_cancelled_call_stays_cancelled():
    call = asyncio.create_task(invoke(wait_for_ever))
    await asyncio.sleep(0)
    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_calls_telemetry_is_declared_and_continues_the_callers_trace():
    async def work():
        return telemetry.inject()

    async def fail():
        raise errors.NotFound(reason="UNKNOWN_PURPOSE")

    with collecting() as collected:
        inside = await invoke(work, traceparent=TRACEPARENT)
        with pytest.raises(errors.NotFound):
            await invoke(fail)

    good, bad = collected.spans()
    assert collected.undeclared() == []
    assert inside.split("-")[1] == TRACEPARENT.split("-")[1]
    assert (good.name, good.parent.span_id) == (METHOD.name, 0xB7AD6B7169203331)
    assert (bad.attributes[telemetry.RPC_STATUS], bad.attributes[telemetry.REASON]) == ("NOT_FOUND", "UNKNOWN_PURPOSE")
    assert {point.metric for point in collected.points()} >= {"rpc.server.call.duration", "assent.rpc.in_flight"}


def test_every_method_of_a_servicer_has_its_scope_from_the_contract():
    found = routes([Servicer(rpc.add_ProfileServiceServicer_to_server, rpc.ProfileServiceServicer())])

    resolve = found["assent.profile.v1.ProfileService/ResolveSubject"].method
    ingest = found["assent.profile.v1.ProfileService/IngestBankEvents"].method
    export = found["assent.profile.v1.ProfileService/ExportSubject"].method
    assert (resolve.scope, resolve.streams_request, resolve.streams_response) == ("profile.resolve", False, False)
    assert (ingest.streams_request, ingest.streams_response) == (True, False)
    assert (export.streams_request, export.streams_response) == (False, True)


def test_a_method_without_a_scope_does_not_load():
    file = descriptor_pb2.FileDescriptorProto(name="open/v1/open.proto", package="open.v1", syntax="proto3")
    file.message_type.add(name="Nothing")
    service = file.service.add(name="OpenService")
    service.method.add(name="Anything", input_type=".open.v1.Nothing", output_type=".open.v1.Nothing")
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())

    with pytest.raises(ScopeMissing, match=r"open\.v1\.OpenService/Anything"):
        method_named("open.v1.OpenService/Anything")
