"""Telemetry leaves by OTLP when an endpoint is configured, the last of it when the service stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1 import profile_service_pb2_grpc as rpc
from servicekit import telemetry
from testkit.waiting import until


class Collector(trace_service_pb2_grpc.TraceServiceServicer, metrics_service_pb2_grpc.MetricsServiceServicer):
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list = []
        self.metrics: set[str] = set()

    async def Export(self, request, context):
        if isinstance(request, trace_service_pb2.ExportTraceServiceRequest):
            self.spans += [span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]
            return trace_service_pb2.ExportTraceServiceResponse()
        scopes = (scope for of in request.resource_metrics for scope in of.scope_metrics)
        self.metrics |= {metric.name for scope in scopes for metric in scope.metrics}
        return metrics_service_pb2.ExportMetricsServiceResponse()


@asynccontextmanager
async def listening(collector: Collector) -> AsyncIterator[str]:
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def one_call(tiny) -> int:
    await tiny.start()
    await until(tiny.ready, timeout=20)
    async with tiny.open() as channel:
        metadata = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
        await rpc.ProfileServiceStub(channel).ResolveSubject(pb.ResolveSubjectRequest(), metadata=metadata)
    tiny.terminate()
    return await tiny.ended()


async def test_what_is_waiting_leaves_when_the_service_stops(tiny):
    collector = Collector()
    async with listening(collector) as endpoint:
        tiny.variables["TINY_TELEMETRY__OTLP_ENDPOINT"] = endpoint
        assert await one_call(tiny) == 0

    (span,) = collector.spans
    assert span.name == "assent.profile.v1.ProfileService/ResolveSubject"
    assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert {attribute.key for attribute in span.attributes} <= telemetry.ATTRIBUTES
    assert telemetry.RPC_DURATION.name in collector.metrics
    assert collector.metrics <= telemetry.METRICS.keys()


@pytest.mark.timeout(60)
async def test_a_collector_that_is_away_does_not_keep_the_service(tiny):
    tiny.variables["TINY_TELEMETRY__OTLP_ENDPOINT"] = "http://127.0.0.1:9"

    assert await one_call(tiny) == 0
    assert "closed" in tiny.messages()
