"""What the handlers are asked, as values; `rpc` makes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from consent_service.domain.acceptance import Actor, Screen
from consent_service.domain.basis import DEFAULT_TTL_US
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.ports import NoticeBytes, Request


@dataclass(frozen=True, slots=True)
class RecordChoice:
    """The choices of a preference screen."""

    request: Request
    subject: str
    screen: Screen


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back everything in these scopes."""

    request: Request
    subject: str
    scopes: tuple[Scope, ...]
    actor: Actor = field(default_factory=Actor)
    reason: str = ""
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
class Check:
    """Keys of a subject to judge now."""

    subject: str
    keys: tuple[Key, ...]
    at_us: int | None = None
    regimes: tuple[str, ...] = ()
    min_token: bytes = b""


@dataclass(frozen=True, slots=True)
class Evaluate:
    """The basis of a subject on a channel now."""

    subject: str
    channel: str
    at_us: int | None = None
    regimes: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    min_token: bytes = b""
    ttl_us: int = DEFAULT_TTL_US


@dataclass(frozen=True, slots=True)
class Look:
    """A subject's state as of a time, as known at a time."""

    subject: str
    as_of_us: int | None = None
    as_known_at_us: int | None = None
    include_ended: bool = False


@dataclass(frozen=True, slots=True)
class FindRegistry:
    """The latest registry, or one by digest; and perhaps a notice's bytes."""

    digest: str = ""
    notice: NoticeRef | None = None
