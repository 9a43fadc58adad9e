"""What windows cannot say: rhythms, days below a level, what is unusual, what is held."""

from __future__ import annotations

import pytest

from profile_service.domain.detectors import detect
from profile_service.domain.facts import DAY_MS, Fact, event_key, register_key
from profile_service.domain.features import Feature
from profile_service.domain.fold import folded
from profile_service.domain.history import history

from .strategies import balance_key, transaction_key
from .test_windows import DAY, NOW, at, of

RENT = transaction_key("out", "transfer", counterparty="landlord")
SALARY = transaction_key("in", "payroll", counterparty="employer")


def read(detector: str, known, *, window: int = 30, kind: str = "transaction", **parameters: int):
    measure = "balance_minor" if kind == "balance" else "amount_minor"
    feature = Feature("view.x", kind, measure, days=window, detector=detector, parameters=parameters)
    found = detect(feature, known, NOW)
    return None if found is None else found.value


def registered(*said: tuple[str, str, int, object]):
    return history(
        folded(
            Fact(event_key(str(n)), at(ago), (), ((register_key(group, name), value),))
            for n, (group, name, ago, value) in enumerate(said)
        )
    )


def test_a_salary_has_an_amount_a_period_and_a_next_date():
    known = of(*[(SALARY, ago, 250_000) for ago in (95, 65, 35, 5)])

    assert read("salary_amount", known) == 250_000
    assert read("salary_period_days", known) == 30
    assert read("salary_last", known) == (DAY - 5) * DAY_MS
    assert read("salary_next", known) == (DAY + 25) * DAY_MS
    assert read("salary_payer_changed", known) is False


def test_another_employer_is_noticed():
    other = transaction_key("in", "payroll", counterparty="another")

    assert read("salary_payer_changed", of((SALARY, 35, 1), (other, 5, 1))) is True


@pytest.mark.parametrize("days_ago", [(90, 61), (100, 95, 20, 3)])
def test_payments_without_a_rhythm_are_no_salary(days_ago):
    assert read("salary_amount", of(*[(SALARY, ago, 100) for ago in days_ago])) is None


def test_payees_that_are_paid_in_a_rhythm_are_recurring():
    known = of(
        *[(RENT, ago, 90_000) for ago in (92, 62, 32, 2)],
        *[(transaction_key(merchant="shop"), ago, 1) for ago in (8, 4)],
    )

    assert read("recurring_payees", known) == frozenset({"landlord"})
    assert read("recurring_count", known) == 1
    assert read("recurring_next", known) == (DAY - 2 + 30) * DAY_MS
    assert read("recurring_amount", known) == 90_000
    assert read("missed_payments", known) == 0


def test_a_subscription_that_got_dearer_is_seen():
    film = transaction_key("out", "subscription", merchant="films")
    known = of((film, 61, 1_000), (film, 31, 1_000), (film, 1, 1_250))

    assert read("recurring_price_rise_bp", known) == 2_500


def test_a_payment_that_did_not_come_is_missed():
    assert read("missed_payments", of(*[(RENT, ago, 90_000) for ago in (130, 100, 70, 40)])) == 1
    assert read("missed_payments", of(*[(SALARY, ago, 90_000) for ago in (130, 100, 70, 40)])) == 1


def test_days_below_a_threshold_count_the_carried_level():
    known = of((balance_key(), 60, 50_000), (balance_key(), 9, 900), (balance_key(), 4, 50_000))

    assert read("days_below", known, kind="balance", below_minor=1_000) == 6
    assert read("days_below", known, kind="balance", below_minor=500) == 0


def test_idle_cash_is_what_lay_untouched_less_a_reserve():
    known = of((balance_key(), 60, 900_000), (balance_key(), 3, 800_000), (transaction_key(), 3, 100_000))

    assert read("idle_cash", known, kind="balance", days=30, reserve_days=30) == 700_000


def test_net_flow_is_in_less_out():
    assert read("net_flow", of((SALARY, 3, 500), (RENT, 2, 200))) == 300


def test_a_payment_far_from_the_payees_history_has_a_large_z():
    shop = transaction_key(merchant="shop")
    usual = [(shop, ago, 1_000 + ago % 3) for ago in range(40, 100, 7)]

    assert read("unusual_score", of(*usual, (shop, 1, 30_000))) > 100
    assert read("unusual_score", of(*usual, (shop, 1, 1_001))) == 0


def test_bills_paid_by_hand_to_one_payee_are_counted():
    assert read("repeated_manual_payments", of((RENT, 25, 10), (RENT, 3, 10), (SALARY, 2, 5))) == 2


def test_steady_income_has_no_volatility():
    assert read("income_volatility", of(*[(SALARY, 30 * n + 3, 1_000) for n in range(6)]), window=180) == 0
    assert (
        read("income_volatility", of(*[(SALARY, 30 * n + 3, 1_000 * (n % 2)) for n in range(6)]), window=180) == 10_000
    )


def test_the_top_category_is_where_most_went():
    known = of((transaction_key(category="groceries"), 1, 10), (transaction_key(category="travel"), 1, 20))

    assert read("top_category", known) == "travel"


def test_holdings_tenure_and_maturity_come_from_registers():
    known = registered(
        ("<opened", "h1", 400, "deposit"),
        ("holding", "h1", 400, ["deposit", (DAY + 6) * DAY_MS, 350, None]),
        ("open", "h1", 400, True),
        ("holding", "h2", 10, ["loan", (DAY + 2) * DAY_MS, 900, None]),
        ("open", "h2", 5, False),
    )

    assert read("tenure_days", known) == 400
    assert read("next_maturity", known) == (DAY + 6) * DAY_MS


def test_complaints_life_events_and_goals_are_known_by_kind():
    known = registered(
        ("complaint", "fees", 3, "open"), ("life", "moving", 3, (DAY - 2) * DAY_MS), ("goal", "home", 2, [1, None])
    )

    assert read("open_complaint", known) is True
    assert read("life_events", known) == frozenset({"moving"})
    assert read("goals", known) == frozenset({"home"})
