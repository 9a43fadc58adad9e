"""Scopes and statements: what one act says, and which keys it reaches.

A denial, or the lifting of an objection, reaches its purpose and everything below, and an empty set says any; a grant reaches exactly
what it lists, so an empty set reaches nothing. Every question is therefore asked by the kind of statement, never by the scope alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from consent_service.domain.words import ALL, DENIALS, LIFTS, OBJECTIONS, SELF, SUBTREE, Kind


class Key(NamedTuple):
    """What a verdict is about, for a given subject."""

    purpose: str
    channel: str
    category: str
    recipient: str = SELF


class NoticeRef(NamedTuple):
    """The exact words shown; `sha256` in lower-case hex."""

    id: str
    version: int
    locale: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """One purpose with sets of channels, categories and recipients."""

    purpose: str
    channels: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    recipients: frozenset[str] = frozenset()

    def lists(self, key: Key) -> bool:
        """Whether the key is named: how a grant reaches."""
        return (
            key.purpose == self.purpose
            and key.channel in self.channels
            and key.category in self.categories
            and key.recipient in self.recipients
        )

    def denies(self, key: Key) -> bool:
        """Whether the key is named, below or among any: how a denial reaches."""
        return (
            below(key.purpose, self.purpose)
            and (not self.channels or key.channel in self.channels)
            and (not self.categories or key.category in self.categories)
            and (not self.recipients or key.recipient in self.recipients)
        )

    def holds(self, other: Scope) -> bool:
        """Whether this, as a grant, lists all that the other lists."""
        return self.purpose == other.purpose and all(
            mine >= theirs for mine, theirs in zip(self.sets, other.sets, strict=True)
        )

    def denies_all(self, other: Scope) -> bool:
        """Whether this, as a denial, reaches all that the other reaches as a denial."""
        return below(other.purpose, self.purpose) and all(
            not mine or (theirs and mine >= theirs) for mine, theirs in zip(self.sets, other.sets, strict=True)
        )

    def denies_some(self, grant: Scope) -> bool:
        """Whether this, as a denial, reaches a key that the other lists."""
        return below(grant.purpose, self.purpose) and all(
            not mine or not mine.isdisjoint(theirs) for mine, theirs in zip(self.sets, grant.sets, strict=True)
        )

    def meets(self, other: Scope) -> bool:
        """Whether both, as denials, reach a key together."""
        near = below(self.purpose, other.purpose) or below(other.purpose, self.purpose)
        return near and all(
            not mine or not theirs or not mine.isdisjoint(theirs)
            for mine, theirs in zip(self.sets, other.sets, strict=True)
        )

    @property
    def sets(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """Channels, categories, recipients."""
        return self.channels, self.categories, self.recipients


def below(purpose: str, root: str) -> bool:
    """Whether the purpose is the root or lies in its subtree."""
    return root in (ALL, purpose) or purpose.startswith(root + ".")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one choice says, as far as it can influence a verdict.

    A statement that a link brought names the links it hangs on, and lapses with any of them; its `exceptions` are scopes for which it
    does not stand, because the absorbed side had granted them since, or lifted the objection there.
    """

    index: int
    kind: Kind
    scope: Scope
    event_us: int
    recorded_us: int
    from_us: int = 0
    to_us: int | None = None
    explicit: bool = False
    notice: NoticeRef | None = None
    effective: bool = True
    links: tuple[int, ...] = ()
    exceptions: tuple[Scope, ...] = field(default=())

    @property
    def denial(self) -> bool:
        """Whether it can only say no."""
        return self.kind in DENIALS

    def reaches(self, key: Key) -> bool:
        """Whether it says something about the key."""
        if self.kind not in SUBTREE:
            return self.scope.lists(key)
        return self.scope.denies(key) and not (self.exceptions and self._excepted(key))

    def _excepted(self, key: Key) -> bool:
        if self.kind in OBJECTIONS:
            return any(lifted.denies(key) for lifted in self.exceptions)
        return any(granted.lists(key) for granted in self.exceptions)

    def lifts(self, objection: Statement) -> bool:
        """Whether, coming later, it lifts the objection where both reach: only one that is older by event time."""
        return LIFTS.get(self.kind) is objection.kind and objection.event_us < self.event_us
