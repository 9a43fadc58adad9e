"""A Czech bank's transactions of 1993 to 1998 (Berka): sums to the heller, whatever the order within and across days.

Needs the folder `berka` of the real data (beside the repository, or where ASSENT_DATA says), and says so when it is not there.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from assent.events.v1.bank_pb2 import Balance, BankEvent, Identifier, Transaction
from profile_service import bank_events
from profile_service.domain.facts import DAY_MS, Fact
from profile_service.domain.features import Feature, compute
from profile_service.domain.fold import Row, add, folded, fresh
from profile_service.domain.history import history
from profile_service.translation import fact

SYMBOLS = {
    "SIPO": "household",
    "POJISTNE": "insurance",
    "UROK": "interest",
    "SANKC. UROK": "interest",
    "DUCHOD": "pension",
    "UVER": "loan_payment",
    "SLUZBY": "fee",
}
OPERATIONS = {"VKLAD": "cash", "VYBER": "cash", "VYBER KARTOU": "card"}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    folder = Path(os.environ.get("ASSENT_DATA") or Path(__file__).parents[5] / "shared" / "data")
    path = folder / "berka" / "trans_real_subset.parquet"
    if not path.is_file():
        pytest.skip("real data is not here: name its folder in ASSENT_DATA")
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def minor(crowns: float) -> int:
    return int((Decimal(str(crowns)) * 100).to_integral_exact())


def events(row: dict) -> tuple[BankEvent, BankEvent]:
    """The movement, and the balance that its own row states."""
    day, who = row["date"].date().isoformat(), Identifier(type="customer_number", value=str(row["account_id"]))
    at_ms = int(row["date"].timestamp() // 86_400) * DAY_MS + 1
    paid = Transaction(
        account=str(row["account_id"]), direction="in" if row["type"] == "PRIJEM" else "out", currency="CZK",
        kind=SYMBOLS.get((row["k_symbol"] or "").strip(), OPERATIONS.get(row["operation"], "transfer")),
        amount_minor=minor(row["amount"]), channel="branch", booking_date=day, value_date=day,
    )  # fmt: skip
    left = minor(row["balance"])
    balance = Balance(
        account=str(row["account_id"]), product_kind="current", available_minor=left, balance_minor=left, currency="CZK"
    )
    number = f"{row['trans_id']}-{row['source']}"
    return (
        BankEvent(event_id=f"t{number}", subject=who, occurred_at_ms=at_ms, transaction=paid),
        BankEvent(event_id=f"b{number}", subject=who, occurred_at_ms=at_ms, balance=balance),
    )


@pytest.fixture(scope="module")
def accounts(rows) -> dict[int, list[Fact]]:
    """The facts of each account; every event passes the border's checks."""
    found = defaultdict(list)
    for row in rows:
        for event in events(row):
            bank_events.check(event, 2 * 10**12)
            found[row["account_id"]].append(fact(event))
    return found


def test_the_whole_history_folds_to_the_sums_of_the_source(rows, accounts):
    now = 13_000 * DAY_MS
    expected, found = Counter(), Counter()
    for row in rows:
        direction = "in" if row["type"] == "PRIJEM" else "out"
        expected[row["account_id"], direction] += minor(row["amount"])
    features = {
        side: Feature(
            side, "transaction", "amount_minor", "sum", 8_000, matches=lambda f, side=side: f[0] == side, currency="CZK"
        )
        for side in ("in", "out")
    }
    for account, facts in accounts.items():
        known = history(folded(facts))
        for side, feature in features.items():
            found[account, side] = compute(feature, known, now).value

    assert len(rows) == 79_302
    assert +found == +expected


def test_overdrawn_accounts_are_seen_as_such(rows, accounts):
    feature = Feature("low", "balance", "balance_minor", "min", 8_000)
    overdrawn = {
        account
        for account, facts in accounts.items()
        if compute(feature, history(folded(facts)), 13_000 * DAY_MS).value < 0
    }

    assert sum(row["balance"] < 0 for row in rows) == 178
    assert overdrawn == {row["account_id"] for row in rows if row["balance"] < 0}


def test_no_order_and_no_repeat_changes_an_account(accounts):
    dice = random.Random(11)
    for facts in dice.sample(list(accounts.values()), 100):
        mixed = dice.sample(facts, len(facts)) + dice.choices(facts, k=20)
        rows: dict[int, Row] = {}
        known: set[bytes] = set()
        for start in range(0, len(mixed), 37):
            for one in fresh(mixed[start : start + 37], known):
                add(rows, one)
                known.add(one.key)
        assert rows == folded(facts)
