"""No personal data in logs, whatever fails."""

from __future__ import annotations

import io
import logging

import pytest
from orchestration_fakes import CANARY, EVERYTHING, PORTS, World, a_request, break_stage

from servicekit import logs


@pytest.fixture
def said():
    """Everything that is logged, as it leaves the process."""
    root, stream = logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter("orchestration", "test"))
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def a_telling_request():
    request = a_request()
    request.subject.value = CANARY
    request.session_id = CANARY
    request.context.screen = CANARY
    request.locale = "en-GB"
    request.context.attributes.add(name=CANARY).value.text = CANARY
    return request


@pytest.mark.parametrize("way", ["down", "bug", "wrong"])
@pytest.mark.parametrize("stage", [*PORTS, ""])
async def test_a_decision_logs_nothing_of_the_person(said, stage, way):
    world = World(allowed=tuple(p for p in EVERYTHING if p != "assistance"))
    if stage:
        break_stage(world, stage, way)
    await world.decider().decide(a_telling_request(), caller="app")

    assert CANARY not in said.getvalue()
    assert "5c1d6e3a" not in said.getvalue()
    if stage:
        assert f'"stage": "{stage}"' in said.getvalue()
