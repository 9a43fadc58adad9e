"""Rank: a pure function of query, specification and snapshot (ranking.md sections 3 and 5 to 8).

Every candidate is valued on its own, so the set and the order of candidates change nobody's propensity or priority; then
the arm orders them, and the slate is filled. Arms reorder or leave out, they never let in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from ranking_service.domain import context, noise
from ranking_service.domain.arbitration import ONE, order_key, priority
from ranking_service.domain.propensity import Estimator, explored
from ranking_service.domain.query import (
    EPSILON,
    MODEL_KILLED,
    NO_MODEL,
    PRIOR_ONLY,
    RAMP,
    SNAPSHOT_STALE,
    Query,
    Ranked,
    Score,
)
from ranking_service.domain.slate import Entry, Slate
from ranking_service.domain.snapshot import Snapshot
from ranking_service.domain.specification import Action, ArmOrder, Exploration, Placement, Specification
from servicekit.errors import Invalid

LEARNING_ARMS: Final = frozenset({"full", "no_lever", "propensity_only"})
"""Arms that order by the models: only these explore and ramp."""
OTHER_FACTORS: Final = frozenset({"no_lever", "propensity_only", "random_propensity"})
"""Arms that value by other factors than `full`."""


class Considered(NamedTuple):
    """A candidate with its score in the arm, and what the slate needs."""

    entry: Entry
    score: Score
    admitted: bool


def rank(query: Query, specification: Specification, snapshot: Snapshot, estimator: Estimator) -> Ranked:
    """The slate, the reserves and every score. Raises Invalid when the query names what the bundle does not have."""
    ranking = _Ranking(query, specification, snapshot, estimator)
    ordered = ranking.ordered()
    slate, explored_actions = ranking.filled(ordered)
    entries = [each.entry for each in ordered if each.admitted]
    return Ranked(
        arm=ranking.arm,
        slate=slate.placed(),
        reserves=slate.reserve(entries),
        scores=tuple([_marked(each.score, explored_actions) for each in ordered]),
        flags=(SNAPSHOT_STALE,) if snapshot.is_stale(query.now_ms) else (),
    )


def arm_of(query: Query, specification: Specification) -> ArmOrder:
    """The order that the query's experiments ask for: a holdout's before others, `full` unless one says otherwise."""
    for experiment, name in query.arms.items():
        if name not in specification.arms.get(experiment, {}):
            raise Invalid("The bundle has no such experiment or arm.", field="arms", reason="UNKNOWN_ARM")
    asked = (specification.arms[name][query.arms[name]] for name in specification.arms if name in query.arms)
    return next((order for order in asked if order != "full"), "full")


class _Ranking:
    """One query at work: what all candidates share."""

    def __init__(self, query: Query, specification: Specification, snapshot: Snapshot, estimator: Estimator) -> None:
        self._query = query
        self._specification = specification
        self._snapshot = snapshot
        self._estimator = estimator
        self._key = noise.decision_key(query.decision_id, snapshot.digest_bytes, query.seed)
        self._weights = context.Weights(specification, query)
        self.arm = arm_of(query, specification)

    def ordered(self) -> list[Considered]:
        """All candidates, those that take part first, each part in the arm's order."""
        considered = [self._consider(candidate.action, candidate.placements) for candidate in self._query.candidates]
        first = self._order()
        return sorted(considered, key=lambda each: (not each.admitted, first(each)))

    def filled(self, ordered: Sequence[Considered]) -> tuple[Slate, frozenset[str]]:
        """The slate, and the actions that exploration put first: mandatory ones, then those, then the rest."""
        placements = [each for each in self._specification.placements.values() if each.id in self._query.placements]
        slate = Slate(placements, {each.id: self._limit(each) for each in placements})
        entries = [each.entry for each in ordered if each.admitted]
        slate.fill(entry for entry in entries if entry.action.mandatory)
        optional = [entry for entry in entries if not entry.action.mandatory]
        chosen = frozenset(self._explore(slate, placements, optional) if self._explores() else ())
        slate.fill(optional)
        return slate, chosen

    def _limit(self, placement: Placement) -> int:
        return min(self._query.placements[placement.id] or placement.max_items, placement.max_items)

    def _consider(self, action_id: str, placements: frozenset[str]) -> Considered:
        action = self._specification.actions[action_id]
        score = self._score(action)
        entry = Entry(action, placements, score.priority)
        admitted = self._admits(action)
        if not admitted and self.arm in LEARNING_ARMS:
            score = score._replace(flags=(*score.flags, RAMP))
        return Considered(entry, self._in_arm(score) if self.arm in OTHER_FACTORS else score, admitted)

    def _score(self, action: Action) -> Score:
        propensity, noiseless, evidence, flags = self._propensity(action)
        weight = self._weights.of(action)
        worth = priority(propensity / ONE, action.value, weight, action.lever)
        return Score(action.id, propensity, noiseless, evidence, weight, action.value, action.lever, worth, flags)

    def _propensity(self, action: Action) -> tuple[int, int, int, tuple[str, ...]]:
        """Propensity, propensity without noise, evidence and flags."""
        if action.model is None:
            return action.default, action.default, 0, (NO_MODEL,)
        if action.model in self._query.killed:
            return action.default, action.default, 0, (MODEL_KILLED,)
        estimate = self._estimator.estimate(action, self._query.channel)
        normal = noise.normal(self._key, action.id, self._snapshot.normal_table)
        found = explored(estimate, normal, self._snapshot.budget(action.group))
        return found, estimate.noiseless, estimate.evidence, () if estimate.evidence else (PRIOR_ONLY,)

    def _in_arm(self, score: Score) -> Score:
        """The score with the factors that the arm uses, which is one of `OTHER_FACTORS`."""
        if self.arm == "no_lever":
            score = score._replace(lever=1.0)
        elif self.arm == "propensity_only":
            score = score._replace(context_weight=1.0, value=1.0, lever=1.0)
        else:
            score = score._replace(propensity=noise.draw(self._key, "propensity", score.action) >> 34)
        worth = priority(score.propensity / ONE, score.value, score.context_weight, score.lever)
        return score._replace(priority=worth)

    def _order(self) -> Callable[[Considered], tuple[bool, float, str, str]]:
        """The sort key of the arm; mandatory ones come first in each."""
        if self.arm == "random":
            return lambda each: self._keyed(each, float(noise.draw(self._key, "random", each.score.action) >> 11))
        if self.arm in {"universal", "eligibility_only"}:
            static = self._specification.static_order
            return lambda each: self._keyed(each, float(static.get(each.score.action, len(static))))
        return lambda each: self._keyed(each, -each.score.priority)

    @staticmethod
    def _keyed(each: Considered, ascending: float) -> tuple[bool, float, str, str]:
        return order_key(mandatory=each.entry.action.mandatory, priority=-ascending, action=each.score.action)

    def _admits(self, action: Action) -> bool:
        if action.mandatory:
            return True
        if self.arm == "universal":
            return not action.selling
        return self.arm not in LEARNING_ARMS or not action.ramped or self._is_drawn(action)

    def _is_drawn(self, action: Action) -> bool:
        """Whether a new action takes part in this decision: 2 % of them at first, all once it has 200 positives."""
        if action.model is None:
            return True
        share = ramp_share(self._specification.exploration, self._estimator.positives(action))
        return noise.draw(self._key, "ramp", action.id) < share

    def _explores(self) -> bool:
        threshold = self._specification.exploration.epsilon * noise.WHOLE // 10_000
        return self.arm in LEARNING_ARMS and noise.draw(self._key, "epsilon") < threshold

    def _explore(self, slate: Slate, placements: Iterable[Placement], optional: Sequence[Entry]) -> list[str]:
        """Give each untouched placement a uniformly drawn entry; what was placed."""
        chosen = []
        for placement in placements:
            fitting = [each for each in optional if slate.is_untouched(placement) and slate.fits(each, placement)]
            if fitting:
                entry = min(fitting, key=lambda each: self._epsilon_draw(placement, each))
                slate.take(entry, placement)
                chosen.append(entry.action.id)
        return chosen

    def _epsilon_draw(self, placement: Placement, entry: Entry) -> tuple[int, str]:
        return noise.draw(self._key, "epsilon", f"{placement.id}\x00{entry.action.id}"), entry.action.id


def ramp_share(exploration: Exploration, positives: int) -> int:
    """The share of decisions that an action takes part in, as a fraction of 2^64."""
    grown, full = min(positives, exploration.ramp_positives), exploration.ramp_positives
    floor = exploration.ramp_floor
    return noise.WHOLE * (floor * full + (10_000 - floor) * grown) // (10_000 * full)


def _marked(score: Score, explored_actions: frozenset[str]) -> Score:
    return score._replace(flags=(*score.flags, EPSILON)) if score.action in explored_actions else score
