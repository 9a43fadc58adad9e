"""Sends traces and metrics by OTLP, where an endpoint is configured; otherwise telemetry stays a no-op."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from servicekit.settings import TelemetrySettings

FLUSH_S = 2.0


@asynccontextmanager
async def exporting(settings: TelemetrySettings, *, service: str, instance: str) -> AsyncIterator[None]:
    """Install the exporters while the block runs; leaving flushes what is waiting, for two seconds at most."""
    if settings.otlp_endpoint is None:
        yield
        return
    resource = _resource(settings, service, instance)
    tracers, meters = _tracers(settings, settings.otlp_endpoint, resource), _meters(settings, resource)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    try:
        yield
    finally:
        await _flush(tracers, meters)


async def _flush(tracers: TracerProvider, meters: MeterProvider) -> None:
    """Send what is waiting, for two seconds at most.

    In a thread of its own that the process does not wait for: with the collector away, OpenTelemetry's exporters retry for
    longer than they are told to.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def flush() -> None:
        tracers.shutdown()
        meters.shutdown()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=flush, name="flush telemetry", daemon=True).start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FLUSH_S):
            await done.wait()


def _resource(settings: TelemetrySettings, service: str, instance: str) -> Resource:
    return Resource.create(
        {"service.name": service, "service.instance.id": instance, "service.version": settings.service_version}
    )


def _tracers(settings: TelemetrySettings, endpoint: str, resource: Resource) -> TracerProvider:
    sampler = ParentBased(TraceIdRatioBased(settings.sample_ratio))
    provider = TracerProvider(sampler, resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _meters(settings: TelemetrySettings, resource: Resource) -> MeterProvider:
    endpoint = settings.otlp_endpoint or ""
    exporter = OTLPMetricExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=settings.export_interval_ms)
    return MeterProvider([reader], resource, shutdown_on_exit=False)
