"""The PKDD'99 bank as bank events: real transactions of a Czech bank, 1993 to 1998.

What is moved and what is assumed, so that nobody mistakes it for data: each account's calendar is moved by whole days so that its last
transaction was yesterday (windows look back from now); ages are those at the account's last day; identification counts as done.
Amounts stay crowns, to the haler; the order of a day's rows is that of their ids, and each row carries its own balance.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from assent.events.v1.bank_pb2 import BankEvent, Product
from harbour_bank.bank_events import balance, event, payment, trait

CURRENCY: Final = "CZK"
TRANSACTIONS: Final = "trans_real_subset.parquet"
KINDS: Final[Mapping[str, str]] = {
    "SIPO": "household",
    "POJISTNE": "insurance",
    "UROK": "interest",
    "SANKC. UROK": "interest",
    "DUCHOD": "pension",
    "UVER": "loan_payment",
    "SLUZBY": "fee",
}
"""By `k_symbol`; without one the `operation` decides."""
OPERATIONS: Final[Mapping[str, str]] = {
    "VKLAD": "cash",
    "VYBER": "cash",
    "VYBER KARTOU": "card",
    "PREVOD Z UCTU": "transfer",
    "PREVOD NA UCET": "transfer",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """Counts to check an import against."""

    transactions: int
    accounts: int
    penalty_interest: int
    negative_balance: int
    pensions: int
    household: int


@dataclass(frozen=True, slots=True)
class Account:
    """One account with everything known about its owner."""

    account_id: int
    rows: tuple[Row, ...]
    birth_number: str
    loan: Row | None
    card: str | None

    @property
    def customer(self) -> str:
        """The owner's number."""
        return f"BERKA-{self.account_id}"

    @property
    def last(self) -> date:
        """Its last day."""
        return self.rows[-1]["date"].date()  # type: ignore[no-any-return]  # parquet gives datetimes


def read(folder: Path) -> list[Account]:
    """All accounts of the folder, by id."""
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in pq.read_table(folder / TRANSACTIONS).to_pylist():
        rows[row["account_id"]].append(row)
    owners = {row["account_id"]: row for row in _table(folder, "disp") if row["type"] == "OWNER"}
    births = {row["client_id"]: row["birth_number"] for row in _table(folder, "client")}
    loans = {row["account_id"]: row for row in _table(folder, "loan")}
    cards = {row["disp_id"]: row["type"] for row in _table(folder, "card")}
    return [
        Account(
            account_id,
            tuple(sorted(rows[account_id], key=lambda row: (row["date"], row["trans_id"]))),
            births[owners[str(account_id)]["client_id"]],
            loans.get(str(account_id)),
            cards.get(owners[str(account_id)]["disp_id"]),
        )
        for account_id in sorted(rows)
    ]


def _table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.asc").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter=";"))


def facts(accounts: Sequence[Account]) -> Facts:
    """What the data's own description lists."""
    rows = [row for account in accounts for row in account.rows]
    symbols = [row["k_symbol"] for row in rows]
    return Facts(
        transactions=len(rows),
        accounts=len(accounts),
        penalty_interest=symbols.count("SANKC. UROK"),
        negative_balance=sum(row["balance"] < 0 for row in rows),
        pensions=symbols.count("DUCHOD"),
        household=symbols.count("SIPO"),
    )


def minor(amount: float) -> int:
    """Halers; the source has at most one decimal, so this is exact."""
    return round(amount * 100)


def age(birth_number: str, on: date) -> int:
    """Years on a day; the source writes YYMMDD, with 50 added to the month for women."""
    month = int(birth_number[2:4]) % 50
    born = date(1900 + int(birth_number[:2]), month, int(birth_number[4:6]))
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


def events(account: Account, now_ms: int) -> Iterator[BankEvent]:
    """The account's events, its calendar moved so that its last day was yesterday."""
    yesterday = datetime.fromtimestamp(now_ms / 1000, UTC).date() - timedelta(days=1)
    moved = yesterday - account.last
    yield from _person(account, _midnight_ms(yesterday), moved)
    for order, row in enumerate(account.rows):
        # A second apart, so that the day's balance is that of its last row.
        at_ms = _midnight_ms(row["date"].date() + moved) + (order % 80_000) * 1000
        yield event(account.customer, f"t{row['trans_id']}", at_ms, transaction=_transaction(account, row, at_ms))
        held = balance(str(account.account_id), "current", minor(row["balance"]), currency=CURRENCY)
        yield event(account.customer, f"b{row['trans_id']}", at_ms, balance=held)


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def _transaction(account: Account, row: Row, at_ms: int) -> Any:
    symbol = (row["k_symbol"] or "").strip()
    return payment(
        str(account.account_id),
        "in" if row["type"] == "PRIJEM" else "out",
        KINDS.get(symbol) or OPERATIONS.get(row["operation"] or "", "transfer"),
        minor(row["amount"]),
        at_ms,
        counterparty=str(row["account"]) if row["account"] else "",
        currency=CURRENCY,
    )


def _person(account: Account, at_ms: int, moved: timedelta) -> Iterator[BankEvent]:
    told: dict[str, str | int] = {
        "view.age_years": age(account.birth_number, account.last),
        "view.residence": "OTHER",
        "view.kyc_state": "verified",
    }
    for name, value in told.items():
        yield event(account.customer, name, at_ms, trait=trait(name, value))
    opened_ms = _midnight_ms(account.rows[0]["date"].date() + moved)
    for holding in _holdings(account):
        opened = Product(holding=f"{account.account_id}-{holding}", product_kind=holding)
        yield event(account.customer, f"open-{holding}", opened_ms, product_opened=opened)


def _holdings(account: Account) -> Iterator[str]:
    yield "current"
    if account.card:
        yield "card"
    if account.loan:
        yield "loan"
