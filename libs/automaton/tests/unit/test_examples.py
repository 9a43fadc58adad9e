"""The example bank's definitions do what their own examples say."""

from __future__ import annotations

import pytest

from automaton import DefinitionInvalid, NotBuiltYet, compile_bundle, refold
from automaton.program import in_order
from automaton.replay import example_facts
from catalog.loading import load_bundle

from .building import CATALOG, definition, program

BUNDLE = load_bundle(CATALOG)
CASES = [
    pytest.param(one.signal, example, id=f"{one.signal}-{number}")
    for one in BUNDLE.signals
    if one.key == "session"
    for number, example in enumerate(one.examples)
]


@pytest.mark.parametrize(("signal", "example"), CASES)
def test_an_example_fires_as_often_as_it_says(signal, example):
    found = refold(compile_bundle(BUNDLE), example_facts(example), assumed=True)

    assert len([one for one in found if one.signal == signal]) == example.fires


@pytest.mark.parametrize(("signal", "example"), CASES)
def test_other_definitions_do_not_change_what_one_detects(signal, example):
    alone = refold(compile_bundle(BUNDLE, only=[signal]), example_facts(example), assumed=True)
    together = refold(compile_bundle(BUNDLE), example_facts(example), assumed=True)

    assert [one for one in alone if one.signal == signal] == [one for one in together if one.signal == signal]


@pytest.mark.parametrize(
    "detect",
    [
        {"absence": {"after": {"type": "tap"}, "within": "1s", "restart": True}},
        {"composite": {"any": ["rage_click"], "within": "1s"}},
        {"event": {"of": {"type": "life_event"}, "on": "date", "ahead": "1d"}},
    ],
)
def test_a_primitive_that_is_not_built_yet_says_so_and_names_the_definition(detect):
    with pytest.raises(NotBuiltYet, match=r"sleeper: .* is not built yet") as error:
        program(definition("sleeper", detect=detect))

    assert error.value.signal == "sleeper"


def test_a_reference_cycle_is_refused():
    a = definition("a", detect={"event": {"signal": "b"}})
    b = definition("b", detect={"event": {"signal": "a"}})

    with pytest.raises(DefinitionInvalid, match="reads itself"):
        in_order([a, b])


def test_what_a_definition_reads_comes_before_it():
    late = definition("late", detect={"event": {"signal": "early"}})
    early = definition("early", detect={"event": {"type": "tap"}})

    assert [one.signal for one in program(late, early).definitions] == ["early", "late"]
