"""The synthetic bank is a function of its seed, and obeys the contract of bank events."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assent.events.v1.bank_pb2 import BankEvent
from harbour_bank import synthetic

NOW_MS = 1_795_000_000_000
DIRECTIONS = {"in", "out"}
KINDS = {"payroll", "household", "subscription", "card"}


def bank(count: int = 40, *, seed: int = 7, now_ms: int = NOW_MS) -> list[BankEvent]:
    return list(synthetic.events(count, seed=seed, now_ms=now_ms))


def as_bytes(events: list[BankEvent]) -> list[bytes]:
    return [event.SerializeToString(deterministic=True) for event in events]


@given(st.integers(0, 1 << 64))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_is_the_same_bank_byte_for_byte(seed):
    assert as_bytes(bank(5, seed=seed)) == as_bytes(bank(5, seed=seed))


def test_another_seed_is_another_bank():
    assert as_bytes(bank(seed=7)) != as_bytes(bank(seed=8))


def test_a_customer_is_the_same_in_a_bank_of_any_size():
    few, many = as_bytes(bank(3)), as_bytes(bank(40))

    assert many[: len(few)] == few


def test_randomness_of_others_changes_nothing():
    before = as_bytes(bank(3))
    random.seed(1)
    random.random()

    assert as_bytes(bank(3)) == before


def test_event_ids_are_unique_and_name_their_customer():
    events = bank(200)
    ids = Counter(event.event_id for event in events)

    assert ids.most_common(1)[0][1] == 1
    assert all(event.event_id.startswith(f"{event.subject.value}.") for event in events)


def test_every_event_has_one_body_a_customer_and_a_time_that_has_been():
    for event in bank(200):
        assert event.WhichOneof("body")
        assert event.subject.type == "customer_number"
        assert 0 < event.occurred_at_ms <= NOW_MS


def test_a_customers_events_come_in_order_of_time():
    last: dict[str, int] = {}
    for event in bank(100):
        assert event.occurred_at_ms >= last.get(event.subject.value, 0)
        last[event.subject.value] = event.occurred_at_ms


def test_money_is_whole_cents_in_euro_and_never_negative():
    moved = [event.transaction for event in bank(200) if event.HasField("transaction")]

    assert {one.currency for one in moved} == {"EUR"}
    assert min(one.amount_minor for one in moved) > 0
    assert {one.direction for one in moved} <= DIRECTIONS
    assert {one.kind for one in moved} <= KINDS


def test_every_kind_of_customer_turns_up_about_as_often_as_it_should():
    flagged = {event.subject.value for event in bank(2000) if event.HasField("vulnerability")}

    assert sum(kind.share for kind in synthetic.KINDS) == 100
    assert 2000 * 0.015 < len(flagged) < 2000 * 0.05


def test_numbers_of_customers_are_unique_and_stable():
    assert synthetic.customers(3) == ["HB-000001", "HB-000002", "HB-000003"]


@pytest.mark.parametrize("days", [1, 30, 365])
def test_a_later_bank_is_the_same_bank_moved(days):
    later = bank(5, now_ms=NOW_MS + days * 86_400_000)

    assert [event.event_id for event in later] == [event.event_id for event in bank(5)]
    assert {b.occurred_at_ms - a.occurred_at_ms for a, b in zip(bank(5), later, strict=True)} == {days * 86_400_000}
