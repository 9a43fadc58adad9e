"""A session event as offered, and what becomes of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from signals_service.domain.values import Scalar


class Status(enum.Enum):
    """What became of one event; the value is the contract's name."""

    ACCEPTED = "ACCEPTED"
    ACCEPTED_REDACTED = "ACCEPTED_REDACTED"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    BAD_FIELD = "BAD_FIELD"
    TOO_LARGE = "TOO_LARGE"
    TOO_OLD = "TOO_OLD"
    SENSITIVE_VALUE = "SENSITIVE_VALUE"
    NOT_ALLOWED = "NOT_ALLOWED"
    RATE_LIMITED = "RATE_LIMITED"


ACCEPTED = frozenset({Status.ACCEPTED, Status.ACCEPTED_REDACTED})
QUIET = frozenset({Status.NOT_ALLOWED, Status.RATE_LIMITED}) | ACCEPTED
"""Statuses that leave no dead letter."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `attributes` are (name, value) as given, None for a value of a kind that no attribute has."""

    seq: int
    id: str
    occurred_at_ms: int
    type: str
    fields: Mapping[str, Scalar]
    attributes: Sequence[tuple[str, Scalar | None]] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of an event, the names concerned, and the event as it may be stored (None: refused)."""

    seq: int
    status: Status
    names: tuple[str, ...] = ()
    event: Event | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of a channel app."""

    batch_id: str
    session: str
    visitor: str
    subject_id: str
    channel: str
    app: str
    app_version: str
    sent_at_ms: int
    events: Sequence[Event] = ()
    size: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken."""

    event_bytes: int = 2048
    batch_bytes: int = 65_536
    batch_events: int = 200
    per_second: int = 50
    burst: int = 200
    session_events: int = 5_000
    session_ms: int = 8 * 3_600_000
    event_age_ms: int = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The event types of a bundle: the category of each, and its attributes (type and category)."""

    types: Mapping[str, str]
    attributes: Mapping[str, Mapping[str, tuple[str, str]]] = field(default_factory=dict)
