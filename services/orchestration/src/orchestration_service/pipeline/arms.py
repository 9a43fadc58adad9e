"""The arms of a subject: by hash, for the audience of each experiment, recorded even where they change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from catalog.expression import evaluate
from catalog.values import Missing, Value, conform
from orchestration_service.domain.experiments import arm
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.facts import facts_of
from servicekit.values import plain


def arms_of(draft: Draft) -> Mapping[str, str]:
    """Arms by experiment; nobody is in an experiment without a subject."""
    if not draft.subject_id:
        return {}
    audiences, lookup = facts_of(draft.bundle).audiences, partial(_lookup, draft)
    return {
        experiment.id: arm(experiment.id, draft.subject_id, [(arm.name, arm.share) for arm in experiment.arms])
        for experiment in draft.bundle.experiments
        if experiment.id not in audiences or evaluate(audiences[experiment.id], lookup) is True
    }


def _lookup(draft: Draft, name: str) -> Value | Missing:
    """What is known of an attribute; unknown is not in the audience."""
    if name == "context.channel":
        return draft.request.channel
    values = [attribute.value for attribute in draft.request.context.attributes if attribute.name == name]
    if not values and draft.view:
        values = [field.value for field in draft.view.fields if field.attribute == name]
    return conform(plain(values[-1]), draft.bundle.types[name]) if values else Missing.UNKNOWN


def variants_of(draft: Draft) -> Mapping[str, str]:
    """Variants of treatments by action, as the arms choose them."""
    chosen = {
        experiment.id: next(a for a in experiment.arms if a.name == draft.arms[experiment.id])
        for experiment in draft.bundle.experiments
        if experiment.id in draft.arms
    }
    return {action: variant for arm in chosen.values() for action, variant in arm.variants.items()}
