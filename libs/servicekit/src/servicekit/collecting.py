"""For tests: what telemetry a piece of code emitted, and which of it `servicekit.telemetry` does not declare."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from servicekit import telemetry


@dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric, with its attributes."""

    metric: str
    attributes: Mapping[str, Any]


class Collected:
    """What has been emitted since collecting began."""

    def __init__(self, spans: InMemorySpanExporter, reader: InMemoryMetricReader) -> None:
        self._spans = spans
        self._reader = reader

    def spans(self) -> Sequence[ReadableSpan]:
        """The spans that have ended."""
        return self._spans.get_finished_spans()

    def points(self) -> list[Point]:
        """The metrics of the process, and all attributes they have had."""
        data = self._reader.get_metrics_data()
        found = (
            (
                metric
                for resource in data.resource_metrics
                for scope in resource.scope_metrics
                for metric in scope.metrics
            )
            if data
            else ()
        )
        return [Point(metric.name, point.attributes or {}) for metric in found for point in metric.data.data_points]

    def undeclared(self) -> list[str]:
        """Every name that is not in `servicekit.telemetry`; a test expects none."""
        wrong = {f"span {span.name}" for span in self.spans() if not telemetry.is_declared_span(span.name)}
        wrong |= {f"metric {point.metric}" for point in self.points() if point.metric not in telemetry.METRICS}
        used = [(span.name, span.attributes or {}) for span in self.spans()]
        used += [(point.metric, point.attributes) for point in self.points()]
        wrong |= {f"{name}: attribute {key}" for name, keys in used for key in keys if key not in telemetry.ATTRIBUTES}
        return sorted(wrong)


@contextmanager
def collecting() -> Iterator[Collected]:
    """Collect what the block emits. OpenTelemetry takes one provider per process, so tests with an exporter cannot share it."""
    spans, reader = _installed()
    spans.clear()
    yield Collected(spans, reader)


@functools.cache
def _installed() -> tuple[InMemorySpanExporter, InMemoryMetricReader]:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader]))
    return spans, reader
