"""Ids, budgets and tracking tokens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration_service.domain.budget import DEFAULT_S, LONGEST_S, allotment, budget_s
from orchestration_service.domain.ids import decision_key
from orchestration_service.domain.tracking import is_genuine, tracking_token

KEY = b"k" * 32


def test_a_decision_is_named_by_its_caller_and_request():
    key = decision_key("app", "request-0001")

    assert key == decision_key("app", "request-0001")
    assert len(key.decision_id) == 32
    assert key.decision_id != decision_key("web", "request-0001").decision_id


def test_a_client_that_does_not_say_how_long_it_waits_gets_the_default():
    assert budget_s(None) == DEFAULT_S
    assert budget_s(1.0) == 0.9
    assert budget_s(3600) == LONGEST_S


@given(st.floats(0, 10), st.lists(st.floats(0.1, 10), min_size=1, max_size=9))
def test_stages_that_take_all_they_get_end_in_time(budget, shares):
    left = budget
    for position in range(len(shares)):
        left -= allotment(left, shares[position:])

    assert left >= -1e-9


@given(st.floats(-10, 0), st.floats(0.1, 10))
def test_there_is_nothing_left_to_give_after_the_end(remaining, share):
    assert allotment(remaining, [share, 1]) == 0


def test_a_token_is_genuine_for_its_own_place_only():
    token = tracking_token(KEY, "d1", "gold_card", 1)

    assert is_genuine(KEY, token, "d1", "gold_card", 1)
    assert not is_genuine(KEY, token, "d2", "gold_card", 1)
    assert not is_genuine(KEY, token, "d1", "travel_card", 1)
    assert not is_genuine(KEY, token, "d1", "gold_card", 2)
    assert not is_genuine(b"another key", token, "d1", "gold_card", 1)
    assert not is_genuine(KEY, "", "d1", "gold_card", 1)
    assert not is_genuine(KEY, "ü" * 24, "d1", "gold_card", 1)


@given(st.text(max_size=40))
def test_no_text_passes_for_a_token(text):
    assert not is_genuine(KEY, text, "d1", "gold_card", 1)
