"""The Czech bank's rows become bank events without gaining or losing a heller or a day."""

import csv
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harbour_bank import berka
from harbour_bank.bank_events import DAY_MS

NOW_MS = int(datetime(2026, 6, 15, 13, 30, tzinfo=UTC).timestamp() * 1000)
YESTERDAY = date(2026, 6, 14)


def row(number: int, day: date, amount: float = 100.0, balance: float = 1000.0, **more):
    plain = {
        "trans_id": number,
        "account_id": 1,
        "date": datetime(day.year, day.month, day.day),  # noqa: DTZ001  parquet gives naive ones
        "type": "VYDAJ",
        "operation": "VYBER",
        "amount": amount,
        "balance": balance,
        "k_symbol": None,
        "account": None,
    }
    return plain | more


def account(*rows, birth: str = "605315", loan=None, card=None) -> berka.Account:
    return berka.Account(1, rows, birth, loan, card)


def of_kind(found, kind: str):
    return [event for event in found if event.WhichOneof("body") == kind]


def events(made: berka.Account, now_ms: int = NOW_MS):
    return list(berka.events(made, now_ms))


def day_of(event) -> date:
    return datetime.fromtimestamp(event.occurred_at_ms / 1000, UTC).date()


@given(st.integers(-(10**9), 10**9))
def test_crowns_with_one_decimal_become_hellers_exactly(tenths):
    assert berka.minor(tenths / 10) == tenths * 10


@given(st.lists(st.integers(1, 10**8), min_size=1, max_size=20))
def test_what_was_paid_adds_up_to_the_heller(tenths):
    made = account(*(row(n, date(1995, 1, 1), amount=t / 10) for n, t in enumerate(tenths)))
    paid = [event.transaction.amount_minor for event in of_kind(events(made), "transaction")]

    assert sum(paid) == sum(tenths) * 10
    assert {event.transaction.currency for event in of_kind(events(made), "transaction")} == {"CZK"}


def test_a_negative_balance_stays_one():
    [held] = of_kind(events(account(row(1, date(1995, 1, 1), balance=-12.3))), "balance")

    assert (held.balance.balance_minor, held.balance.available_minor) == (-1230, -1230)


@pytest.mark.parametrize(
    ("birth", "on", "years"),
    [
        ("700612", date(1996, 6, 11), 25),
        ("700612", date(1996, 6, 12), 26),
        ("705612", date(1996, 6, 12), 26),
        ("125301", date(1996, 2, 29), 83),
        ("125301", date(1996, 3, 1), 84),
    ],
)
def test_ages_count_birthdays_for_women_and_men(birth, on, years):
    assert berka.age(birth, on) == years


@given(st.dates(date(1911, 1, 1), date(1987, 12, 31)), st.dates(date(1993, 1, 1), date(1998, 12, 31)))
def test_a_woman_is_as_old_as_a_man_born_that_day(born, on):
    man = f"{born:%y%m%d}"
    woman = f"{born:%y}{born.month + 50}{born:%d}"

    assert berka.age(man, on) == berka.age(woman, on) >= 0


@given(st.lists(st.integers(0, 2000), min_size=1, max_size=12).map(sorted))
def test_the_calendar_is_moved_as_a_whole_so_that_the_last_day_was_yesterday(offsets):
    days = [date(1993, 1, 1) + timedelta(days=offset) for offset in offsets]
    found = of_kind(events(account(*(row(n, day) for n, day in enumerate(days)))), "transaction")
    moved = [day_of(event) for event in found]

    assert moved[-1] == YESTERDAY
    assert {after - before for before, after in zip(days, moved, strict=True)} == {YESTERDAY - days[-1]}
    assert all(event.transaction.booking_date == day_of(event).isoformat() for event in found)


def test_the_last_balance_of_a_day_is_that_of_its_last_row():
    same = date(1995, 5, 5)
    found = of_kind(
        events(account(row(3, same, balance=10), row(5, same, balance=30), row(9, same, balance=20))), "balance"
    )

    assert [event.balance.balance_minor for event in sorted(found, key=lambda e: e.occurred_at_ms)] == [
        1000,
        3000,
        2000,
    ]
    assert {day_of(event) for event in found} == {YESTERDAY}


