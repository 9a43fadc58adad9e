"""Mara, whom the demonstration follows: money that lies idle, an identification that does not work out, and second thoughts."""

from __future__ import annotations

from collections.abc import Iterator

from assent.events.v1.bank_pb2 import BankEvent, Product
from assent.signals.v1.session_event_pb2 import SessionEvent
from harbour_bank.bank_events import DAY_MS, balance, event, payment, trait
from servicekit.ids import new_id

PURPOSES = ("assistance", "offers", "personalization", "learning")
"""What she agrees to on the preference screen, each under the notice that covers it."""


def money(customer: str, now_ms: int) -> Iterator[BankEvent]:
    """EUR 14,200 that have not moved for two months, and a salary that covers what she spends."""
    account = f"{customer}-current"
    opened = Product(holding=account, product_kind="current")
    yield event(customer, "open", now_ms - 900 * DAY_MS, product_opened=opened)
    told: dict[str, str | int] = {
        "view.first_name": "Mara",
        "view.age_years": 38,
        "view.residence": "DE",
        "view.employment": "employed",
        "view.kyc_state": "verified",
        "view.card_state": "active",
    }
    for name, value in told.items():
        yield event(customer, name, now_ms - DAY_MS, trait=trait(name, value))
    for days in (75, 61, 30, 1):
        held = balance(account, "current", 1_420_000)
        yield event(customer, f"balance-{days}", now_ms - days * DAY_MS, balance=held)
    for month in range(3):
        at_ms = now_ms - (30 * month + 5) * DAY_MS
        paid = payment(account, "in", "payroll", 342_000, at_ms, counterparty="employer")
        yield event(customer, f"salary-{month}", at_ms, transaction=paid)
        rent = payment(account, "out", "household", 118_000, at_ms + DAY_MS, counterparty="landlord")
        yield event(customer, f"rent-{month}", at_ms + DAY_MS, transaction=rent)


def opening(now_ms: int) -> list[SessionEvent]:
    """She opens the app and reaches the photo of her document."""
    return [
        _said(0, now_ms, "session_start"),
        _said(1, now_ms, "screen_view", screen="kyc_document", area="kyc", flow="kyc", step="document_upload"),
        _said(2, now_ms, "step_started", flow="kyc", step="document_upload"),
    ]


def failed_upload(seq: int, now_ms: int, reason: str) -> list[SessionEvent]:
    """The photo is sent and refused."""
    where = {"flow": "kyc", "step": "document_upload"}
    return [
        _said(seq, now_ms, "upload_started", **where),
        _said(seq + 1, now_ms, "upload_failed", reason=reason, **where),
    ]


FAILURES = (
    ("timeout", "the network dropped it: not her photo, so this one does not count"),
    ("blurry", "the photo is blurry"),
    ("wrong_format", "the wrong format"),
)


def _said(seq: int, at_ms: int, kind: str, **fields: str) -> SessionEvent:
    return SessionEvent(id=new_id(), seq=seq, occurred_at_ms=at_ms, type=kind, **fields)  # type: ignore[arg-type]
