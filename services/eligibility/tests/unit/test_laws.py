"""What must hold for every customer of the example bank, and the engine beside the naive reference (N8, I1, I2, I3)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eligibility_builders import DAY, HARBOUR, NOON, asked, engine, evaluated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.frozen import FrozenMap
from catalog.loading import load_bundle
from catalog.model import Bundle, Given
from catalog.reference import evaluate_reference
from eligibility_service.domain.evaluation import evaluate_request
from eligibility_service.domain.policy import Policy
from eligibility_service.domain.request import Seen

BUNDLE = load_bundle(HARBOUR)
POLICY = Policy(BUNDLE)
CASES = BUNDLE.cases
slow = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def a_value(info):
    """Anything of the type, near the figures that rules name, and now and then of another type."""
    by_kind = {
        "bool": st.booleans(),
        "enum": st.sampled_from(info.type.values or ("x",)),
        "set": st.lists(st.sampled_from(info.type.values or ("x",)), unique=True, max_size=4).map(tuple),
        "string": st.sampled_from(["Europe/Berlin", "kyc", "document_upload", "x"]),
    }
    cuts = [-1, 0, 1, 2, 5, 10, 17, 18, 20, 30, 500, 519, 520, 4000, 10_000, 20_000, 100_000, 200_000, 1_000_000]
    return by_kind.get(info.type.kind, st.sampled_from(cuts) | st.integers(-(1 << 40), 1 << 40))


READABLE = {
    name: info for name, info in BUNDLE.table.items() if name.startswith(("view.", "context.")) and name not in
    {"context.channel", "context.jurisdictions", "view.time_zone"}
}  # fmt: skip
REAL_PURPOSES = {purpose.id: purpose.categories for purpose in BUNDLE.purposes}


def bases():
    """Each purpose with some of its categories, some without."""
    return st.fixed_dictionaries(
        {},
        optional={
            name: st.lists(st.sampled_from(found), unique=True).map(tuple) for name, found in REAL_PURPOSES.items()
        },
    ) | st.just(dict(REAL_PURPOSES))


def pauses():
    policy = st.sampled_from(BUNDLE.contact_policies)
    key = st.sampled_from(["all", *{k for a in BUNDLE.actions for k in (a.id, a.group, a.issue)}])
    return st.lists(
        st.builds(
            lambda p, k, end: {"policy": p.id, "key": k, "until": NOON + end}, policy, key, st.sampled_from([-1, 0, 1])
        ),
        max_size=4,
    )


def some(names, build):
    return st.fixed_dictionaries({}, optional={name: build(info) for name, info in names.items()})


def moments():
    """Requests of all kinds, as golden cases write them; at noon, because the reference keeps no change of the clock."""
    views = {name: info for name, info in READABLE.items() if name.startswith("view.")}
    contexts = {name: info for name, info in READABLE.items() if name.startswith("context.")}
    usual = {
        "view.vulnerability": (),
        "view.kyc_state": "verified",
        "view.age_years": 40,
        "view.holdings": ("current",),
    }
    return st.builds(
        lambda view, strange, **rest: Given.model_validate({"now": NOON, "view": {**usual, **view, **strange}, **rest}),
        some(views, a_value),
        st.fixed_dictionaries({}, optional={"view.balance": st.just("poor"), "view.holdings": st.just("x"), "view.age_years": st.booleans()}),
        context=some(contexts, a_value),
        basis=bases(),
        channel=st.sampled_from(sorted(BUNDLE.channel)),
        placements=st.lists(st.sampled_from(sorted(BUNDLE.placement)), unique=True, max_size=3),
        jurisdictions=st.sampled_from([[], ["EU"], ["DE"], ["US"], ["CH", "FR"]]),
        signals=st.lists(
            st.builds(lambda name, n: {"id": name, **({"strength": n} if n else {})}, st.sampled_from(sorted(BUNDLE.signal)), st.integers(0, 3)),
            max_size=3, unique_by=lambda one: one["id"],
        ),
        signals_fresh=st.sampled_from([True, True, True, False]),
        contact=st.fixed_dictionaries(
            {"pauses": pauses()},
            optional={"counts": st.just([{"limit": "one_marketing_mail_a_week", "used": 1}]), "last_shown": st.just([])},
        ),
        killed=st.lists(st.sampled_from(sorted(BUNDLE.action)), max_size=2),
        unavailable=st.lists(st.sampled_from(["profile", "signals", "contact"]), unique=True, max_size=1),
    )  # fmt: skip


@slow
@given(moments())
def test_the_engine_says_what_the_naive_reference_says(moment):
    ours, theirs = engine(BUNDLE, moment), evaluate_reference(BUNDLE, moment)

    assert (ours.survivors, ours.rejected) == (theirs.survivors, theirs.rejected)


@slow
@given(moments(), st.data())
def test_taking_consent_back_never_adds_a_survivor(moment, data):
    """Rules that pass or look for what is missing are left out: they are the declared exception."""
    bundle = with_rules(BUNDLE, [r for r in BUNDLE.rules if r.missing == "fail" and "missing" not in str(r.require)])
    basis = dict(moment.basis)
    if not basis:
        return
    purpose = data.draw(st.sampled_from(sorted(basis)))
    kept = data.draw(
        st.lists(st.sampled_from(basis[purpose]), unique=True).map(tuple) if basis[purpose] else st.just(())
    )
    less = {**basis, purpose: kept} if data.draw(st.booleans()) else {p: c for p, c in basis.items() if p != purpose}

    fewer = moment.model_copy(update={"basis": FrozenMap(less)})
    assert surviving(bundle, fewer) <= surviving(bundle, moment)


@slow
@given(moments(), st.sampled_from(["signals", "contact", "fresh"]))
def test_with_signals_or_contact_away_the_survivors_are_a_subset(moment, lost):
    there = replace(asked(BUNDLE, moment), unavailable=frozenset(), signals_fresh=True, signals={})
    away = replace(there, signals_fresh=False) if lost == "fresh" else replace(there, unavailable=frozenset({lost}))

    assert names(evaluate_request(POLICY, away)) <= names(evaluate_request(POLICY, there))


@slow
@given(moments(), st.randoms(use_true_random=False))
def test_the_order_of_rules_never_matters(moment, random):
    shuffled = with_rules(BUNDLE, random.sample(BUNDLE.rules, len(BUNDLE.rules)))

    assert evaluated(shuffled, asked(shuffled, moment)) == evaluate_request(POLICY, asked(BUNDLE, moment))


@slow
@given(moments(), st.sampled_from(BUNDLE.rules))
def test_removing_a_rule_never_removes_a_survivor(moment, rule):
    without = with_rules(BUNDLE, [each for each in BUNDLE.rules if each is not rule])

    assert surviving(without, moment) >= surviving(BUNDLE, moment)


@slow
@given(moments())
def test_evaluating_again_gives_the_same_and_no_rejection_is_without_a_reason(moment):
    found = evaluate_request(POLICY, asked(BUNDLE, moment))

    assert evaluate_request(POLICY, asked(BUNDLE, moment)) == found
    assert all(each.reasons for each in found.rejected)
    assert not names(found) & {each.action for each in found.rejected}


@slow
@given(moments(), st.integers(0, 800))
def test_nothing_survives_because_what_is_known_grew_old_unless_a_rule_passes_or_looks_for_what_is_missing(
    moment, days
):
    bundle = with_rules(BUNDLE, [r for r in BUNDLE.rules if r.missing == "fail" and "missing" not in str(r.require)])
    request = asked(bundle, moment)
    older = {name: Seen(seen.value, NOON - days * DAY) for name, seen in request.view.items()}

    assert names(evaluated(bundle, replace(request, view=older))) <= names(evaluated(bundle, request))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_engine_and_reference_agree_on_every_golden_case(case):
    ours, theirs = engine(BUNDLE, case.given), evaluate_reference(BUNDLE, case.given)

    assert (ours.survivors, ours.rejected) == (theirs.survivors, theirs.rejected)


def with_rules(bundle: Bundle, rules) -> Bundle:
    return bundle.model_copy(update={"rules": tuple(rules)})


def names(found):
    return {each.action for each in found.survivors}


def surviving(bundle, moment):
    return names(evaluated(bundle, asked(bundle, moment)))
