"""The closed vocabularies of the ledger; the strings are what is stored and signed."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

ALL: Final = "*"
"""In place of a purpose: every purpose there is or will be. Only a denial may say it."""

SELF: Final = "self"
"""The bank, as recipient."""

SENSITIVE: Final = "sensitive"

CATEGORIES: Final = (
    "behaviour",
    "demographic",
    "holding",
    "identity",
    "inferred",
    "interaction",
    "location",
    SENSITIVE,
    "transaction",
)
"""Data categories of architecture.md, sorted."""


class Kind(StrEnum):
    """What an entry is."""

    GRANT = "GRANT"
    REFUSE = "REFUSE"
    WITHDRAW = "WITHDRAW"
    NOTICE_SERVED = "NOTICE_SERVED"
    LINKED = "LINKED"
    UNLINKED = "UNLINKED"
    REGISTRY = "REGISTRY"
    LEDGER = "LEDGER"


DENIALS: Final = frozenset({Kind.REFUSE, Kind.WITHDRAW})


class State(StrEnum):
    """What is on record about a key. UNKNOWN is neither yes nor no, and never becomes either."""

    UNKNOWN = "UNKNOWN"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


class Basis(StrEnum):
    """Why a purpose may process, per regime."""

    CONSENT = "CONSENT"
    OPT_OUT = "OPT_OUT"
    LEGITIMATE_INTEREST = "LEGITIMATE_INTEREST"
    CONTRACT = "CONTRACT"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"


DENIABLE: Final = frozenset({Basis.CONSENT, Basis.OPT_OUT, Basis.LEGITIMATE_INTEREST})
"""Bases that a refusal or withdrawal ends."""


class ActorType(StrEnum):
    """Who acts. SYSTEM and AUTHORITY only narrow, but SYSTEM may report a served notice."""

    UNSPECIFIED = "UNSPECIFIED"
    CUSTOMER = "CUSTOMER"
    AGENT = "AGENT"
    REPRESENTATIVE = "REPRESENTATIVE"
    SYSTEM = "SYSTEM"
    AUTHORITY = "AUTHORITY"


PERSONS: Final = frozenset({ActorType.CUSTOMER, ActorType.AGENT, ActorType.REPRESENTATIVE})


class Reason(StrEnum):
    """Why a verdict is what it is, in order of precedence: the first that applies is given. Yes codes come last.

    SUBJECT_ERASED, SUBJECT_SEALED, RESTRICTED, OBJECTED and OPTED_OUT join when their entries are built.
    """

    UNKNOWN_PURPOSE = "UNKNOWN_PURPOSE"
    PURPOSE_RETIRED = "PURPOSE_RETIRED"
    NO_LAWFUL_BASIS = "NO_LAWFUL_BASIS"
    CHANNEL_NOT_LISTED = "CHANNEL_NOT_LISTED"
    CATEGORY_NOT_LISTED = "CATEGORY_NOT_LISTED"
    RECIPIENT_NOT_LISTED = "RECIPIENT_NOT_LISTED"
    WITHDRAWN = "WITHDRAWN"
    REFUSED = "REFUSED"
    NOTICE_VOID = "NOTICE_VOID"
    NOT_YET_VALID = "NOT_YET_VALID"
    EXPIRED = "EXPIRED"
    EXPLICIT_REQUIRED = "EXPLICIT_REQUIRED"
    NOTICE_NOT_SERVED = "NOTICE_NOT_SERVED"
    WAITING_WINDOW = "WAITING_WINDOW"
    NO_RECORD = "NO_RECORD"
    GRANTED = "GRANTED"
    NOT_OBJECTED = "NOT_OBJECTED"
    NOTICE_SERVED = "NOTICE_SERVED"
    NEEDED = "NEEDED"


RANK: Final = {reason: rank for rank, reason in enumerate(Reason)}
YES: Final = frozenset({Reason.GRANTED, Reason.NOT_OBJECTED, Reason.NOTICE_SERVED, Reason.NEEDED})
