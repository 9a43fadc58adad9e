"""What events are made of: the session event contract (signals.md section 3) and the bank events (profile.md).

Tables only. A bundle may add session event types under `event_types`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from catalog.values import BOOL, INT, STRING, TIME, ValueType

if TYPE_CHECKING:
    from catalog.model.base import Category

AREAS = tuple(
    "marketing application kyc faq terms rates product card dispute payments accounts support other".split()  # noqa: SIM905
)
ROLES = tuple(
    "button link submit cancel choice tab menu text_input keypad stepper carousel calendar player image text other".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type and category of an event's field."""

    type: ValueType
    category: Category


def _enum(*values: str) -> ValueType:
    return ValueType("enum", values=values)


def _fields(category: Category, types: Mapping[str, ValueType]) -> dict[str, FieldType]:
    return {name: FieldType(value_type, category) for name, value_type in types.items()}


SESSION_FIELDS: Mapping[str, FieldType] = MappingProxyType(
    {
        **_fields(
            "interaction",
            {
                "id": STRING,
                "seq": INT,
                "occurred_at": TIME,
                "type": STRING,
                "flow": STRING,
                "step": STRING,
                "reason": STRING,
                "permission": STRING,
                "nth": INT,
                "trusted": BOOL,
                "session": STRING,
            },
        ),
        **_fields(
            "behaviour",
            {
                "screen": STRING,
                "area": _enum(*AREAS),
                "section": STRING,
                "product": STRING,
                "target": STRING,
                "role": _enum(*ROLES),
                "action": STRING,
                "field": STRING,
                "x": INT,
                "y": INT,
                "button": _enum("primary", "secondary"),
                "direction": _enum("back", "forward", "link"),
                "axis": _enum("x", "y"),
                "reaction": _enum("none", "slow", "ok"),
                "after_ms": INT,
                "of": STRING,
                "ms": INT,
                "visible_ms": INT,
                "edits": INT,
                "length_bucket": INT,
                "valid": BOOL,
                "changed": BOOL,
            },
        ),
    }
)

LIFECYCLE = frozenset(
    "session_start session_end ping foreground background connection_lost connection_restored busy_start busy_end loss".split()  # noqa: SIM905
)
_BEHAVIOUR_TYPES = [
    "screen_view",
    "section_enter",
    "section_leave",
    "scroll",
    "navigate",
    "window_open",
    "tap",
    "click",
    "no_reaction",
    "reaction",
    "selection_change",
    "hover_start",
    "hover_end",
    "pointer_turn",
    "focus",
    "blur",
    "input",
    "field_commit",
    "screen_left",
]
_INTERACTION_TYPES = [
    "validation_error",
    "error",
    "step_started",
    "step_completed",
    "submit",
    "application_submitted",
    "upload_started",
    "upload_failed",
    "upload_ok",
    "permission_prompt",
    "permission_granted",
    "permission_denied",
    "challenge_shown",
    "challenge_passed",
    "challenge_failed",
    "payment_submitted",
    "account_linked",
    "card_activated",
    "dispute_filed",
    "help_opened",
    "flow_left",
]

SESSION_TYPES: Mapping[str, Category] = MappingProxyType(
    {
        **dict.fromkeys(_BEHAVIOUR_TYPES, "behaviour"),
        **dict.fromkeys(_INTERACTION_TYPES, "interaction"),
        **dict.fromkeys(sorted(LIFECYCLE), "interaction"),
    }
)
DERIVED_TYPES = frozenset({"screen_left", "flow_left"})

TRANSACTION_KINDS = (
    "payroll", "transfer", "card", "debit", "subscription", "cash", "fee", "interest", "loan_payment", "pension",
    "insurance", "household",
)  # fmt: skip
PRODUCT_KINDS = ("current", "savings", "card", "loan", "mortgage", "investment", "deposit", "insurance")


@dataclass(frozen=True, slots=True)
class BankEvent:
    """A bank event type: its own category, its fields, and which of them must be there."""

    category: Category
    fields: Mapping[str, FieldType]
    required: frozenset[str]


def _bank(category: Category, optional: str = "", /, **types: ValueType) -> BankEvent:
    skipped = frozenset(optional.split())
    fields = {
        name: FieldType(kind, "location" if name in {"country", "cross_border"} else category)
        for name, kind in types.items()
    }
    return BankEvent(category, MappingProxyType(fields), frozenset(types) - skipped)


_PRODUCT = {
    "holding": STRING,
    "product_kind": _enum(*PRODUCT_KINDS),
    "maturity_date": TIME,
    "rate_bp": INT,
    "limit_minor": INT,
}

BANK_EVENTS: Mapping[str, BankEvent] = MappingProxyType(
    {
        "transaction": _bank(
            "transaction",
            "merchant merchant_category counterparty country",
            account=STRING,
            direction=_enum("in", "out"),
            kind=_enum(*TRANSACTION_KINDS),
            amount_minor=INT,
            currency=STRING,
            merchant=STRING,
            merchant_category=STRING,
            counterparty=STRING,
            channel=STRING,
            country=STRING,
            cross_border=BOOL,
            booking_date=TIME,
            value_date=TIME,
        ),
        "balance": _bank(
            "transaction",
            "principal_minor limit_minor",
            account=STRING,
            product_kind=_enum(*PRODUCT_KINDS),
            available_minor=INT,
            balance_minor=INT,
            principal_minor=INT,
            limit_minor=INT,
            currency=STRING,
        ),
        **{
            name: _bank("holding", "maturity_date rate_bp limit_minor", **_PRODUCT)
            for name in ("product_opened", "product_changed", "product_closed")
        },
        "application": _bank("holding", product_kind=_enum(*PRODUCT_KINDS), state=STRING),
        "card_declined": _bank("transaction", reason=STRING),
        "credit_score_changed": _bank("inferred", score=INT),
        "contact_made": _bank("interaction", channel=STRING, direction=_enum("in", "out"), topic=STRING),
        "complaint": _bank("sensitive", state=STRING, topic=STRING),
        "vulnerability": _bank("sensitive", flag=STRING, state=STRING),
        "life_event": _bank("demographic", kind=STRING, date=TIME),
        "goal": _bank("demographic", "target_minor date", kind=STRING, target_minor=INT, date=TIME),
        "preference": _bank("interaction", name=STRING, value=STRING),
    }
)
