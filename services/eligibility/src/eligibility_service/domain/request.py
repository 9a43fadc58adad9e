"""One request to evaluate, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from catalog.values import Missing

RawValue = object
"""As it came: int, bool, str, a collection of str, or Money; `catalog.values.conform` decides what it is worth."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A value of the view and when it was true."""

    value: RawValue
    as_of_ms: int


@dataclass(frozen=True, slots=True)
class LiveSignal:
    """A signal that is active."""

    kind: str
    strength: int
    fields: Mapping[str, RawValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """A scope key of a contact policy that is paused until `until_ms`; an empty channel means all."""

    policy: str
    scope: str
    key: str
    until_ms: int
    channel: str = ""


@dataclass(frozen=True, slots=True)
class Used:
    """How much of a contact limit is used, and when the oldest contact leaves the period."""

    limit: str
    used: int
    resets_ms: int = 0


@dataclass(frozen=True, slots=True)
class ContactState:
    """What was shown, paused and counted."""

    version: int = 0
    pauses: tuple[Pause, ...] = ()
    counts: tuple[Used, ...] = ()
    last_shown: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that evaluation reads.

    `allowed`: categories by purpose, from a verified basis; None without one. `contact` None: unknown.
    `unavailable`: sources that failed (profile, signals, contact). Empty `placements` means all of the channel.
    """

    now_ms: int
    channel: str
    allowed: Mapping[str, frozenset[str]] | None
    placements: tuple[str, ...] = ()
    jurisdictions: tuple[str, ...] = ()
    view: Mapping[str, Seen] = field(default_factory=dict)
    withheld: Mapping[str, Missing] = field(default_factory=dict)
    signals: Mapping[str, LiveSignal] = field(default_factory=dict)
    signals_fresh: bool = True
    context: Mapping[str, RawValue] = field(default_factory=dict)
    contact: ContactState | None = None
    killed: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()

    @property
    def signals_known(self) -> bool:
        """Whether friction can be told at all."""
        return self.signals_fresh and "signals" not in self.unavailable

    def categories(self, purpose: str) -> frozenset[str]:
        """What may be read for the purpose."""
        return frozenset() if self.allowed is None else self.allowed.get(purpose, frozenset())
