"""Ranking, experiments and golden cases: what they name exists, and no prohibited basis moves an order."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from catalog.checks.base import Context
from catalog.checks.policies import check_scope, guard
from catalog.findings import Finding
from catalog.model import Action, Experiment, RankingFeature, RankingModel
from catalog.source import Path
from catalog.values import conform

MOST_COLUMNS = 32
MOST_PREDICTORS = 256
HIGHEST = 1_000


def check_ranking(context: Context) -> Iterator[Finding]:
    """Features read declared attributes, models their features; levers and weights stay between 0 and 10."""
    ranking = context.bundle.ranking
    for index, feature in enumerate(ranking.features):
        yield from _feature(context, feature, ("ranking", "features", index))
    for index, model in enumerate(ranking.models):
        yield from _model(context, model, ("ranking", "models", index))
    for index, weight in enumerate(ranking.context_weights):
        path: Path = ("ranking", "context_weights", index)
        yield from check_scope(context, weight.scope, *path, "scope")
        expression, faults = context.parsed(weight.when, *path, "when")
        yield from faults
        if expression:
            yield from guard(context, expression, weight.id, *path, "when")
    for index, action in enumerate(context.bundle.actions):
        yield from _lever(context, action, index)


def check_static_order(context: Context) -> Iterator[Finding]:
    """The static order names every action once: it decides when ranking is down."""
    order = context.bundle.ranking.static_order
    yield from context.all_known("action", order, context.bundle.action, "ranking", "static_order")
    for name in sorted(set(context.bundle.action) - set(order)):
        message = f"{name} has no place in the static order"
        yield context.warning("STATIC_ORDER", message, "add it; it comes last now", "ranking", "static_order")
    if len(set(order)) != len(order):
        message = "the static order names an action twice"
        yield context.error("DUPLICATE_ID", message, "keep one", "ranking", "static_order")


def check_experiments(context: Context) -> Iterator[Finding]:
    """Arms have names of their own, name declared variants, and an audience that may be known."""
    for index, experiment in enumerate(context.bundle.experiments):
        yield from _experiment(context, experiment, ("experiments", index))


def check_cases(context: Context) -> Iterator[Finding]:
    """Golden cases name what exists, with values of the declared types; names are unique."""
    seen: set[str] = set()
    for index, case in enumerate(context.bundle.cases):
        path: Path = ("cases", index)
        if case.name in seen:
            yield context.error("DUPLICATE_ID", f"case {case.name!r} is there twice", "rename one", *path, "name")
        seen.add(case.name)
        yield from _case_names(context, index)
        yield from _case_values(context, index)


def _feature(context: Context, feature: RankingFeature, path: Path) -> Iterator[Finding]:
    info = context.bundle.table.get(feature.source)
    yield from context.unknown("attribute", feature.source, context.bundle.table, *path, "from")
    if info and info.tags:
        message = f"{feature.id} reads {feature.source}, a prohibited basis"
        yield context.error("PROHIBITED_ATTRIBUTE", message, "use another attribute", *path, "from")
    if feature.scale <= 0:
        yield context.error("SIZE", f"{feature.id} is scaled by nothing", "set scale above 0", *path, "scale")
    numeric = feature.transform.kind in {"linear", "log2", "bins"}
    if info and numeric != info.type.numeric and info.type.kind != "bool":
        message = f"{feature.transform.kind} does not fit {feature.source}, a {info.type.kind}"
        yield context.error("TYPE", message, "choose another transform", *path, "transform")
    for text in (feature.reason.up, feature.reason.down) if feature.reason else ():
        for locale, texts in context.texts.items():
            yield from context.unknown(f"text ({locale})", text, texts.messages, *path, "reason")


def _model(context: Context, model: RankingModel, path: Path) -> Iterator[Finding]:
    features = {feature.id: feature for feature in context.bundle.ranking.features}
    yield from context.all_known("feature", model.features, features, *path, "features")
    yield from check_scope(context, model.actions, *path, "actions")
    used = [features[name] for name in model.features if name in features]
    columns = sum(feature.transform.columns + feature.missing_column for feature in used)
    if model.kind == "linear" and columns > MOST_COLUMNS:
        yield context.error(
            "SIZE", f"{model.id} has {columns} columns of {MOST_COLUMNS}", "drop some", *path, "features"
        )
    if model.kind == "nb" and len(used) > MOST_PREDICTORS:
        yield context.error("SIZE", f"{model.id} has {len(used)} predictors", "drop some", *path, "features")
    if not 0 < model.base_rate < 1:
        yield context.error("SIZE", f"{model.id}: base_rate is a probability", "between 0 and 1", *path, "base_rate")
    if min(model.shrinkage.global_, model.shrinkage.group, model.shrinkage.action) < 1:
        yield context.error("SIZE", f"{model.id}: lambda is at least 1", "raise it", *path, "lambda")


def _lever(context: Context, action: Action, index: int) -> Iterator[Finding]:
    levers = context.bundle.ranking.levers
    percent = 100 + levers.issue.get(action.issue, 0) + levers.group.get(action.group, 0) + action.lever
    weights = [weight.percent for weight in context.bundle.ranking.context_weights if weight.scope.covers(action)]
    heaviest = 100 + sum(weight for weight in weights if weight > 0)
    lightest = 100 + sum(weight for weight in weights if weight < 0)
    if not 0 <= percent <= HIGHEST or heaviest > HIGHEST or lightest < 0:
        message = f"{action.id} is levered or weighted outside 0 to 10"
        yield context.error("LEVER", message, "lower its levers or weights", "actions", index)
    propensity = action.default_propensity
    if propensity is not None and not 0 <= propensity <= 1:
        yield context.error("SIZE", f"{action.id}: a propensity is between 0 and 1", "correct it", "actions", index)
    if action.worth < Decimal(0):
        yield context.error("SIZE", f"{action.id} has a negative value", "use 0 or more", "actions", index, "value")


def _experiment(context: Context, experiment: Experiment, path: Path) -> Iterator[Finding]:
    names = [arm.name for arm in experiment.arms]
    if len(set(names)) != len(names):
        yield context.error("DUPLICATE_ID", f"{experiment.id} names an arm twice", "rename one", *path, "arms")
    for place, arm in enumerate(experiment.arms):
        for name, variant in arm.variants.items():
            yield from context.unknown("action", name, context.bundle.action, *path, "arms", place, "variants", name)
            action = context.bundle.action.get(name)
            variants = {treatment.variant for treatment in action.treatments} if action else set()
            if action and variant not in variants:
                message = f"{name} has no variant {variant}"
                yield context.error("UNKNOWN_REFERENCE", message, "add a treatment of it", *path, "arms", place)
    if experiment.audience is not None:
        expression, faults = context.parsed(experiment.audience, *path, "audience")
        yield from faults
        if expression:
            yield from guard(context, expression, experiment.id, *path, "audience")


def _case_names(context: Context, index: int) -> Iterator[Finding]:
    bundle, path = context.bundle, ("cases", index)
    case = bundle.cases[index]
    yield from context.unknown("channel", case.given.channel, bundle.channel, *path, "given", "channel")
    yield from context.all_known("placement", case.given.placements, bundle.placement, *path, "given", "placements")
    yield from context.all_known("purpose", sorted(case.given.basis), bundle.purpose, *path, "given", "basis")
    yield from context.all_known("signal", [s.id for s in case.given.signals], bundle.signal, *path, "given", "signals")
    yield from context.all_known("action", case.given.killed, bundle.action, *path, "given", "killed")
    yield from context.all_known("action", case.expect.survive, bundle.action, *path, "expect", "survive")
    yield from context.all_known("action", sorted(case.expect.reject), bundle.action, *path, "expect", "reject")


def _case_values(context: Context, index: int) -> Iterator[Finding]:
    given = context.bundle.cases[index].given
    for section in ("view", "context"):
        for name, value in getattr(given, section).items():
            path: Path = ("cases", index, "given", section, name)
            yield from context.unknown("attribute", name, context.bundle.table, *path)
            info = context.bundle.table.get(name)
            if info and not isinstance(conform(value, info.type), int | str | frozenset):
                yield context.error("TYPE", f"{name} is a {info.type.kind}", "write a value of that type", *path)
