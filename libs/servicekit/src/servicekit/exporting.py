"""Sends traces and metrics by OTLP, where an endpoint is configured; otherwise telemetry stays a no-op."""

from __future__ import annotations

import asyncio
import contextlib
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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * FLUSH_S):
                await asyncio.to_thread(_flush, tracers, meters)


def _resource(settings: TelemetrySettings, service: str, instance: str) -> Resource:
    return Resource.create(
        {"service.name": service, "service.instance.id": instance, "service.version": settings.service_version}
    )


def _tracers(settings: TelemetrySettings, endpoint: str, resource: Resource) -> TracerProvider:
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _meters(settings: TelemetrySettings, resource: Resource) -> MeterProvider:
    endpoint = settings.otlp_endpoint or ""
    exporter = OTLPMetricExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=settings.export_interval_ms)
    return MeterProvider([reader], resource)


def _flush(tracers: TracerProvider, meters: MeterProvider) -> None:
    milliseconds = int(FLUSH_S * 1000)
    tracers.force_flush(milliseconds)
    meters.force_flush(milliseconds)
    tracers.shutdown()
    meters.shutdown(milliseconds)
