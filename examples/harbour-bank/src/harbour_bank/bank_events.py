"""Bank events in a few words: what the synthetic bank and the import of real data are written in."""

from __future__ import annotations

from datetime import UTC, datetime

from assent.catalog.v1.value_pb2 import Value
from assent.events.v1 import bank_pb2 as pb

CURRENCY = "EUR"
DAY_MS = 86_400_000


def day(at_ms: int) -> str:
    """The ISO date of a time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()


def event(customer: str, number: str, at_ms: int, **body: object) -> pb.BankEvent:
    """One event about a customer; `body` is the one field of BankEvent's oneof."""
    identifier = pb.Identifier(type="customer_number", value=customer)
    return pb.BankEvent(event_id=f"{customer}.{number}", subject=identifier, occurred_at_ms=at_ms, **body)  # type: ignore[arg-type]


def trait(name: str, value: str | int | bool) -> pb.Trait:
    """An attribute of the person."""
    if isinstance(value, bool):
        return pb.Trait(name=name, value=Value(boolean=value))
    return pb.Trait(name=name, value=Value(integer=value) if isinstance(value, int) else Value(text=value))


def balance(
    account: str, kind: str, minor: int, *, limit_minor: int | None = None, currency: str = CURRENCY
) -> pb.Balance:
    """A balance, all of it available."""
    told = pb.Balance(account=account, product_kind=kind, available_minor=minor, balance_minor=minor, currency=currency)
    if limit_minor is not None:
        told.limit_minor = limit_minor
    return told


def payment(
    account: str,
    direction: str,
    kind: str,
    amount_minor: int,
    at_ms: int,
    *,
    merchant: str = "",
    category: str = "",
    counterparty: str = "",
    currency: str = CURRENCY,
) -> pb.Transaction:
    """A movement of money; empty parts are left out."""
    told = pb.Transaction(
        account=account,
        direction=direction,
        kind=kind,
        amount_minor=amount_minor,
        currency=currency,
        channel="app",
        booking_date=day(at_ms),
        value_date=day(at_ms),
    )
    for name, value in (("merchant", merchant), ("merchant_category", category), ("counterparty", counterparty)):
        if value:
            setattr(told, name, value)
    return told
