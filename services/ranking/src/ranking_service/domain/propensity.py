"""Propensities from counts: integer arithmetic only, so every CPU gives the same bits.

Each level is pulled towards the one above it with the strength of a prior: base rate, then all of the model, then the
action's group, then the action, then the action on this channel. With strength s at 2^-16 and p at 2^-30:
`p = (positives * 2^46 + s * prior) // (trials * 2^16 + s)`. An action nobody has seen so gets its group's propensity, and
one outcome moves it by 1 / (1 + s).
"""

from __future__ import annotations

from math import isqrt
from typing import Final, NamedTuple

from ranking_service.domain.arbitration import ONE
from ranking_service.domain.counts import NOTHING, Count, Key, plus
from ranking_service.domain.snapshot import Snapshot
from ranking_service.domain.specification import Action, Model, Specification

LOWEST: Final = 1 << 10
HIGHEST: Final = ONE - LOWEST


class Estimate(NamedTuple):
    """A propensity without noise and its deviation, in units of 2^-30, and the sums behind the action."""

    noiseless: int
    deviation: int
    evidence: int
    positives: int


def smoothed(count: Count, strength: int, prior: int) -> int:
    """The propensity of one level, in units of 2^-30."""
    return ((count.positives << 46) + strength * prior) // ((count.trials << 16) + strength)


def deviation(noiseless: int, evidence: int) -> int:
    """The deviation of the exploration term: isqrt(p (1 - p) / (evidence + 1)), in units of 2^-30."""
    return isqrt(noiseless * (ONE - noiseless) // (evidence + 1))


def explored(estimate: Estimate, normal: int, budget: int) -> int:
    """The propensity with its exploration term, clamped. `normal` is at 2^-20, `budget` at 2^-16."""
    noise = (((normal * budget) >> 16) * estimate.deviation) >> 20
    return clamped(estimate.noiseless + noise)


def clamped(propensity: int) -> int:
    """Within [2^-20, 1 - 2^-20]."""
    return min(max(propensity, LOWEST), HIGHEST)


class Estimator:
    """The estimates of one snapshot under one specification: a pure function that remembers what it computed."""

    def __init__(self, specification: Specification, snapshot: Snapshot) -> None:
        self._specification = specification
        self._counts = snapshot.counts
        self._known: dict[tuple[str, str], Estimate] = {}
        self._models, self._groups, self._actions = _totals(specification, snapshot)

    def estimate(self, action: Action, channel: str) -> Estimate:
        """What this snapshot sees for an action with a model."""
        found = self._known.get((action.id, channel))
        if found is None:
            found = self._known[action.id, channel] = self._compute(action, channel)
        return found

    def positives(self, action: Action) -> int:
        """Positive outcomes of an action, on all channels."""
        return self._actions.get((action.model or "", action.id), NOTHING).positives

    def _compute(self, action: Action, channel: str) -> Estimate:
        model = self._specification.models[action.model or ""]
        total = self._actions.get((model.id, action.id), NOTHING)
        here = self._counts.get(Key(model.id, action.id, channel), NOTHING)
        own = smoothed(total, model.action_strength, self._prior(model, action.group))
        noiseless = clamped(smoothed(here, model.action_strength, own))
        return Estimate(noiseless, deviation(noiseless, total.trials), total.trials, total.positives)

    def _prior(self, model: Model, group: str) -> int:
        everywhere = smoothed(self._models.get(model.id, NOTHING), model.global_strength, model.base_rate)
        return smoothed(self._groups.get((model.id, group), NOTHING), model.group_strength, everywhere)


Totals = tuple[dict[str, Count], dict[tuple[str, str], Count], dict[tuple[str, str], Count]]


def _totals(specification: Specification, snapshot: Snapshot) -> Totals:
    """Sums per model, per (model, group) of the bundle, and per (model, action)."""
    models: dict[str, Count] = {}
    groups: dict[tuple[str, str], Count] = {}
    actions: dict[tuple[str, str], Count] = {}
    for (model, action, _), count in snapshot.counts.items():
        models[model] = plus(models.get(model, NOTHING), count)
        actions[model, action] = plus(actions.get((model, action), NOTHING), count)
        known = specification.actions.get(action)
        if known is not None:
            groups[model, known.group] = plus(groups.get((model, known.group), NOTHING), count)
    return models, groups, actions
