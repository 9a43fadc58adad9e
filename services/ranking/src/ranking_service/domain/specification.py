"""What ranking needs of a bundle, in the types that it computes with: built once per bundle, shared by every request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ranking_service.domain.arbitration import ONE

ArmOrder = Literal[
    "full", "universal", "random", "random_propensity", "no_lever", "propensity_only", "eligibility_only"
]
Value = int | bool | str | frozenset[str]
Readings = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Attribution:
    """Which outcome is a success, and for how long after the impression."""

    positive: str
    window_ms: int


@dataclass(frozen=True, slots=True)
class Action:
    """An action as arbitration sees it. `default` is its propensity without a model, in units of 2^-30."""

    id: str
    issue: str
    group: str
    purpose: str
    selling: bool
    mandatory: bool
    ramped: bool
    exclusive: frozenset[str]
    value: float
    lever: float
    default: int
    model: str | None
    attribution: Attribution


@dataclass(frozen=True, slots=True)
class Placement:
    """A slot's rules."""

    id: str
    max_items: int
    max_per_group: int | None = None
    max_per_issue: int | None = None
    min_priority: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """How sums become propensities: the base rate in units of 2^-30, prior strengths in units of 2^-16."""

    id: str
    base_rate: int
    global_strength: int
    group_strength: int
    action_strength: int


@dataclass(frozen=True, slots=True)
class ContextRule:
    """Adds `percent` to the context weight of `actions` while `holds` of what the action's purpose may see."""

    id: str
    percent: int
    actions: frozenset[str]
    reads: frozenset[str]
    holds: Callable[[Readings], bool]


@dataclass(frozen=True, slots=True)
class Exploration:
    """Shares in basis points, and how many positives end an action's ramp."""

    epsilon: int = 100
    ramp_floor: int = 200
    ramp_positives: int = 200


@dataclass(frozen=True)
class Specification:
    """Ranking's part of a bundle. `placements` are in the bundle's order; `categories` says what reading an attribute needs."""

    digest: str
    actions: Mapping[str, Action]
    placements: Mapping[str, Placement]
    models: Mapping[str, Model] = field(default_factory=dict)
    rules: tuple[ContextRule, ...] = ()
    exploration: Exploration = Exploration()
    static_order: Mapping[str, int] = field(default_factory=dict)
    arms: Mapping[str, Mapping[str, ArmOrder]] = field(default_factory=dict)
    """Orders by experiment and arm; holdouts first, then in the bundle's order."""
    categories: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def reads(self) -> frozenset[str]:
        """Everything that any rule reads."""
        return frozenset().union(*(rule.reads for rule in self.rules))

    @cached_property
    def covering(self) -> Mapping[str, tuple[ContextRule, ...]]:
        """The rules of each action that has any."""
        covered = frozenset().union(*(rule.actions for rule in self.rules))
        return {action: tuple(rule for rule in self.rules if action in rule.actions) for action in covered}


NO_DEFAULT = ONE
"""The propensity of an action that declares none and has no model: 1, as published."""
