"""Arithmetic over other attributes: missing if an input is, and in need of the categories of all."""

from __future__ import annotations

import pytest
from eligibility_builders import DAY, EVERYTHING, NOON, a_bank, a_request

from catalog.values import Missing
from eligibility_service.domain.lookup import Lookup
from eligibility_service.domain.request import ContactState

VIEW = {
    "view.balance": 30,
    "view.limit": 200,
    "view.holdings": frozenset({"current"}),
    "view.since": NOON - 3 * DAY - 1,
}


def read(name, view, candidate=None, **changes):
    bank = a_bank()
    derived = {each.id: each for each in bank.derived}
    return Lookup(bank, a_request(view, **changes), "offers", derived, candidate).read(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("use", 1500), ("left", 170), ("sum", 230), ("least", 30), ("most", 200), ("count", 1), ("days", 3)],
)
def test_each_operation_is_whole_number_arithmetic(name, expected):
    assert read(f"derived.{name}", VIEW) == expected


def test_a_ratio_is_rounded_down():
    assert read("derived.use", {"view.balance": 1, "view.limit": 3}) == 3333
    assert read("derived.use", {"view.balance": -1, "view.limit": 3}) == -3334


def test_a_ratio_to_nothing_is_unknown():
    assert read("derived.use", {"view.balance": 1, "view.limit": 0}) is Missing.UNKNOWN


def test_a_missing_input_leaves_nothing_to_compute_with():
    assert read("derived.use", {"view.balance": 1}) is Missing.UNKNOWN


def test_what_leaves_the_range_of_numbers_is_a_mismatch():
    assert read("derived.sum", {"view.balance": 1 << 62, "view.limit": 1 << 62}) is Missing.MISMATCH


def test_it_needs_the_categories_of_its_inputs():
    allowed = {**EVERYTHING, "offers": EVERYTHING["offers"] - {"holding"}}

    assert read("derived.use", VIEW, allowed=allowed) is Missing.NO_CONSENT


def test_one_that_reads_what_is_known_of_the_candidate_differs_by_candidate():
    contact = ContactState(last_shown={"card": NOON - 5 * DAY})

    assert read("derived.shown", VIEW, "card", contact=contact) == 5
    assert read("derived.shown", VIEW, "help", contact=contact) is Missing.UNKNOWN
