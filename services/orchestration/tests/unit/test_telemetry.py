"""A decision names its stages, and uses declared names only."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from orchestration_fakes import CANARY, PORTS, a_request, break_stage

from servicekit import telemetry


@pytest.fixture
def seen(monkeypatch):
    """Spans and measurements, as they would leave."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    measured: list[tuple[str, float, dict]] = []

    def note(metric, value, attributes=None):
        measured.append((metric.name, value, dict(attributes or {})))

    monkeypatch.setattr(telemetry, "_TRACER", provider.get_tracer("test"))
    monkeypatch.setattr(telemetry, "observe", note)
    monkeypatch.setattr(telemetry, "count", note)
    return exporter, measured


async def test_every_stage_has_a_span_and_a_duration_with_its_outcome(world, seen):
    exporter, measured = seen
    break_stage(world, "rank", "down")
    await world.decider().decide(a_request(), caller="app")

    spans = {
        s.attributes[telemetry.STAGE]: s.attributes[telemetry.STAGE_OUTCOME] for s in exporter.get_finished_spans()
    }
    timed = {
        a[telemetry.STAGE]: a[telemetry.STAGE_OUTCOME] for name, _, a in measured if name == "assent.stage.duration"
    }
    assert spans == timed
    assert spans.keys() == PORTS.keys() | {"rerender"}
    assert spans["rank"] == "NO_RESPONDERS"
    assert spans["record"] == "ok"


async def test_decisions_latency_and_degradations_are_counted_by_code(world, seen):
    _, measured = seen
    break_stage(world, "rank", "down")
    await world.decider().decide(a_request(), caller="app")

    named = {name: attributes for name, _, attributes in measured}
    assert named["assent.decisions"] == {telemetry.CHANNEL: "mobile"}
    assert named["assent.decision.duration"] == {telemetry.CHANNEL: "mobile"}
    assert named["assent.degradations"][telemetry.DEGRADATION] == "RANKING_UNAVAILABLE"


async def test_all_names_are_declared_and_nothing_tells_of_the_person(world, seen):
    exporter, measured = seen
    request = a_request()
    request.subject.value = CANARY
    request.session_id = CANARY
    await world.decider().decide(request, caller="app")

    for span in exporter.get_finished_spans():
        assert telemetry.is_declared_span(span.name)
        assert set(span.attributes) <= telemetry.ATTRIBUTES
    for name, _, attributes in measured:
        assert name in telemetry.METRICS
        assert set(attributes) <= telemetry.ATTRIBUTES
    everything = str([span.to_json() for span in exporter.get_finished_spans()]) + str(measured)
    assert CANARY not in everything
    assert "5c1d6e3a" not in everything
