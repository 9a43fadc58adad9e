"""Logs are JSON lines that hold allowed fields only."""

from __future__ import annotations

import json
import logging

import pytest

from servicekit import telemetry
from servicekit.errors import Conflict
from servicekit.logs import JsonFormatter

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def logger():
    found = logging.getLogger("test of logs")
    found.setLevel(logging.INFO)
    return found


def line(caplog) -> dict:
    return json.loads(JsonFormatter("consent", "consent-1").format(caplog.records[-1]))


def test_a_line_says_who_and_what(logger, caplog):
    logger.info("ready", extra={"port": 7000})
    found = line(caplog)

    assert {
        "level": "INFO",
        "message": "ready",
        "service": "consent",
        "instance": "consent-1",
        "port": 7000,
    }.items() <= (found.items())
    assert found["at"].endswith("+00:00")


def test_a_field_that_is_not_allowed_leaves_its_name_only(logger, caplog):
    logger.info("stored", extra={"subject_id": "4711", "count": 1})
    found = line(caplog)

    assert (found["left_out"], found["count"]) == (["subject_id"], 1)
    assert "4711" not in json.dumps(found)


def test_an_exception_leaves_its_classes_and_frames_without_its_text(logger, caplog):
    cause = KeyError("account 4711")
    try:
        raise Conflict(reason="TAKEN") from cause  # noqa: TRY301
    except Conflict:
        logger.exception("failed")
    found = line(caplog)

    assert (found["error"], found["reason"]) == ("Conflict < KeyError", "TAKEN")
    assert "test_an_exception" in found["frames"][0]
    assert "4711" not in json.dumps(found)


def test_a_line_inside_a_call_names_its_trace(logger, caplog):
    with telemetry.server_span(telemetry.EVENT_HANDLE, TRACEPARENT):
        logger.info("handled")
        found = line(caplog)

    assert found["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
