"""The arms of a subject: by hash, for the audience of each experiment, recorded even where they change nothing."""

from __future__ import annotations

from collections.abc import Mapping

from catalog.expression import evaluate
from catalog.model import Experiment
from catalog.values import Missing, Value, conform
from orchestration_service.domain.experiments import arm
from orchestration_service.pipeline.draft import Draft
from servicekit.values import plain


def arms_of(draft: Draft) -> Mapping[str, str]:
    """Arms by experiment; nobody is in an experiment without a subject."""
    if not draft.subject_id:
        return {}
    return {
        experiment.id: arm(experiment.id, draft.subject_id, [(arm.name, arm.share) for arm in experiment.arms])
        for experiment in draft.bundle.experiments
        if _in_audience(experiment, draft)
    }


def _in_audience(experiment: Experiment, draft: Draft) -> bool:
    """Unknown is not in the audience."""
    if experiment.audience is None:
        return True
    return evaluate(draft.bundle.expression(experiment.audience), lambda name: _lookup(name, draft)) is True


def _lookup(name: str, draft: Draft) -> Value | Missing:
    if name == "context.channel":
        return draft.request.channel
    fields = draft.view.fields if draft.view else ()
    values = {field.attribute: field.value for field in fields}
    values |= {attribute.name: attribute.value for attribute in draft.request.context.attributes}
    return conform(plain(values[name]), draft.bundle.types[name]) if name in values else Missing.UNKNOWN


def variants_of(draft: Draft) -> Mapping[str, str]:
    """Variants of treatments by action, as the arms choose them."""
    chosen = {
        experiment.id: next(a for a in experiment.arms if a.name == draft.arms[experiment.id])
        for experiment in draft.bundle.experiments
        if experiment.id in draft.arms
    }
    return {action: variant for arm in chosen.values() for action, variant in arm.variants.items()}
