"""Arbitration as published: hand-checked cases, bit for bit."""

import json
from decimal import Decimal
from fractions import Fraction

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking_service.commands import rank
from ranking_service.domain.arbitration import factor, order_key, priority, units
from servicekit.errors import Invalid

# P, V, C, L and the priority: the first as the manual has it, the others by exact products rounded after every factor.
CASES = [
    (0.0043, 0.4, 1.27, 1.0986, 0.0023997818400000007),
    (0.5, 100.0, 1.0, 1.0, 50.0),
    (0.1, 0.1, 1.1, 1.1, 0.012100000000000005),
    (0.07, 250.0, 1.4, 1.55, 37.975),
    (2.0, 3.5, 0.0, 10.0, 0.0),
]


@pytest.mark.parametrize(("p", "v", "c", "lever", "expected"), CASES)
def test_a_priority_agrees_with_the_published_one_to_the_last_bit(p, v, c, lever, expected):
    rounded = float(Fraction(p) * Fraction(v))
    rounded = float(Fraction(rounded) * Fraction(c))
    rounded = float(Fraction(rounded) * Fraction(lever))

    assert expected == priority(p, v, c, lever) == rounded


def test_the_grouping_matters_in_the_last_bit():
    assert priority(0.1, 0.7, 1.1, 1.3) != 0.1 * (0.7 * (1.1 * 1.3))


def test_levers_of_issue_group_and_action_add_up():
    assert factor([0, 25, 30]) == 1.55


@given(st.lists(st.decimals(-20, 90, places=3), max_size=8))
def test_the_order_of_percents_cannot_matter(percents):
    try:
        expected = factor(percents)
    except Invalid:
        return

    assert factor(reversed(percents)) == expected == factor(sorted(percents))


@pytest.mark.parametrize("percents", [[901], [-101], [Decimal("900.001")]])
def test_a_factor_outside_of_zero_and_ten_is_refused(percents):
    with pytest.raises(Invalid, match="between 0 and 10"):
        factor(percents)


def test_probabilities_become_the_nearest_unit():
    assert [units(Decimal(0)), units(Decimal("0.5")), units(Decimal(1)), units(Decimal("0.02"))] == [
        0, 1 << 29, 1 << 30, 21474836,
    ]  # fmt: skip


def test_the_order_is_mandatory_then_priority_then_action_then_treatment():
    given_order = [
        (True, 0.1, "z", ""), (False, 9.0, "b", ""), (False, 9.0, "c", "s"), (False, 9.0, "c", "t"), (False, 1.0, "a", ""),
    ]  # fmt: skip
    keys = [order_key(mandatory=m, priority=p, action=a, treatment=t) for m, p, a, t in given_order]

    assert keys == sorted(keys)


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=4)))
def test_text_sorts_as_its_utf8_bytes(texts):
    assert sorted(texts) == sorted(texts, key=str.encode)


def arbitrated(document, *arguments):
    text = document if isinstance(document, str) else json.dumps(document)
    return CliRunner().invoke(rank, ["arbitrate", *arguments], input=text)


def one(**candidate):
    return {"decisions": [{"id": "d1", "candidates": [{"action": "gold_card", **candidate}]}]}


def test_the_command_prints_what_the_manual_shows():
    given_in = one(
        treatment=None, propensity=0.0043, value=0.4, context_weight=1.27, lever=1.0986,
        context_percents=None, levers={"issue": 0, "group": 25, "action": 30}, mandatory=False,
    )  # fmt: skip
    expected = {
        "action": "gold_card", "treatment": None, "rank": 1, "priority": 0.0023997818400000007,
        "P": 0.0043, "V": 0.4, "C": 1.27, "L": 1.0986,
    }  # fmt: skip

    ran = arbitrated(given_in)

    assert ran.exit_code == 0
    assert json.loads(ran.output) == {"decisions": [{"id": "d1", "ranked": [expected]}]}
    assert "0.0023997818400000007" in ran.output


def test_the_command_adds_percents_when_no_factor_is_stated():
    ran = arbitrated(one(context_percents=[10, 17.5], levers={"group": 25, "action": 30, "unknown": 5}))
    [found] = json.loads(ran.output)["decisions"][0]["ranked"]

    assert (found["P"], found["V"], found["C"], found["L"]) == (1.0, 1.0, 1.275, 1.55)


def test_the_command_puts_mandatory_candidates_first():
    candidates = [
        {"action": "b", "value": 5}, {"action": "a", "value": 5, "treatment": "t"}, {"action": "a", "value": 5, "treatment": "s"},
        {"action": "alert", "value": 0.01, "mandatory": True},
    ]  # fmt: skip
    ran = arbitrated({"decisions": [{"id": "d", "candidates": candidates}]})
    ranked = json.loads(ran.output)["decisions"][0]["ranked"]

    assert [(each["action"], each["treatment"], each["rank"]) for each in ranked] == [
        ("alert", None, 1), ("a", "s", 2), ("a", "t", 3), ("b", None, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(("arm", "expected"), [("full", 0.42), ("no_lever", 0.21), ("propensity_only", 0.1)])
def test_the_command_knows_the_arms_that_need_no_bundle(arm, expected):
    ran = arbitrated(one(propensity=0.1, value=2.1, lever=2), "--arm", arm)

    assert json.loads(ran.output)["decisions"][0]["ranked"][0]["priority"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "document",
    [
        "{", "[]", "{}", '{"decisions":[{"id":"d","candidates":[{}]}]}', '{"decisions":NaN}', "[" * 200_000,
        one(propensity=2.1), one(propensity=-0.1), one(propensity="1"), one(value=True), one(lever=10.5),
        one(context_percents=[901]), one(mandatory="yes"), one(treatment=3), one(levers=[1]), one(value=10**400),
        '{"decisions":[{"id":"d","candidates":[{"action":"\\ud800"}]}]}',
    ],
)  # fmt: skip
def test_the_command_refuses_bad_input_with_code_two(document):
    ran = arbitrated(document)

    assert ran.exit_code == 2
    assert "bad input" in ran.output


@settings(deadline=None)
@given(st.floats(0, 2), st.floats(-1e6, 1e6), st.floats(0, 10), st.floats(0, 10))
def test_what_the_command_prints_parses_to_the_same_bits(p, v, c, lever):
    ran = arbitrated(one(propensity=p, value=v, context_weight=c, lever=lever))
    [found] = json.loads(ran.output)["decisions"][0]["ranked"]

    assert found["priority"] == priority(p, v, c, lever)
