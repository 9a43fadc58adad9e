"""Validity, the kill switch and signals that warrant an action: neither authored nor removable."""

from __future__ import annotations

import pytest
from eligibility_builders import EVERYTHING, NOON, a_bank, a_request, an_action, codes, reasons, survivors

from eligibility_service.domain.request import LiveSignal


@pytest.mark.parametrize(
    ("now_ms", "expected"), [(NOON - 1, ["NOT_IN_FORCE"]), (NOON, []), (NOON + 9, []), (NOON + 10, ["NOT_IN_FORCE"])]
)
def test_an_action_is_in_force_from_its_start_until_before_its_end(now_ms, expected):
    bank = a_bank(actions=[an_action("help", "guidance", validity={"from": NOON, "until": NOON + 10})])

    assert codes(bank, a_request(now_ms=now_ms), "help") == expected


def test_a_killed_action_stays_away():
    assert codes(a_bank(), a_request(killed=frozenset({"help"})), "help") == ["KILLED"]
    assert "notice" in survivors(a_bank(), a_request(killed=frozenset({"help"})))


@pytest.fixture
def warranted():
    return a_bank(actions=[an_action("help", "guidance", warranted_by=["stuck", "looking"])])


def test_any_of_the_signals_that_warrant_an_action_is_enough(warranted):
    assert "help" in survivors(warranted, a_request(signals={"looking": LiveSignal("intent", 1)}))


def test_without_any_of_them_it_is_not_warranted(warranted):
    [reason] = reasons(warranted, a_request(), "help")

    assert (reason.stage, reason.code, reason.seen) == ("applicability", "NOT_WARRANTED", 0)
    assert reason.rule == "builtin.not_warranted"


def test_unknown_is_not_active(warranted):
    assert [r.missing for r in reasons(warranted, a_request(signals_fresh=False), "help")] == ["unavailable"]


def test_one_known_signal_warrants_although_another_may_not_be_seen():
    bank = a_bank(actions=[an_action("help", "guidance", warranted_by=["stuck", "looking"])])
    allowed = {**EVERYTHING, "assistance": EVERYTHING["assistance"] - {"behaviour"}}

    assert [r.missing for r in reasons(bank, a_request(allowed=allowed), "help")] == ["no_consent"]
