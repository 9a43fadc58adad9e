"""Bank events as the contract has them: what is refused and why, and what an accepted one says to the fold.

A refusal names the field and never its value. Text that ends up in a series' key holds no control characters, so that
keys cannot be forged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final

from assent.events.v1.bank_pb2 import BankEvent
from catalog.vocabulary import PRODUCT_KINDS, TRANSACTION_KINDS
from profile_service.domain.identity import TYPES
from servicekit.errors import Invalid

LARGEST: Final = 10**15
"""Of an amount in minor units: sums of a year stay in 64 bits."""
FUTURE_SLACK_MS: Final = 5 * 60_000
LONGEST: Final = 128
LONGEST_IDENTIFIER: Final = 256
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Rule = Callable[[Any, str], None]


def refuse(field: str, reason: str, text: str) -> Invalid:
    """The refusal of a field."""
    return Invalid(text, reason=reason, field=field)


def check_text(value: str, field: str, *, longest: int = LONGEST) -> None:
    """Refuse what is empty, too long, or holds control characters."""
    if not value:
        raise refuse(field, "REQUIRED", "It is needed.")
    _check_optional(value, field, longest)


def _check_optional(value: str, field: str, longest: int = LONGEST) -> None:
    if len(value) > longest:
        raise refuse(field, "TOO_LONG", f"At most {longest} characters.")
    if _CONTROL.search(value):
        raise refuse(field, "CONTROL_CHARACTER", "No control characters.")


def check_uuid(value: str, field: str) -> None:
    """Refuse what is not a subject id."""
    if not _UUID.fullmatch(value):
        raise refuse(field, "NOT_A_SUBJECT_ID", "A subject id is a UUID in lower case.")


def check_identifier(identifier: Any, field: str) -> None:
    """Refuse an identifier of an unknown type or without a usable value."""
    if identifier.type not in TYPES:
        raise refuse(f"{field}.type", "UNKNOWN_TYPE", "There is no such identifier type.")
    if identifier.type == "subject_id":
        check_uuid(identifier.value, f"{field}.value")
    check_text(identifier.value, f"{field}.value", longest=LONGEST_IDENTIFIER)


def _one_of(*values: str) -> Rule:
    def rule(value: str, field: str) -> None:
        if value not in values:
            raise refuse(field, "REQUIRED" if not value else "UNKNOWN_VALUE", f"One of {' '.join(values)}.")

    return rule


def _matching(pattern: re.Pattern[str], text: str) -> Rule:
    def rule(value: str, field: str) -> None:
        if not pattern.fullmatch(value):
            raise refuse(field, "REQUIRED" if not value else "MALFORMED", text)

    return rule


def _date(value: str, field: str) -> None:
    try:
        if len(value) != 10:
            raise ValueError  # noqa: TRY301  # other ISO forms are not the contract's
        date.fromisoformat(value)
    except ValueError:
        raise refuse(field, "REQUIRED" if not value else "NOT_A_DATE", "An ISO 8601 date such as 2026-01-31.") from None


def _between(low: int, high: int) -> Rule:
    def rule(value: int, field: str) -> None:
        if not low <= value <= high:
            raise refuse(field, "OUT_OF_RANGE", f"From {low} to {high}.")

    return rule


_AMOUNT: Final = _between(-LARGEST, LARGEST)
_CURRENCY_RULE: Final = _matching(_CURRENCY, "An ISO 4217 code.")
_PRODUCT_KIND: Final = _one_of(*PRODUCT_KINDS)
_DIRECTION: Final = _one_of("in", "out")
_PRODUCT: Final[Mapping[str, Rule]] = {
    "holding": check_text,
    "product_kind": _PRODUCT_KIND,
    "maturity_date": _date,
    "rate_bp": _between(-10_000_000, 10_000_000),
    "limit_minor": _AMOUNT,
}

RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    "transaction": {
        "account": check_text,
        "direction": _DIRECTION,
        "kind": _one_of(*TRANSACTION_KINDS),
        "amount_minor": _between(0, LARGEST),
        "currency": _CURRENCY_RULE,
        "merchant": _check_optional,
        "merchant_category": _check_optional,
        "counterparty": _check_optional,
        "channel": _check_optional,
        "country": _matching(_COUNTRY, "An ISO 3166-1 alpha-2 code."),
        "booking_date": _date,
        "value_date": _date,
    },
    "balance": {
        "account": check_text,
        "product_kind": _PRODUCT_KIND,
        "available_minor": _AMOUNT,
        "balance_minor": _AMOUNT,
        "principal_minor": _AMOUNT,
        "limit_minor": _AMOUNT,
        "currency": _CURRENCY_RULE,
    },
    "product_opened": _PRODUCT,
    "product_changed": _PRODUCT,
    "product_closed": _PRODUCT,
    "application": {
        "product_kind": _PRODUCT_KIND,
        "state": _one_of("started", "submitted", "approved", "declined", "withdrawn"),
    },
    "card_declined": {
        "reason": _one_of("insufficient_funds", "limit", "fraud_suspected", "expired", "wrong_pin", "technical")
    },
    "credit_score_changed": {"score": _between(0, 100_000)},
    "contact_made": {
        "channel": _one_of("branch", "phone", "chat", "email", "sms", "push", "app"),
        "direction": _DIRECTION,
        "topic": check_text,
    },
    "complaint": {"state": _one_of("open", "resolved", "withdrawn"), "topic": check_text},
    "vulnerability": {
        "flag": _one_of("hardship", "bereavement", "open_complaint", "financial_abuse", "fraud_case"),
        "state": _one_of("set", "lifted"),
    },
    "life_event": {"kind": check_text, "date": _date},
    "goal": {"kind": check_text, "target_minor": _between(0, LARGEST), "date": _date},
    "preference": {"name": check_text, "value": check_text},
    "trait": {"name": check_text},
}
"""The rules of each type's fields. An optional field (proto3 `optional`) that is absent is right."""


def _optional(kind: str) -> frozenset[str]:
    """The fields of a type that may be absent."""
    message = BankEvent.DESCRIPTOR.fields_by_name[kind].message_type
    assert message is not None
    return frozenset(name for name in RULES[kind] if message.fields_by_name[name].has_presence)


_OPTIONAL: Final = {kind: _optional(kind) for kind in RULES}


def check(event: BankEvent, now_ms: int) -> None:
    """Raise Invalid naming the first field that is not right."""
    check_text(event.event_id, "event_id")
    check_identifier(event.subject, "subject")
    if not 0 < event.occurred_at_ms <= now_ms + FUTURE_SLACK_MS:
        raise refuse("occurred_at_ms", "OUT_OF_RANGE", "After 1970 and not in the future.")
    kind = event.WhichOneof("body")
    if kind is None:
        raise refuse("body", "UNKNOWN_TYPE", "There is no body of a type that is known here.")
    body, optional = getattr(event, kind), _OPTIONAL[kind]
    for name, rule in RULES[kind].items():
        if name not in optional or body.HasField(name):
            rule(getattr(body, name), f"{kind}.{name}")
    if kind == "trait":
        _check_value(body.value)


def _check_value(value: Any) -> None:
    kind = value.WhichOneof("kind")
    if kind is None:
        raise refuse("trait.value", "REQUIRED", "It is needed.")
    for text in [value.text] if kind == "text" else value.set.ids if kind == "set" else ():
        check_text(text, f"trait.value.{kind}")
