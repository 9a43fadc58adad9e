"""Rule zero: without consent to its purpose, an action that needs one never survives (N1)."""

from __future__ import annotations

import pytest
from eligibility_builders import EVERYTHING, a_bank, a_request, a_rule, an_action, codes, reasons, survivors

from catalog.values import Missing


def without(purpose, *categories):
    left = {**EVERYTHING, purpose: EVERYTHING[purpose] - set(categories)} if categories else dict(EVERYTHING)
    return left if categories else {name: found for name, found in EVERYTHING.items() if name != purpose}


def test_what_the_basis_allows_survives():
    assert survivors(a_bank(), a_request()) == {"card", "help", "notice"}


@pytest.mark.parametrize("allowed", [None, {}, without("offers"), {**EVERYTHING, "offers": frozenset()}])
def test_a_purpose_that_is_not_allowed_removes_its_actions(allowed):
    assert "NO_CONSENT" in codes(a_bank(), a_request(allowed=allowed), "card")


def test_without_a_basis_only_what_needs_no_consent_is_left():
    assert survivors(a_bank(), a_request(allowed=None)) == {"notice"}


def test_consent_to_a_parent_purpose_is_not_consent_to_its_child():
    bank = a_bank()
    child = {**bank.purpose["offers"].model_dump(mode="json"), "id": "offers.credit"}
    purposes = [*(each.model_dump(mode="json") for each in bank.purposes), child]
    bank = a_bank(purposes=purposes, actions=[an_action("card", purpose="offers.credit")])

    assert codes(bank, a_request(), "card") == ["NO_CONSENT"]


def test_a_rule_sees_no_value_of_a_category_that_its_purpose_may_not_use():
    bank = a_bank(rules=[a_rule({"view.age": {"gte": 18}})])
    [reason] = reasons(bank, a_request({"view.age": 40}, allowed=without("offers", "demographic")), "card")

    assert (reason.code, reason.seen, reason.missing) == ("A_RULE", Missing.NO_CONSENT, "no_consent")


def test_the_same_value_is_seen_for_one_purpose_and_not_for_another():
    bank = a_bank(rules=[a_rule({"view.age": {"gte": 18}})])
    request = a_request({"view.age": 40}, allowed=without("offers", "demographic"))

    assert survivors(bank, request) == {"help", "notice"}


def test_a_signal_needs_every_category_of_its_definition():
    bank = a_bank(actions=[an_action("card", warranted_by=["looking"])])
    allowed = without("offers", "behaviour")

    assert [reason.missing for reason in reasons(bank, a_request(allowed=allowed), "card")] == ["no_consent"]


def test_the_clock_the_channel_and_the_jurisdiction_need_no_consent():
    require = {"all": [{"now.local_hour": 14}, {"context.channel": "mobile"}, {"context.jurisdictions": ["DE"]}]}
    bank = a_bank(rules=[a_rule(require)])

    assert survivors(bank, a_request(allowed=None)) == {"notice"}
