"""What a bank event says to the fold: observations to add to daily buckets, and registers to overwrite.

A series is one event type, one measure and one value for each of its fields; its key joins them with tabs, which no
field may hold (control characters are refused at the border). `tie` orders events of the same millisecond; it comes
from the event's id, so that every order of arrival gives the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
SEPARATOR: Final = "\t"
COUNT: Final = ""
"""The measure of events that are only counted."""
FIRST: Final = "<"
"""Registers whose key begins so keep their earliest value, all others the latest."""

Scalar = int | str | bool | None
Registered = Scalar | list[Scalar]

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "transaction": (
        "direction",
        "kind",
        "currency",
        "account",
        "merchant",
        "merchant_category",
        "counterparty",
        "channel",
        "country",
        "cross_border",
    ),
    "balance": ("account", "product_kind", "currency"),
    "product_opened": ("product_kind",),
    "product_changed": ("product_kind",),
    "product_closed": ("product_kind",),
    "application": ("product_kind", "state"),
    "card_declined": ("reason",),
    "credit_score_changed": (),
    "contact_made": ("channel", "direction", "topic"),
    "complaint": ("state", "topic"),
    "vulnerability": ("flag", "state"),
    "life_event": ("kind",),
    "goal": ("kind",),
    "preference": ("name",),
    "trait": ("name",),
}
"""Which fields tell one series of an event type from another: what `where` and `by` may read."""

MEASURES: Final[Mapping[str, tuple[str, ...]]] = {
    "transaction": ("amount_minor",),
    "balance": ("available_minor", "balance_minor", "principal_minor", "limit_minor"),
    "credit_score_changed": ("score",),
}
"""The numbers of an event type; the first is what a feature means that names none. Other types are only counted."""

LEVELS: Final = frozenset({"balance"})
"""Types that report a level, which holds until the next report."""


class Fact(NamedTuple):
    """One event for the fold. `key` is the digest of its id, the identity that makes repeats harmless."""

    key: bytes
    at_ms: int
    observations: tuple[tuple[str, int], ...]
    registers: tuple[tuple[str, Registered], ...] = ()

    @property
    def tie(self) -> int:
        """Orders events of the same millisecond."""
        return int.from_bytes(self.key[:4], "big")


def event_key(event_id: str) -> bytes:
    """16 bytes that stand for an event id; the id itself is not kept."""
    return hashlib.sha256(event_id.encode()).digest()[:16]


def series_key(kind: str, measure: str, fields: tuple[str, ...]) -> str:
    """The key of a series; `fields` in the order of FIELDS, "" for an absent one."""
    return SEPARATOR.join((kind, measure, *fields))


def main_measure(kind: str) -> str:
    """The measure of a feature that names none."""
    return MEASURES.get(kind, (COUNT,))[0]


def register_key(group: str, name: str) -> str:
    """The key of a register."""
    return f"{group}{SEPARATOR}{name}"


def date_ms(day: str) -> int:
    """Epoch milliseconds of the begin of an ISO date."""
    return (date.fromisoformat(day).toordinal() - _EPOCH) * DAY_MS


_EPOCH: Final = date(1970, 1, 1).toordinal()
