"""What goes into the automaton and what comes out: facts, grants, detections, changes. Times are whole milliseconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Scalar = int | bool | str
Fields = Mapping[str, Scalar]
Per = tuple[Scalar, ...]
NO_FIELDS: Fields = {}


class Mark(NamedTuple):
    """A fact as evidence: when it was, and its id."""

    t: int
    id: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What a basis allowed: (purpose, category) pairs, and the ledger position it rests on."""

    epoch: int
    index: int
    pairs: frozenset[tuple[str, str]]

    def covers(self, purpose: str, categories: frozenset[str]) -> bool:
        """Whether the purpose is granted with all these categories."""
        return all((purpose, category) in self.pairs for category in categories)

    def dump(self) -> list[Any]:
        """As JSON values, the same for equal grants."""
        return [self.epoch, self.index, sorted(self.pairs)]

    @classmethod
    def load(cls, raw: list[Any]) -> Grant:
        """From `dump`."""
        return cls(raw[0], raw[1], frozenset((purpose, category) for purpose, category in raw[2]))

    def older_than(self, other: Grant) -> bool:
        """Whether the other one rests on a later position."""
        return (self.epoch, self.index) < (other.epoch, other.index)


class Fact(NamedTuple):
    """Something that happened under a key. A detection is a fact of type `signal:<name>`.

    `received` is the server's time of its batch (None: not a delivery), `grant` what was allowed when it was stored.
    """

    key: str
    t: int
    id: str
    type: str
    fields: Fields = NO_FIELDS
    received: int | None = None
    grant: Grant | None = None


def signal_type(signal: str) -> str:
    """The fact type of a detection."""
    return f"signal:{signal}"


@dataclass(frozen=True, slots=True)
class Detection:
    """One firing of one definition. `witness` is the span of presence used; `moved_by` the fact that revealed it,
    `ledger_index` the ledger position of the grant.
    """

    id: str
    signal: str
    version: int
    hash: str
    kind: str
    strength: int
    warrants: bool
    internal: bool
    shadow: bool
    purpose: str
    needs: frozenset[str]
    key: str
    per: tuple[tuple[str, Scalar], ...]
    first_at: int
    at: int
    expires_at: int
    known_at: int
    evidence: tuple[str, ...]
    fields: Fields
    count: int | None = None
    measures: Mapping[str, int] = field(default_factory=dict)
    witness: tuple[int, int] | None = None
    moved_by: str | None = None
    ledger_index: int = 0


@dataclass(frozen=True, slots=True)
class Detected:
    """A definition fired."""

    detection: Detection


@dataclass(frozen=True, slots=True)
class Ended:
    """An active detection is over before its time: `reason` is ENDED_ON or CONSENT."""

    key: str
    id: str
    signal: str
    at: int
    reason: str


Change = Detected | Ended


def detection_id(definition: tuple[str, str], key: str, per: Per, ends: tuple[str, str], at: int) -> str:
    """First 16 bytes, in hex, of SHA-256 over what made it: equal on every run.

    `definition` is its signal and hash, `ends` the ids of the first and last evidence.
    """
    made_of = json.dumps([*definition, key, list(per), *ends, at], separators=(",", ":"))
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]
