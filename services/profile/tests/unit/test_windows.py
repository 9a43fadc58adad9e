"""Windows over daily buckets, against a plain list of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profile_service.domain.facts import DAY_MS, Fact, event_key
from profile_service.domain.features import Feature, Reading, compute
from profile_service.domain.fold import folded
from profile_service.domain.history import History, history

from .strategies import balance_key, transaction_key

DAY = 20_000
NOW = DAY * DAY_MS + 12 * 3_600_000


def at(days_ago: int, hour: int = 9) -> int:
    return (DAY - days_ago) * DAY_MS + hour * 3_600_000


def of(*observed: tuple[str, int, int]) -> History:
    """A history of (series, days ago, value)."""
    return history(
        folded(Fact(event_key(str(n)), at(ago), ((key, value),)) for n, (key, ago, value) in enumerate(observed))
    )


def spend(aggregate: str, days: int = 30, **more: object) -> Feature:
    return Feature("view.x", "transaction", "amount_minor", aggregate, days, **more)


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 10**10)), max_size=20), st.integers(1, 60))
def test_a_window_says_what_a_list_would(events, days):
    known = of(*[(transaction_key(), ago, value) for ago, value in events])
    inside = [value for ago, value in events if ago < days]
    newest = max((at(ago) for ago, _ in events), default=0)

    def value(aggregate: str) -> int | None:
        found = compute(spend(aggregate, days), known, NOW)
        return None if found is None else found.value

    assert value("sum") == (sum(inside) if events else None)
    assert value("count") == (len(inside) if events else None)
    assert value("min") == (min(inside) if inside else None)
    assert value("max") == (max(inside) if inside else None)
    assert value("mean") == (sum(inside) // len(inside) if inside else None)
    assert value("days_since") == (min(ago for ago, _ in events if ago < days) if inside else None)
    if events:
        assert compute(spend("sum", days), known, NOW).as_of_ms == newest


def test_nothing_is_known_of_a_subject_without_events():
    assert compute(spend("sum"), history({}), NOW) is None


def test_a_feature_counts_only_its_currency():
    known = of((transaction_key(), 1, 100), (transaction_key(currency="CZK"), 1, 7))

    assert compute(spend("sum", currency="CZK"), known, NOW).value == 7


def test_by_adds_up_the_results_per_value():
    known = of((balance_key("a1"), 9, 100), (balance_key("a2"), 3, 50), (balance_key("a1"), 2, 300))
    feature = Feature("view.balance", "balance", "balance_minor", "last", 30, by=0)

    assert compute(feature, known, NOW) == Reading(350, at(2))


def test_distinct_counts_the_values_seen_in_the_window():
    known = of(
        (transaction_key(merchant="m1"), 1, 1),
        (transaction_key(merchant="m2"), 2, 1),
        (transaction_key(merchant="m3"), 40, 1),
    )

    assert compute(spend("distinct", by=4), known, NOW).value == 2


def test_share_is_of_all_amounts_of_the_type():
    known = of((transaction_key("out"), 1, 250), (transaction_key("in"), 1, 750))

    assert compute(spend("share", matches=lambda fields: fields[0] == "out"), known, NOW).value == 2500


def test_trend_compares_the_newer_half_with_the_older():
    known = of((transaction_key(), 20, 100), (transaction_key(), 5, 150))

    assert compute(spend("trend"), known, NOW).value == 5000


def test_a_level_is_carried_forward_between_reports():
    known = of((balance_key(), 40, 1_000), (balance_key(), 5, 400))

    def value(aggregate: str) -> int:
        return compute(Feature("view.b", "balance", "balance_minor", aggregate, 10), known, NOW).value

    assert value("min") == 400
    assert value("max") == 1_000
    assert value("mean") == (4 * 1_000 + 6 * 400) // 10
    assert value("last") == 400


def test_what_is_dated_after_now_does_not_count():
    known = of((transaction_key(), -3, 100), (transaction_key(), 1, 5))

    assert compute(spend("sum"), known, NOW) == Reading(5, NOW)
