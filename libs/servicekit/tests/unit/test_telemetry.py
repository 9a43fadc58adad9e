"""Telemetry has declared names only, and says nothing about a person."""

from __future__ import annotations

import pytest

from servicekit import telemetry
from servicekit.collecting import collecting

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_every_name_in_the_module_is_in_its_registry():
    constants = {value for name, value in vars(telemetry).items() if name.isupper() and isinstance(value, str)}
    declared = telemetry.ATTRIBUTES | telemetry.SPANS | {telemetry.SCOPE}
    metrics = {value for value in vars(telemetry).values() if isinstance(value, telemetry.Metric)}

    assert constants == declared
    assert metrics == set(telemetry.METRICS.values())


def test_the_name_of_a_span_is_ours_or_a_methods():
    assert telemetry.is_declared_span("event.handle")
    assert telemetry.is_declared_span("assent.consent.v1.ConsentService/GrantConsent")
    assert not telemetry.is_declared_span("subject 4711")


def test_undeclared_names_are_found():
    with collecting() as collected, telemetry.span("made up", {"subject.id": "4711"}):
        pass

    assert collected.undeclared() == ["made up: attribute subject.id", "span made up"]


def test_every_kind_of_metric_is_emitted_under_its_name():
    with collecting() as collected:
        telemetry.count(telemetry.DECISIONS, 1, {telemetry.CHANNEL: "mobile"})
        telemetry.count(telemetry.RPC_IN_FLIGHT, 1)
        telemetry.observe(telemetry.STAGE_DURATION, 0.1, {telemetry.STAGE: "rank"})
        telemetry.gauge(telemetry.PARTITIONS_OWNED, 64)
        points = {point.metric for point in collected.points()}

    assert points >= {"assent.decisions", "assent.rpc.in_flight", "assent.stage.duration", "assent.partitions.owned"}


def test_a_failed_span_keeps_the_text_of_its_error():
    with collecting() as collected, pytest.raises(ValueError, match="4711"), telemetry.span(telemetry.FOLD_APPLY):
        raise ValueError("account 4711")

    (span,) = collected.spans()
    assert not span.status.is_ok
    assert "4711" not in span.to_json()


def test_a_traceparent_goes_in_and_comes_out():
    with collecting(), telemetry.server_span(telemetry.EVENT_HANDLE, TRACEPARENT):
        version, trace_id, span_id, flags = telemetry.inject().split("-")

    assert (version, trace_id, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert span_id != "b7ad6b7169203331"


@pytest.mark.parametrize(
    "text", ["", "x", TRACEPARENT + "x", TRACEPARENT.upper(), "00-" + "0" * 32 + "-b7ad6b7169203331-01", "é" * 55]
)
def test_a_malformed_traceparent_begins_a_new_trace(text):
    assert telemetry.extract(text) is None


def test_a_subject_appears_as_a_hash_that_is_the_same_everywhere():
    assert telemetry.hashed("s1") == telemetry.hashed("s1") != telemetry.hashed("s2")
    assert "s1" not in telemetry.hashed("s1")


def test_outside_of_a_trace_a_failure_still_gets_an_id():
    assert telemetry.trace_id() == ""
    assert len(telemetry.trace_id_or_new()) == 32
