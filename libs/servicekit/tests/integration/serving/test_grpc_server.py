"""What the gRPC port promises, on a real server."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit import errors, grpc_client, grpc_server, status
from servicekit.app import Servicer
from servicekit.settings import GrpcSettings

RESOLVE = "/assent.profile.v1.ProfileService/ResolveSubject"


async def code_and_reason(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), status.from_rpc(caught.value).code


async def test_a_caller_with_the_scope_is_answered(stub):
    reply = await stub.ResolveSubject(pb.ResolveSubjectRequest())

    assert reply.subject_id == "app"


async def test_a_call_without_a_token_is_unauthenticated(bare):
    call = rpc.ProfileServiceStub(bare).ResolveSubject(pb.ResolveSubjectRequest())

    assert await code_and_reason(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_a_token_without_the_scope_is_refused(bare, issuer):
    metadata = (("authorization", f"Bearer {issuer.token('profile.read')}"),)
    call = rpc.ProfileServiceStub(bare).ResolveSubject(pb.ResolveSubjectRequest(), metadata=metadata)

    assert await code_and_reason(call) == (grpc.StatusCode.PERMISSION_DENIED, "SCOPE_MISSING")


async def test_malformed_bytes_are_an_invalid_argument(connection):
    call = connection.unary_unary(RESOLVE)(b"\xff\xff\xff")

    assert await code_and_reason(call) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED")


async def test_malformed_bytes_without_a_token_say_nothing_about_the_bytes(bare):
    call = bare.unary_unary(RESOLVE)(b"\xff\xff\xff")

    assert await code_and_reason(call) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_an_oversized_message_is_refused(stub):
    request = pb.ResolveSubjectRequest()
    request.identifier.value = "x" * 100_000

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ResolveSubject(request)

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_handler_is_stopped_at_the_callers_deadline(stub):
    call = stub.ResolveSubject(pb.ResolveSubjectRequest(create=True), timeout=0.2)

    assert (await code_and_reason(call))[0] is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_without_a_deadline_gets_the_default_one(issuer, profile, settings):
    invoker = issuer.invoker()
    invoker._default_deadline_s = 0.1
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    async with (
        grpc_server.serve(settings, "profile", servicers, invoker, drain_seconds=1) as server,
        grpc_client.channel(f"127.0.0.1:{server.port}", token=issuer.token) as opened,
    ):
        call = rpc.ProfileServiceStub(opened).ResolveSubject(pb.ResolveSubjectRequest(create=True))

        assert await code_and_reason(call) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")


async def test_an_error_arrives_as_it_was_raised(stub, profile):
    profile.failure = errors.Exhausted(
        "Too many.", reason="TOO_MANY", field="subject_id", retry_after_ms=250, limit="7"
    )

    with pytest.raises(errors.Exhausted) as caught, status.translated():
        await stub.ResolveSubject(pb.ResolveSubjectRequest())

    found = caught.value
    assert (found.code, found.text, found.field, found.retry_after_ms, found.metadata) == (
        ("TOO_MANY", "Too many.", "subject_id", 250, {"limit": "7"})
    )


async def test_an_unknown_error_keeps_its_text_and_gives_a_trace_id(stub, profile, caplog):
    profile.failure = RuntimeError("account 4711")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.ResolveSubject(pb.ResolveSubjectRequest())

    error = caught.value
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "4711" not in str(error.details()) + str(error.trailing_metadata())
    trace_id = status.from_rpc(error).metadata["trace_id"]
    assert trace_id in {
        getattr(record, "trace_id", None) for record in caplog.records if record.levelno == logging.ERROR
    }


async def test_what_is_not_built_is_unimplemented(connection):
    call = rpc.ProfileServiceStub(connection).UnlinkIdentifiers(pb.UnlinkIdentifiersRequest())

    assert await code_and_reason(call) == (grpc.StatusCode.UNIMPLEMENTED, "UNIMPLEMENTED")


async def test_a_stream_of_answers_arrives_whole(stub):
    lines = [response.line async for response in stub.ExportSubject(pb.ExportSubjectRequest())]

    assert lines == ["app 0", "app 1", "app 2"]


async def test_a_stream_that_fails_midway_says_why(stub, profile):
    profile.failure = errors.Forbidden(reason="BASIS_EXPIRED")
    call = stub.ExportSubject(pb.ExportSubjectRequest())
    lines = [await call.read() for _ in range(3)]

    assert len(lines) == 3
    assert await code_and_reason(call.read()) == (grpc.StatusCode.PERMISSION_DENIED, "BASIS_EXPIRED")


async def test_a_stream_needs_its_scope_too(bare):
    call = rpc.ProfileServiceStub(bare).ExportSubject(pb.ExportSubjectRequest())

    assert await code_and_reason(call.read()) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


async def test_leaving_a_stream_ends_its_handler(stub, profile):
    call = stub.ExportSubject(pb.ExportSubjectRequest(subject_id="endless"))
    async for _ in call:
        break
    call.cancel()

    async with asyncio.timeout(5):
        await profile.closed.wait()


async def test_a_stream_of_requests_is_answered_once(stub):
    requests = [pb.IngestBankEventsRequest() for _ in range(3)]
    for request in requests:
        request.events.add()

    reply = await stub.IngestBankEvents(iter(requests))

    assert reply.accepted == 3


async def test_a_peer_that_does_not_read_does_not_block_others(stub):
    slow = stub.ExportSubject(pb.ExportSubjectRequest(subject_id="endless"))
    await slow.read()

    replies = await asyncio.gather(*(stub.ResolveSubject(pb.ResolveSubjectRequest(), timeout=5) for _ in range(20)))

    assert {reply.subject_id for reply in replies} == {"app"}
    slow.cancel()


async def test_reflection_lists_our_services(bare):
    stub = reflection_pb2_grpc.ServerReflectionStub(bare)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="*")]))
    names = {service.name for service in (await call.read()).list_services_response.service}

    assert "assent.profile.v1.ProfileService" in names
    assert "grpc.health.v1.Health" in names


async def test_health_says_what_it_is_told_for_the_server_and_each_service(bare, server):
    stub = health_pb2_grpc.HealthStub(bare)

    async def answers():
        names = ("", "assent.profile.v1.ProfileService")
        return {(await stub.Check(health_pb2.HealthCheckRequest(service=name))).status for name in names}

    assert await answers() == {health_pb2.HealthCheckResponse.NOT_SERVING}
    await server.health.say(serving=True)
    assert await answers() == {health_pb2.HealthCheckResponse.SERVING}


async def test_a_running_call_is_finished_when_the_server_leaves(issuer, profile, settings):
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    serving = grpc_server.serve(settings, "profile", servicers, issuer.invoker(), drain_seconds=5)
    server = await serving.__aenter__()
    async with grpc_client.channel(f"127.0.0.1:{server.port}", token=issuer.token) as opened:
        call = asyncio.ensure_future(
            rpc.ProfileServiceStub(opened).ResolveSubject(pb.ResolveSubjectRequest(create=True))
        )
        await profile.started.wait()
        leaving = asyncio.ensure_future(serving.__aexit__(None, None, None))
        asyncio.get_running_loop().call_later(0.1, profile.go_on.set)

        assert (await call).subject_id == "app"
        await leaving


async def test_with_a_certificate_it_speaks_tls(issuer, profile, certificate):
    settings = GrpcSettings(tls_certificate=certificate.chain, tls_key=certificate.key)
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    async with grpc_server.serve(settings, "profile", servicers, issuer.invoker()) as server:
        target = f"127.0.0.1:{server.port}"
        async with grpc_client.channel(target, token=issuer.token, ca=certificate.chain) as opened:
            reply = await rpc.ProfileServiceStub(opened).ResolveSubject(pb.ResolveSubjectRequest())

        assert reply.subject_id == "app"
        async with grpc_client.channel(target, token=issuer.token) as plain:
            call = rpc.ProfileServiceStub(plain).ResolveSubject(pb.ResolveSubjectRequest(), timeout=2)
            assert (await code_and_reason(call))[0] in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_with_a_client_authority_a_client_without_a_certificate_is_refused(issuer, profile, certificate):
    settings = GrpcSettings(tls_certificate=certificate.chain, tls_key=certificate.key, client_ca=certificate.chain)
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    async with grpc_server.serve(settings, "profile", servicers, issuer.invoker()) as server:
        target = f"127.0.0.1:{server.port}"
        pair = (certificate.chain, certificate.key)
        async with grpc_client.channel(target, token=issuer.token, ca=certificate.chain, certificate=pair) as opened:
            reply = await rpc.ProfileServiceStub(opened).ResolveSubject(pb.ResolveSubjectRequest())
        async with grpc_client.channel(target, token=issuer.token, ca=certificate.chain) as nobody:
            call = rpc.ProfileServiceStub(nobody).ResolveSubject(pb.ResolveSubjectRequest(), timeout=2)
            refused = await code_and_reason(call)

    assert reply.subject_id == "app"
    assert refused[0] is not grpc.StatusCode.OK


async def test_a_call_over_the_limit_is_refused_at_once_and_probes_are_not(issuer, profile):
    settings = GrpcSettings(max_concurrent=1)
    servicers = [Servicer(rpc.add_ProfileServiceServicer_to_server, profile)]
    async with (
        grpc_server.serve(settings, "profile", servicers, issuer.invoker()) as server,
        grpc_client.channel(f"127.0.0.1:{server.port}", token=issuer.token) as opened,
    ):
        stub = rpc.ProfileServiceStub(opened)
        first = asyncio.ensure_future(stub.ResolveSubject(pb.ResolveSubjectRequest(create=True)))
        await profile.started.wait()
        refused = await code_and_reason(stub.ResolveSubject(pb.ResolveSubjectRequest()))
        probe = await health_pb2_grpc.HealthStub(opened).Check(health_pb2.HealthCheckRequest(service=grpc_server.LIVE))
        profile.go_on.set()
        await first
        after = await stub.ResolveSubject(pb.ResolveSubjectRequest())

    assert refused == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert probe.status == health_pb2.HealthCheckResponse.SERVING
    assert after.subject_id == "app"


async def test_a_port_that_is_taken_is_said_so(server, issuer):
    taken = GrpcSettings(port=server.port)

    with pytest.raises(errors.Unavailable) as caught:
        async with grpc_server.serve(taken, "profile", [], issuer.invoker()):
            pass

    assert caught.value.code == "PORT_TAKEN"
