"""Answers on the wire are those that would be written field by field."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eligibility_builders import HARBOUR, NOON, asked, evaluated

from assent.catalog.v1.value_pb2 import IdSet, Money, Value
from assent.eligibility.v1 import eligibility_service_pb2 as pb
from assent.profile.v1.profile_service_pb2 import ViewField
from catalog.loading import load_bundle
from catalog.values import Missing
from eligibility_service.domain import request
from eligibility_service.domain.evaluation import Evaluation, Rejected
from eligibility_service.domain.reasons import Reason
from eligibility_service.translation import from_evaluation, to_request

BUNDLE = load_bundle(HARBOUR)


def a_value(seen):
    if seen is None or isinstance(seen, Missing):
        return None
    if isinstance(seen, frozenset):
        return Value(set=IdSet(ids=sorted(seen)))
    return Value(**{{bool: "boolean", int: "integer", str: "text"}[type(seen)]: seen})


def field_by_field(found):
    return pb.EvaluateResponse(
        bundle_digest="d",
        survivors=[
            pb.Survivor(action=s.action, placements=s.placements, needs_reservation=s.needs_reservation)
            for s in found.survivors
        ],
        rejected=[
            pb.Rejected(
                action=each.action,
                stage=each.stage,
                reasons=[
                    pb.Reason(
                        stage=r.stage, rule=r.rule, code=r.code, attribute=r.attribute, seen=a_value(r.seen), needed=r.needed,
                        missing=r.missing, disclose=r.disclose, text=r.text,
                    )
                    for r in each.reasons
                ],
            )
            for each in found.rejected
        ],
        stage_counts=[pb.StageCount(stage=stage, removed=removed) for stage, removed in found.stage_counts],
    )  # fmt: skip


@pytest.mark.parametrize("case", BUNDLE.cases, ids=lambda case: case.name)
def test_every_golden_case_is_answered_as_if_written_field_by_field(case):
    found = evaluated(BUNDLE, asked(BUNDLE, case.given))

    for _ in range(2):
        assert from_evaluation("d", found).SerializeToString() == field_by_field(found).SerializeToString()


@pytest.mark.parametrize("seen", [True, 1, False, 0, "", "x", frozenset(), frozenset({"b", "a"}), None, Missing.STALE])
def test_what_was_seen_leaves_in_its_own_type_whatever_was_answered_before(seen):
    reason = Reason("suitability", "a.rule", "A_RULE", "text", "staff", "view.x", None, "eq 1")
    for other in (1, True, 0, False, seen):
        found = Evaluation((), (Rejected("card", (replace(reason, seen=other),) * 2),))

        assert from_evaluation("d", found) == field_by_field(found)


def test_a_view_that_is_read_late_is_the_view_that_came():
    fields = {
        "view.a": Value(money=Money(amount_minor=5, currency="EUR")),
        "view.b": Value(set=IdSet(ids=["x", "y"])),
        "view.c": Value(boolean=False),
        "view.d": Value(integer=0),
        "view.e": Value(text=""),
        "view.f": Value(),
    }
    view = [ViewField(attribute=name, value=value, as_of_ms=NOON) for name, value in fields.items()]
    found = to_request(pb.EvaluateRequest(now_ms=NOON, channel="mobile", view=view), None).view

    raw = [request.Money(5, "EUR"), frozenset({"x", "y"}), False, 0, "", None]
    assert dict(found) == {name: request.Seen(value, NOON) for name, value in zip(fields, raw, strict=True)}
    assert found.get("view.z") is None
    assert len(found) == len(fields)
