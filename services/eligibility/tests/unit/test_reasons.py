"""Every reason is listed, says what was seen and needed, and the earliest stage answers for the rejection (N7)."""

from __future__ import annotations

import pytest
from eligibility_builders import NOON, a_bank, a_request, a_rule, an_action, evaluated, reasons

from eligibility_service.domain.reasons import STAGES
from eligibility_service.domain.request import ContactState, LiveSignal, Pause

ALWAYS_FALSE = {"view.age": {"lt": 0}}


def everything_wrong():
    """A bank and a request in which one action fails at every stage."""
    bank = a_bank(
        actions=[an_action("card", warranted_by=["looking"], validity={"from": "2030-01-01"})],
        rules=[
            a_rule(ALWAYS_FALSE, f"{stage}.{place}", stage=stage)
            for stage in ("suppression", "eligibility", "suitability", "applicability")
            for place in "ba"
        ],
        contact_policies=[
            {"id": "policy", "scope": "action", "outcomes": ["dismiss"], "count": 1, "window": "1d", "pause": "1d"}
        ],
        contact_limits=[{"id": "limit", "channels": ["mobile"], "max": 0, "per": {"calendar": "day"}}],
    )
    contact = ContactState(pauses=(Pause("policy", "action", "card", NOON + 1),))
    request = a_request(
        {"view.age": 40, "view.vulnerability": frozenset({"hardship"})},
        allowed={
            "contact_control": frozenset({"interaction"}),
            "safeguarding": frozenset({"sensitive", "demographic"}),
        },
        signals={"stuck": LiveSignal("friction", 2)},
        killed=frozenset({"card"}),
        contact=contact,
    )
    return bank, request


def test_an_action_has_all_its_reasons_in_order_of_stage_and_rule():
    assert [(reason.stage, reason.rule) for reason in reasons(*everything_wrong(), "card")] == [
        ("consent", "builtin.no_consent"),
        ("builtin", "builtin.help_first"),
        ("builtin", "builtin.killed"),
        ("builtin", "builtin.not_in_force"),
        ("builtin", "builtin.vulnerable"),
        ("eligibility", "eligibility.a"),
        ("eligibility", "eligibility.b"),
        ("applicability", "applicability.a"),
        ("applicability", "applicability.b"),
        ("applicability", "builtin.not_warranted"),
        ("suitability", "suitability.a"),
        ("suitability", "suitability.b"),
        ("suppression", "suppression.a"),
        ("suppression", "suppression.b"),
        ("contact", "limit"),
        ("contact", "policy"),
    ]


def test_the_stage_of_a_rejection_is_its_earliest():
    [rejected] = evaluated(*everything_wrong()).rejected

    assert rejected.stage == "consent"


@pytest.mark.parametrize("stage", ["eligibility", "applicability", "suitability", "suppression"])
def test_stages_count_each_action_once_at_its_earliest(stage):
    bank = a_bank(rules=[a_rule(ALWAYS_FALSE, "one", stage=stage), a_rule(ALWAYS_FALSE, "two", stage="suppression")])

    assert evaluated(bank, a_request({"view.age": 40})).stage_counts == ((stage, 3),)
    assert stage in STAGES


@pytest.mark.parametrize(
    ("require", "view", "needed"),
    [
        ({"view.age": {"gte": 18}}, {"view.age": 17}, "gte 18"),
        ({"not": {"view.age": {"gte": 18}}}, {"view.age": 18}, "lt 18"),
        ({"not": {"view.age": {"between": [1, 20]}}}, {"view.age": 18}, "not between 1, 20"),
        ({"view.tier": {"in": ["high"]}}, {"view.tier": "low"}, "in high"),
        ({"not": {"view.tier": {"in": ["high", "low"]}}}, {"view.tier": "low"}, "not_in high, low"),
        ({"view.active": True}, {"view.active": False}, "is true"),
        ({"not": {"view.active": True}}, {"view.active": True}, "is false"),
        ({"view.holdings": {"contains_all": ["gold"]}}, {"view.holdings": frozenset()}, "contains_all gold"),
        ({"not": {"view.holdings": {"empty": True}}}, {"view.holdings": frozenset()}, "empty false"),
        ({"not": {"not": {"view.age": {"eq": 1}}}}, {"view.age": 2}, "eq 1"),
    ],
)
def test_a_reason_says_what_was_seen_and_what_was_needed(require, view, needed):
    [reason] = reasons(a_bank(rules=[a_rule(require)]), a_request(view), "help")

    assert (reason.attribute, reason.seen, reason.needed) == (*next(iter(view.items())), needed)
    assert reason.missing == ""


def test_the_blame_is_on_the_part_that_failed_not_on_the_first():
    require = {"all": [{"view.active": True}, {"any": [{"view.age": {"lt": 10}}, {"view.tier": "high"}]}]}
    bank = a_bank(rules=[a_rule(require)])

    [reason] = reasons(bank, a_request({"view.active": True, "view.age": 40, "view.tier": "low"}), "help")
    assert reason.attribute == "view.age"
    [reason] = reasons(bank, a_request({"view.active": True, "view.age": 40}), "help")
    assert (reason.attribute, reason.missing) == ("view.tier", "unknown")


def test_two_rules_of_one_name_in_bank_and_pack_are_two_reasons():
    pack = {
        "jurisdiction": "EU", "version": 1, "title": "EU", "effective_from": "2026-01-01", "zones": ["Europe/Berlin"],
        "rules": [a_rule({"view.age": {"gt": 90}}, "same")],
    }  # fmt: skip
    bank = a_bank(rules=[a_rule({"view.age": {"lt": 18}}, "same")], packs=[pack], pinned=["EU@1"])

    assert [reason.needed for reason in reasons(bank, a_request({"view.age": 40}), "help")] == ["lt 18", "gt 90"]


def test_survivors_and_rejected_are_all_candidates_sorted_by_action(harbour_bank):
    found = evaluated(harbour_bank, a_request(now_ms=NOON))
    survivors, rejected = [s.action for s in found.survivors], [r.action for r in found.rejected]

    assert survivors == sorted(survivors)
    assert rejected == sorted(rejected)
    assert all(each.reasons for each in found.rejected)
