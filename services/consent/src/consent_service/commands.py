"""What the handlers are asked, as values; `rpc` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from consent_service.domain.acceptance import Actor, Evidence, Screen
from consent_service.domain.basis import DEFAULT_TTL_US
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.position import Position
from consent_service.domain.words import Kind
from consent_service.ports import NoticeBytes, Request


@dataclass(frozen=True, slots=True)
class RecordChoice:
    """The choices of a preference screen, grants under one notice, or objections."""

    request: Request
    subject: str
    screen: Screen


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back everything in these scopes, or what the grant with this index granted."""

    request: Request
    subject: str
    scopes: tuple[Scope, ...] = ()
    grant: int | None = None
    actor: Actor = field(default_factory=Actor)
    reason: str = ""
    event_us: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """An opt-out signal of a subject's device, switched on or off. Without a regime it speaks to all that know it."""

    request: Request
    subject: str
    signal: str
    on: bool
    regime: str = ""
    device_ref: str = ""
    actor: Actor = field(default_factory=Actor)
    evidence: Evidence = field(default_factory=Evidence)
    event_us: int | None = None


@dataclass(frozen=True, slots=True)
class SetLink:
    """The wanted link of two subjects."""

    request: Request
    survivor: str
    absorbed: str
    linked: bool
    evidence_ref: str = ""


@dataclass(frozen=True, slots=True)
class Publish:
    """A registry, and the bytes of notices that it names."""

    request: Request
    document: bytes
    notices: tuple[NoticeBytes, ...]
    approvers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Seal:
    """SEALED or UNSEALED for these subjects and all their members, as an erasure case wants it."""

    request: Request
    subjects: tuple[str, ...]
    kind: Kind
    case: str


@dataclass(frozen=True, slots=True)
class Erase:
    """ERASURE for these sealed subjects, which are all that are one person, as an approved case wants it."""

    request: Request
    subjects: tuple[str, ...]
    case: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the ledger says of itself: that it was created, that an epoch began, that a key was rotated."""

    note: Mapping[str, str]
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """Keys of a subject to judge now."""

    subject: str
    keys: tuple[Key, ...]
    at_us: int | None = None
    regimes: tuple[str, ...] = ()
    min_token: bytes = b""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The basis of a subject on a channel now; with `replay` the unsigned one that was given at that position, at `at_us`."""

    subject: str
    channel: str
    at_us: int | None = None
    regimes: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    min_token: bytes = b""
    ttl_us: int = DEFAULT_TTL_US
    replay: Position | None = None
    replay_kid: str = ""


Moment = int | Position
"""A time in epoch microseconds, or the place in the ledger that was recorded then."""


@dataclass(frozen=True, slots=True)
class Look:
    """A subject's state as of a time, as known at a time or at a place in the ledger."""

    subject: str
    as_of: Moment | None = None
    as_known_at: Moment | None = None
    include_ended: bool = False


@dataclass(frozen=True, slots=True)
class ListEvents:
    """A page of a subject's entries: those after an index."""

    subject: str
    after: int = -1
    amount: int = 100


@dataclass(frozen=True, slots=True)
class Watch:
    """What changes after a place, or from the beginning; on some partitions, or on all."""

    after: Position | None = None
    partitions: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class FindRegistry:
    """The latest registry, one by digest, or the one in force at a place; and perhaps a notice's bytes."""

    digest: str = ""
    notice: NoticeRef | None = None
    position: Position | None = None


Command = RecordChoice | Withdraw | Signal | SetLink | Publish | Seal | Erase | Note
"""All that writes."""
