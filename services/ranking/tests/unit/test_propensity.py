"""Propensities from counts."""

from hypothesis import given
from hypothesis import strategies as st

from ranking_service.domain.arbitration import ONE
from ranking_service.domain.counts import Count, Key
from ranking_service.domain.propensity import HIGHEST, LOWEST, Estimate, Estimator, deviation, explored, smoothed

COUNTS = st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)).map(lambda pair: Count(max(pair), min(pair)))


def test_without_outcomes_the_prior_speaks():
    assert smoothed(Count(0, 0), 10 << 16, 123456) == 123456


def test_one_success_moves_the_prior_by_one_in_one_plus_strength():
    assert smoothed(Count(1, 1), 9 << 16, 0) == ONE // 10


@given(COUNTS, st.integers(1, 1 << 40), st.integers(0, ONE))
def test_a_propensity_lies_between_prior_and_rate(count, strength, prior):
    found = smoothed(count, strength, prior)
    rate = count.positives * ONE // count.trials if count.trials else prior

    assert min(prior, rate) - 1 <= found <= max(prior, rate) + 1


@given(COUNTS, st.integers(0, ONE))
def test_a_success_never_lowers_a_propensity(count, prior):
    more = Count(count.trials, min(count.trials, count.positives + 1))

    assert smoothed(more, 10 << 16, prior) >= smoothed(count, 10 << 16, prior)


@given(st.integers(LOWEST, HIGHEST), st.integers(0, 10**9), st.integers(-4028556, 4028556), st.integers(0, 1 << 16))
def test_the_exploration_term_is_clamped_and_vanishes_without_budget(p, evidence, normal, budget):
    estimate = Estimate(p, deviation(p, evidence), evidence, 0)

    assert LOWEST <= explored(estimate, normal, budget) <= HIGHEST
    assert explored(estimate, normal, 0) == p


def test_the_exploration_term_is_the_formula_of_the_manual():
    p, evidence, z, m = ONE // 4, 99, 1 << 20, 1 << 16  # one deviation up: sqrt(3/16 / 100)
    found = explored(Estimate(p, deviation(p, evidence), evidence, 0), z, m)

    assert abs(found / ONE - (0.25 + (0.1875 / 100) ** 0.5)) < 2**-29


def test_an_action_nobody_saw_is_taken_for_its_group(make):
    spec = make.specification(
        [make.action("seen", model="m"), make.action("new", model="m"), make.action("other", group="loans", model="m")]
    )
    counts = {Key("m", "seen", "mobile"): Count(1000, 500)}
    estimator = Estimator(spec, make.snapshot(counts))
    new = estimator.estimate(spec.actions["new"], "mobile")
    other = estimator.estimate(spec.actions["other"], "mobile")

    assert new.evidence == 0
    assert other.noiseless < new.noiseless < estimator.estimate(spec.actions["seen"], "mobile").noiseless


def test_a_channel_with_its_own_outcomes_gets_its_own_propensity(make):
    spec = make.specification([make.action("a", model="m")])
    counts = {Key("m", "a", "mobile"): Count(1000, 500), Key("m", "a", "web"): Count(1000, 10)}
    estimator = Estimator(spec, make.snapshot(counts))
    action = spec.actions["a"]

    assert estimator.estimate(action, "web").noiseless < estimator.estimate(action, "chat").noiseless
    assert estimator.estimate(action, "chat").noiseless < estimator.estimate(action, "mobile").noiseless
    assert estimator.estimate(action, "web").evidence == 2000
