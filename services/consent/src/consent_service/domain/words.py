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
    OBJECT = "OBJECT"
    RESTRICT = "RESTRICT"
    OPT_OUT = "OPT_OUT"
    LIFT_OBJECT = "LIFT_OBJECT"
    LIFT_RESTRICT = "LIFT_RESTRICT"
    LIFT_OPT_OUT = "LIFT_OPT_OUT"
    LINKED = "LINKED"
    UNLINKED = "UNLINKED"
    SEALED = "SEALED"
    UNSEALED = "UNSEALED"
    REGISTRY = "REGISTRY"
    LEDGER = "LEDGER"
    ERASURE = "ERASURE"


REFUSALS: Final = frozenset({Kind.REFUSE, Kind.WITHDRAW})
"""Denials of the choice layer: a later grant lifts them."""

OBJECTIONS: Final = frozenset({Kind.OBJECT, Kind.RESTRICT, Kind.OPT_OUT})
"""Denials of the objection layer: only their own lifting lifts them."""

DENIALS: Final = REFUSALS | OBJECTIONS
"""All that can only say no."""

LIFTS: Final = {Kind.LIFT_OBJECT: Kind.OBJECT, Kind.LIFT_RESTRICT: Kind.RESTRICT, Kind.LIFT_OPT_OUT: Kind.OPT_OUT}
"""What each lifting lifts."""

LIFT_OF: Final = {objection: lift for lift, objection in LIFTS.items()}

SUBTREE: Final = DENIALS | frozenset(LIFTS)
"""Kinds that reach their purpose and everything below, and whose empty sets say any."""


class Status(StrEnum):
    """Whether a subject's choices count at all. SEALED: an erasure was asked for. ERASED: only a tombstone is left."""

    LIVE = "LIVE"
    SEALED = "SEALED"
    ERASED = "ERASED"


class State(StrEnum):
    """What is on record about a key. UNKNOWN is neither yes nor no, and never becomes either."""

    UNKNOWN = "UNKNOWN"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    OBJECTED = "OBJECTED"


class Basis(StrEnum):
    """Why a purpose may process, per regime."""

    CONSENT = "CONSENT"
    OPT_OUT = "OPT_OUT"
    LEGITIMATE_INTEREST = "LEGITIMATE_INTEREST"
    CONTRACT = "CONTRACT"
    LEGAL_OBLIGATION = "LEGAL_OBLIGATION"


DENIABLE: Final = frozenset({Basis.CONSENT, Basis.OPT_OUT, Basis.LEGITIMATE_INTEREST})
"""Bases that a refusal, a withdrawal, an objection or an opt-out ends."""


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
    """Why a verdict is what it is, in order of precedence: the first that applies is given. Yes codes come last."""

    SUBJECT_ERASED = "SUBJECT_ERASED"
    SUBJECT_SEALED = "SUBJECT_SEALED"
    UNKNOWN_PURPOSE = "UNKNOWN_PURPOSE"
    PURPOSE_RETIRED = "PURPOSE_RETIRED"
    NO_LAWFUL_BASIS = "NO_LAWFUL_BASIS"
    CHANNEL_NOT_LISTED = "CHANNEL_NOT_LISTED"
    CATEGORY_NOT_LISTED = "CATEGORY_NOT_LISTED"
    RECIPIENT_NOT_LISTED = "RECIPIENT_NOT_LISTED"
    RESTRICTED = "RESTRICTED"
    OBJECTED = "OBJECTED"
    OPTED_OUT = "OPTED_OUT"
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


CLOSED: Final = {Status.ERASED: Reason.SUBJECT_ERASED, Status.SEALED: Reason.SUBJECT_SEALED}
"""Why a subject that is not LIVE is denied, whatever is asked."""

RANK: Final = {reason: rank for rank, reason in enumerate(Reason)}
YES: Final = frozenset({Reason.GRANTED, Reason.NOT_OBJECTED, Reason.NOTICE_SERVED, Reason.NEEDED})
