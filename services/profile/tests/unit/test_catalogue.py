"""The example bank's data catalog as a plan."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from assent.events.v1.bank_pb2 import Balance, BankEvent, Preference, Product, Trait, Transaction, Vulnerability
from catalog.loading import load_bundle
from profile_service.catalogue import Plan, plan
from profile_service.domain.fold import folded
from profile_service.domain.history import history
from profile_service.translation import fact

from .test_windows import NOW, at

CATALOG = Path(__file__).parents[4] / "examples" / "harbour-bank" / "catalog"


@pytest.fixture(scope="module")
def harbour() -> Plan:
    return plan(load_bundle(CATALOG))


def bank_event(number: int, days_ago: int, **body) -> BankEvent:
    return BankEvent(event_id=f"e{number}", occurred_at_ms=at(days_ago), **body)


def values(harbour: Plan, *events: BankEvent) -> dict[str, object]:
    known = history(folded(fact(event) for event in events))
    found = {name: field.read(known, NOW) for name, field in harbour.fields.items()}
    return {name: reading.value for name, reading in found.items() if reading is not None}


def test_every_field_of_the_example_bank_can_be_computed(caplog):
    with caplog.at_level(logging.WARNING):
        made = plan(load_bundle(CATALOG))

    assert len(made.fields) > 40
    assert not caplog.records


def test_holdings_are_told_by_kind_and_by_holding(harbour):
    found = values(
        harbour,
        bank_event(1, 50, product_opened=Product(holding="a1", product_kind="current")),
        bank_event(2, 40, product_opened=Product(holding="card_gold:7", product_kind="card")),
        bank_event(3, 40, product_opened=Product(holding="s1", product_kind="savings")),
        bank_event(4, 5, product_closed=Product(holding="s1", product_kind="savings")),
    )

    assert found["view.holdings"] == frozenset({"current", "card_gold"})


def test_traits_preferences_and_flags_are_served_in_their_type(harbour):
    found = values(
        harbour,
        bank_event(1, 5, trait=Trait(name="view.employment", value={"text": "employed"})),
        bank_event(2, 5, trait=Trait(name="view.age_years", value={"integer": 41})),
        bank_event(3, 5, preference=Preference(name="home_goal", value="true")),
        bank_event(4, 5, preference=Preference(name="savings_goal", value="500000")),
        bank_event(5, 5, vulnerability=Vulnerability(flag="hardship", state="set")),
        bank_event(6, 5, vulnerability=Vulnerability(flag="bereavement", state="set")),
        bank_event(7, 4, vulnerability=Vulnerability(flag="bereavement", state="lifted")),
    )

    assert found["view.employment"] == "employed"
    assert found["view.age_years"] == 41
    assert found["view.home_goal"] is True
    assert found["view.savings_goal"] == 500_000
    assert found["view.vulnerability"] == frozenset({"hardship"})


def test_windows_and_detectors_read_what_they_declare(harbour):
    def paid(number, days_ago, amount, kind, category="", direction="out", **more):
        return bank_event(
            number,
            days_ago,
            transaction=Transaction(
                account="a1", direction=direction, kind=kind, amount_minor=amount, currency="EUR",
                merchant_category=category, booking_date="2024-10-01", value_date="2024-10-01", **more,
            ),
        )  # fmt: skip

    balance = Balance(
        account="a1", product_kind="current", available_minor=70_000, balance_minor=60_000, currency="EUR"
    )
    deposit = Balance(account="d1", product_kind="deposit", available_minor=0, balance_minor=900_000, currency="EUR")
    found = values(
        harbour,
        *[paid(n, 3 + 30 * n, 250_000, "payroll", direction="in", counterparty="firm") for n in range(4)],
        paid(10, 2, 4_000, "card", "restaurant", cross_border=True),
        paid(11, 1, 6_000, "card", "airline"),
        bank_event(12, 0, balance=balance),
        bank_event(13, 90, product_opened=Product(holding="d1", product_kind="deposit", maturity_date="2024-10-11")),
        bank_event(14, 3, balance=deposit),
    )

    assert found["view.salary_amount"] == 250_000
    assert found["view.income_month"] == 250_000
    assert found["view.spend_month"] == 10_000
    assert found["view.dining_month"] == 4_000
    assert found["view.travel_spend_90d"] == 6_000
    assert found["view.foreign_payments_90d"] == 1
    assert found["view.balance"] == 70_000
    assert found["view.savings_balance"] == 900_000
    assert found["view.maturity_days"] == 7
    assert found["view.maturing_amount"] == 900_000


def test_segments_are_told_by_the_bundles_predicates(harbour):
    balance = Balance(account="a1", product_kind="current", available_minor=1_000, balance_minor=1_000, currency="EUR")
    shopping = Transaction(
        account="a1", direction="out", kind="card", amount_minor=90_000, currency="EUR", merchant_category="airline"
    )
    found = values(harbour, bank_event(1, 1, balance=balance), bank_event(2, 1, transaction=shopping))

    assert found["view.segments"] == frozenset({"frequent_traveller", "tight_month"})


def test_segments_need_the_categories_of_everything_they_read(harbour):
    field = harbour.fields["view.segments"]

    assert field.purposes({"offers": frozenset({"inferred"})}) == ()
    assert field.purposes({"offers": frozenset({"inferred", "transaction", "holding"})}) == ("offers",)