@given(st.integers(0, 23), st.integers(0, 59))
def test_the_time_of_day_of_the_import_does_not_matter(hour, minute):
    midnight = NOW_MS - NOW_MS % DAY_MS
    made = account(row(1, date(1995, 1, 1)), row(2, date(1995, 1, 9)))

    assert events(made, midnight + (hour * 60 + minute) * 60_000) == events(made)


@pytest.mark.parametrize(
    ("symbol", "operation", "kind"),
    [
        ("SIPO", "PREVOD NA UCET", "household"),
        ("POJISTNE", "PREVOD NA UCET", "insurance"),
        ("UROK", None, "interest"),
        ("SANKC. UROK", "VYBER", "interest"),
        ("DUCHOD", "PREVOD Z UCTU", "pension"),
        ("UVER", "PREVOD NA UCET", "loan_payment"),
        ("SLUZBY", "VYBER", "fee"),
        (None, "VKLAD", "cash"),
        ("", "VYBER KARTOU", "card"),
        (" ", "PREVOD Z UCTU", "transfer"),
        (None, None, "transfer"),
    ],
)
def test_a_row_is_of_the_kind_that_its_symbol_says_and_else_its_operation(symbol, operation, kind):
    [found] = of_kind(events(account(row(1, date(1995, 1, 1), k_symbol=symbol, operation=operation))), "transaction")

    assert found.transaction.kind == kind


@pytest.mark.parametrize(("type_", "direction"), [("PRIJEM", "in"), ("VYDAJ", "out"), ("VYBER", "out")])
def test_credits_come_in_and_the_rest_goes_out(type_, direction):
    [found] = of_kind(events(account(row(1, date(1995, 1, 1), type=type_))), "transaction")

    assert found.transaction.direction == direction


def test_holdings_are_what_the_tables_say():
    made = account(row(1, date(1995, 1, 1)), loan={"loan_id": "1"}, card="gold")

    held = [event.product_opened.product_kind for event in of_kind(events(made), "product_opened")]

    assert held == ["current", "card", "loan"]


def test_event_ids_are_unique():
    made = account(*(row(n, date(1995, 1, 1)) for n in range(50)), loan={"loan_id": "1"}, card="gold")
    ids = [event.event_id for event in events(made)]

    assert len(set(ids)) == len(ids)


def test_a_birth_number_is_not_told():
    found = events(account(row(1, date(1995, 1, 1)), birth="605315"))

    assert not [event for event in found if b"605315" in event.SerializeToString()]


@pytest.fixture
def folder(tmp_path):
    """The smallest folder of the data's form: two accounts, one with a loan, the other with a card and a second person."""
    rows = [
        row(2, date(1994, 1, 2), k_symbol="SIPO"),
        row(1, date(1994, 1, 2), k_symbol="DUCHOD", type="PRIJEM"),
        row(3, date(1994, 1, 1), account_id=7, balance=-5.0, k_symbol="SANKC. UROK"),
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / berka.TRANSACTIONS)
    tables = {
        "disp": [
            {"disp_id": "1", "client_id": "1", "account_id": "1", "type": "OWNER"},
            {"disp_id": "2", "client_id": "2", "account_id": "7", "type": "OWNER"},
            {"disp_id": "3", "client_id": "3", "account_id": "7", "type": "DISPONENT"},
        ],
        "client": [{"client_id": str(n), "birth_number": f"60010{n}"} for n in (1, 2, 3)],
        "loan": [{"loan_id": "9", "account_id": "1"}],
        "card": [{"disp_id": "2", "type": "junior"}],
    }
    for name, lines in tables.items():
        with (tmp_path / f"{name}.asc").open("w", newline="") as file:
            writer = csv.DictWriter(file, lines[0].keys(), delimiter=";")
            writer.writeheader()
            writer.writerows(lines)
    return tmp_path


def test_accounts_are_read_with_their_owners_in_order(folder):
    first, second = berka.read(folder)

    assert [each["trans_id"] for each in first.rows] == [1, 2]
    assert (first.birth_number, first.card, first.loan["loan_id"]) == ("600101", None, "9")
    assert (second.birth_number, second.card, second.loan) == ("600102", "junior", None)


def test_counts_to_check_an_import_by(folder):
    assert berka.facts(berka.read(folder)) == berka.Facts(
        transactions=3, accounts=2, penalty_interest=1, negative_balance=1, pensions=1, household=1
    )
