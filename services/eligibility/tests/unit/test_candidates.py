"""Who is judged at all, by which packs, and by rules of which level."""

from __future__ import annotations

import pytest
from eligibility_builders import a_bank, a_request, a_rule, an_action, codes, evaluated, survivors

from eligibility_service.domain.policy import Place, Policy

NEVER = {"view.age": {"lt": 0}}


def judged(bank, request):
    found = evaluated(bank, request)
    return {each.action for each in (*found.survivors, *found.rejected)}


@pytest.fixture
def spread():
    return a_bank(
        actions=[
            an_action("everywhere", "alert"),
            an_action("inside", "alert", placements=["home"]),
            an_action("outside", "alert", placements=["inbox"]),
            an_action("wordless", "alert", treatments=[{"id": "w.plain", "channels": ["push"], "message": "m"}]),
            an_action("varied", "alert", treatments=[{"id": "v.warm", "channels": ["mobile"], "message": "m", "variant": "warm"}]),
        ]
    )  # fmt: skip


def test_candidates_have_a_treatment_and_a_placement_on_the_channel(spread):
    assert judged(spread, a_request()) == {"everywhere", "inside"}
    assert judged(spread, a_request(channel="push")) == {"everywhere", "outside", "wordless"}


def test_candidates_have_one_of_the_placements_asked_for(spread):
    assert judged(spread, a_request(placements=("home",))) == {"everywhere", "inside"}
    assert judged(spread, a_request(placements=("inbox",))) == set()
    assert judged(spread, a_request(placements=("nowhere",))) == set()


def test_a_survivor_names_where_it_may_appear(spread):
    assert {each.placements for each in evaluated(spread, a_request()).survivors} == {("home",)}


@pytest.mark.parametrize(
    ("scope", "hit"),
    [
        ("all", {"card", "help", "notice"}),
        ({"issue": "sales"}, {"card"}),
        ({"group": ["cards", "loans"]}, {"card", "help", "notice"}),
        ({"kind": ["guidance", "alert"]}, {"help", "notice"}),
        ({"action": "help"}, {"help"}),
        ({"tag": "credit"}, {"card"}),
    ],
)
def test_a_rule_judges_what_its_scope_covers(scope, hit):
    actions = [an_action("card", tags=["credit"]), an_action("help", "guidance"), an_action("notice", "alert")]
    bank = a_bank(actions=actions, rules=[a_rule(NEVER, scope=scope)])

    assert survivors(bank, a_request({"view.age": 40})) == {"card", "help", "notice"} - hit


def test_levels_add_up_and_none_overrides_another():
    bank = a_bank(rules=[a_rule(NEVER, "broad"), a_rule(NEVER, "narrow", scope={"action": "help"})])

    assert codes(bank, a_request({"view.age": 40}), "help") == ["BROAD", "NARROW"]


def a_pack(jurisdiction):
    return {
        "jurisdiction": jurisdiction, "version": 1, "title": jurisdiction, "effective_from": "2026-01-01",
        "zones": ["Europe/Berlin"], "rules": [a_rule(NEVER, jurisdiction.lower().replace("-", "_"))],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((), ["EU"]),
        (("DE",), ["EU"]),
        (("EU",), ["EU"]),
        (("GB",), ["EU", "GB"]),
        (("US-CA",), ["EU", "US", "US_CA"]),
        (("US-NY",), ["EU", "US"]),
        (("CH",), ["EU"]),
    ],
)
def test_the_packs_of_the_customers_and_the_banks_jurisdiction_all_apply(named, expected):
    packs = [a_pack(name) for name in ("EU", "GB", "US", "US-CA", "BR")]
    bank = a_bank(packs=packs, pinned=["EU@1", "GB@1", "US@1", "US-CA@1"])

    assert codes(bank, a_request({"view.age": 40}, jurisdictions=named), "help") == expected


def test_a_pack_that_the_bank_does_not_pin_does_not_apply():
    bank = a_bank(packs=[a_pack("EU")])

    assert codes(bank, a_request({"view.age": 40}), "help") == []


def test_a_plan_is_made_once_for_each_place(spread):
    policy = Policy(spread)
    place = Place("mobile", frozenset({"home"}), frozenset())

    assert policy.plan(place) is policy.plan(Place("mobile", frozenset({"home"}), frozenset()))
