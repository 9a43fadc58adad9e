"""From a bundle to what ranking needs of it. Everything that could be wrong with a bundle is checked when it is proposed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import floor
from typing import TYPE_CHECKING

from catalog.attributes import attribute_table
from catalog.expression import Expression, attributes, evaluate, parse
from catalog.values import Missing, ValueType, conform
from ranking_service.domain.arbitration import factor, units
from ranking_service.domain.specification import (
    NO_DEFAULT,
    Action,
    ArmOrder,
    Attribution,
    ContextRule,
    Exploration,
    Model,
    Placement,
    Readings,
    Specification,
)

if TYPE_CHECKING:
    from decimal import Decimal

    from catalog.attributes import Table
    from catalog.model.actions import Action as BundleAction
    from catalog.model.bank import Placement as BundlePlacement
    from catalog.model.bundle import Bundle
    from catalog.model.policies import Scope
    from catalog.model.ranking import ContextWeight, Experiment, RankingModel


def specification(digest: str, bundle: Bundle) -> Specification:
    """Ranking's part of the bundle of this digest."""
    table = attribute_table(bundle)
    exploration = bundle.ranking.exploration
    return Specification(
        digest=digest,
        actions={action.id: _action(action, bundle) for action in bundle.actions},
        placements={placement.id: _placement(placement) for placement in bundle.placements},
        models={model.id: _model(model) for model in bundle.ranking.models},
        rules=tuple(_rule(weight, bundle, table) for weight in bundle.ranking.context_weights),
        exploration=Exploration(exploration.epsilon, exploration.ramp_floor, exploration.ramp_positives),
        static_order={action: place for place, action in enumerate(bundle.ranking.static_order)},
        arms=_arms(bundle.experiments),
        categories={name: frozenset(info.categories) for name, info in table.items()},
    )


def covers(scope: Scope, action: BundleAction) -> bool:
    """Whether a scope means this action."""
    return (
        scope.all_
        or action.issue in scope.issue
        or action.group in scope.group
        or action.id in scope.action
        or action.kind in scope.kind
        or not set(action.tags).isdisjoint(scope.tag)
    )


def _action(action: BundleAction, bundle: Bundle) -> Action:
    levers = bundle.ranking.levers
    return Action(
        id=action.id,
        issue=action.issue,
        group=action.group,
        purpose=action.purpose,
        selling=action.selling,
        mandatory=action.mandatory,
        ramped=action.kind in bundle.ranking.exploration.kinds,
        exclusive=frozenset(action.exclusive),
        value=float(action.worth),
        lever=factor((levers.issue.get(action.issue, 0), levers.group.get(action.group, 0), action.lever)),
        default=NO_DEFAULT if action.default_propensity is None else units(action.default_propensity),
        model=action.model or _model_of(action, bundle.ranking.models),
        attribution=Attribution(action.attribution.outcome, action.attribution.window),
    )


def _model_of(action: BundleAction, models: Iterable[RankingModel]) -> str | None:
    """The first model whose scope covers the action."""
    return next((model.id for model in models if covers(model.actions, action)), None)


def _placement(placement: BundlePlacement) -> Placement:
    least = placement.min_priority
    return Placement(
        id=placement.id,
        max_items=placement.max_items,
        max_per_group=placement.max_per_group,
        max_per_issue=placement.max_per_issue,
        min_priority=None if least is None else float(least),
    )


def _model(model: RankingModel) -> Model:
    return Model(
        id=model.id,
        base_rate=units(model.base_rate),
        global_strength=_strength(model.shrinkage.global_),
        group_strength=_strength(model.shrinkage.group),
        action_strength=_strength(model.shrinkage.action),
    )


def _strength(number: Decimal) -> int:
    """In units of 2^-16, and never nothing: without outcomes the prior alone speaks."""
    return max(1, floor(Fraction(number) * (1 << 16)))


def _rule(weight: ContextWeight, bundle: Bundle, table: Table) -> ContextRule:
    types = {name: info.type for name, info in table.items()}
    expression = parse(weight.when, types)
    return ContextRule(
        id=weight.id,
        percent=weight.percent,
        actions=frozenset(action.id for action in bundle.actions if covers(weight.scope, action)),
        reads=attributes(expression),
        holds=_Condition(expression, types),
    )


class _Condition:
    """The reference evaluator on one expression; unknown is not enough."""

    def __init__(self, expression: Expression, types: Mapping[str, ValueType]) -> None:
        self._expression = expression
        self._types = types

    def __call__(self, readings: Readings) -> bool:
        return evaluate(self._expression, lambda name: self._value(name, readings)) is True

    def _value(self, name: str, readings: Readings) -> int | bool | str | frozenset[str] | Missing:
        if name not in readings:
            return Missing.UNKNOWN
        return conform(readings[name], self._types[name])


def _arms(experiments: Iterable[Experiment]) -> dict[str, dict[str, ArmOrder]]:
    holdouts_first = sorted(experiments, key=lambda experiment: not experiment.holdout)
    return {experiment.id: {arm.name: arm.order for arm in experiment.arms} for experiment in holdouts_first}
