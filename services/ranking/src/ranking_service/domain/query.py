"""One question to ranking, and its answer, as values. Scores are named tuples: an answer holds hundreds of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ranking_service.domain.specification import ArmOrder, Readings

PRIOR_ONLY: Final = "PRIOR_ONLY"
NO_MODEL: Final = "NO_MODEL"
MODEL_KILLED: Final = "MODEL_KILLED"
RAMP: Final = "RAMP"
EPSILON: Final = "EPSILON"
SNAPSHOT_STALE: Final = "SNAPSHOT_STALE"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An action that may be placed, and where."""

    action: str
    placements: frozenset[str]


@dataclass(frozen=True, slots=True)
class Query:
    """Everything that ranking needs besides bundle and snapshot.

    `allowed`: data categories by purpose, as the basis has it. `readings`: values by attribute. `placements`: how many
    items each asked placement takes at most; 0 means the bundle's limit.
    """

    decision_id: str
    now_ms: int
    seed: int
    channel: str
    candidates: tuple[Candidate, ...]
    placements: Mapping[str, int]
    arms: Mapping[str, str] = field(default_factory=dict)
    killed: frozenset[str] = frozenset()
    allowed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)
    last_shown: Mapping[str, int] = field(default_factory=dict)


class Score(NamedTuple):
    """How a candidate was valued. Propensities in units of 2^-30."""

    action: str
    propensity: int
    noiseless: int
    evidence: int
    context_weight: float
    value: float
    lever: float
    priority: float
    flags: tuple[str, ...]


class Placed(NamedTuple):
    """An action in a slot, from 1."""

    placement: str
    slot: int
    action: str


@dataclass(frozen=True, slots=True)
class Ranked:
    """The answer: the slate in the bundle's order of placements, the next ones of each, and every candidate by rank."""

    arm: ArmOrder
    slate: tuple[Placed, ...]
    reserves: tuple[Placed, ...]
    scores: tuple[Score, ...]
    flags: tuple[str, ...]
