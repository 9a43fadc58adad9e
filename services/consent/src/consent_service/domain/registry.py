"""The registry: what the ledger judges by, as one immutable value. `docs/registry.md` of the service is its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from consent_service.domain.choices import NoticeRef, Scope, below
from consent_service.domain.words import SELF, Basis

MAX_EVENT_AGE_US: Final = 7 * 86_400 * 1_000_000
ABSOLUTE_OBJECTION: Final = frozenset({"direct_marketing"})
"""In every regime that does not say otherwise: it only narrows."""


class NoticeStatus(StrEnum):
    """OPEN takes new choices, under CLOSED old ones still count, under VOID none do."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"
    VOID = "VOID"


@dataclass(frozen=True, slots=True)
class Regime:
    """A privacy regime as data. `signals` maps an opt-out signal to purpose tags; objections to purposes that bear a tag of
    `absolute_objection` end them whatever their basis.
    """

    id: str
    allowed_bases: frozenset[Basis]
    max_event_age_us: int = MAX_EVENT_AGE_US
    window_us: int = 0
    notice_required: bool = True
    max_validity_us: int | None = None
    signals: Mapping[str, frozenset[str]] = field(default_factory=dict)
    absolute_objection: frozenset[str] = ABSOLUTE_OBJECTION

    def absolute(self, tags: frozenset[str]) -> bool:
        """Whether an objection to a purpose with these tags is absolute."""
        return not self.absolute_objection.isdisjoint(tags)


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why data is used. `channels` None means all."""

    id: str
    title: str
    bases: Mapping[str, Basis]
    categories: frozenset[str]
    recipients: frozenset[str] = frozenset({SELF})
    channels: frozenset[str] | None = None
    special_ground: Mapping[str, str] | None = None
    retired: bool = False
    tags: frozenset[str] = frozenset()

    def ground(self, regime: str) -> str | None:
        """The ground under which `sensitive` needs no explicit grant."""
        return (self.special_ground or {}).get(regime)


@dataclass(frozen=True, slots=True)
class Covers:
    """What a notice speaks of."""

    purposes: frozenset[str]
    channels: frozenset[str]
    categories: frozenset[str]
    recipients: frozenset[str]

    def holds(self, scope: Scope) -> bool:
        """Whether everything the scope lists is spoken of."""
        return (
            scope.purpose in self.purposes
            and scope.channels <= self.channels
            and scope.categories <= self.categories
            and scope.recipients <= self.recipients
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice version in one locale."""

    ref: NoticeRef
    status: NoticeStatus
    effective_from_us: int
    covers: Covers


NoticeId = tuple[str, int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Registry:
    """A published registry. `index` is that of its entry; compared by identity, because there is one per index."""

    digest: str = ""
    index: int = 0
    default_regimes: tuple[str, ...] = ()
    channels: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()
    regimes: Mapping[str, Regime] | None = None
    purposes: Mapping[str, Purpose] | None = None
    notices: Mapping[NoticeId, Notice] | None = None

    def regime(self, regime: str) -> Regime | None:
        """A regime by id."""
        return (self.regimes or {}).get(regime)

    def purpose(self, purpose: str) -> Purpose | None:
        """A purpose by id."""
        return (self.purposes or {}).get(purpose)

    def signalled(self, signal: str, regimes: Iterable[str]) -> tuple[str, ...]:
        """The topmost purposes that the signal opts out of under any of these regimes, sorted."""
        tags: set[str] = set()
        for regime in filter(None, map(self.regime, regimes)):
            tags |= regime.signals.get(signal, frozenset())
        named = {found.id for found in (self.purposes or {}).values() if not found.retired and found.tags & tags}
        return tuple(sorted(one for one in named if not any(one != top and below(one, top) for top in named)))

    @property
    def purpose_ids(self) -> tuple[str, ...]:
        """All purposes, sorted."""
        return tuple(sorted(self.purposes or {}))

    def notice(self, ref: NoticeRef) -> Notice | None:
        """The notice of that id, version and locale, whatever its hash."""
        return (self.notices or {}).get((ref.id, ref.version, ref.locale))

    def void(self, ref: NoticeRef | None) -> bool:
        """Whether grants under this notice count no more: it is VOID, or not what was published."""
        notice = self.notice(ref) if ref is not None else None
        return notice is None or notice.status is NoticeStatus.VOID


EMPTY: Final = Registry()
"""Before the first publication: no purpose, so no yes."""
