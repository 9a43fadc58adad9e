"""The laws of Rank: hypothesis looks for a bundle, a snapshot and a query that break one."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking_service.domain.arbitration import ONE
from ranking_service.domain.counts import Count, Key
from ranking_service.domain.query import Candidate
from ranking_service.domain.rank import LEARNING_ARMS, ramp_share
from ranking_service.domain.slate import RESERVES
from ranking_service.domain.specification import ContextRule, Exploration
from servicekit.errors import Invalid

NAMES = [f"a{number}" for number in range(12)]
ARMS = ("full", "universal", "random", "random_propensity", "no_lever", "propensity_only", "eligibility_only")


@st.composite
def worlds(draw):
    """A specification and a snapshot, as keyword arguments for `build`."""
    actions = [
        {
            "name": name,
            "group": draw(st.sampled_from(["cards", "loans"])),
            "issue": draw(st.sampled_from(["sales", "service"])),
            "selling": draw(st.booleans()),
            "mandatory": draw(st.sampled_from([False, False, False, True])),
            "ramped": draw(st.booleans()),
            "exclusive": frozenset(draw(st.sets(st.sampled_from(["x", "y"]), max_size=1))),
            "value": draw(st.floats(0, 1000)),
            "lever": draw(st.sampled_from([0.0, 0.5, 1.0, 1.55, 10.0])),
            "model": draw(st.sampled_from([None, "m"])),
        }
        for name in NAMES[: draw(st.integers(1, len(NAMES)))]
    ]
    placements = [
        {
            "name": name,
            "max_items": draw(st.integers(1, 4)),
            "max_per_group": draw(st.sampled_from([None, 1, 2])),
            "max_per_issue": draw(st.sampled_from([None, 1])),
            "min_priority": draw(st.sampled_from([None, 0.5, 50.0])),
        }
        for name in ("hero", "feed", "push")
    ]
    counts = {
        Key("m", each["name"], "mobile"): Count(trials, draw(st.integers(0, trials)))
        for each in actions
        if (trials := draw(st.sampled_from([0, 3, 500])))
    }
    epsilon = draw(st.sampled_from([0, 100, 10_000]))
    wanted = {each["name"]: draw(st.sets(st.sampled_from(["hero", "feed", "push"]))) for each in actions}
    seed = draw(st.integers(0, 2**64 - 1))
    return actions, placements, counts, epsilon, wanted, seed, draw(st.sampled_from(ARMS))


def build(make, world):
    actions, placements, counts, epsilon, wanted, seed, arm = world
    spec = make.specification(
        [make.action(**each) for each in actions],
        [make.placement(**each) for each in placements],
        exploration=Exploration(epsilon=epsilon),
        static_order={"a3": 0, "a1": 1},
    )
    candidates = tuple(Candidate(name, frozenset(places)) for name, places in wanted.items())
    query = make.query(spec, candidates=candidates, seed=seed, arms={"holdout": arm})
    return spec, make.snapshot(counts), query


@settings(max_examples=150, deadline=None)
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_nothing(make, world, random):
    spec, snapshot, query = build(make, world)
    shuffled = list(query.candidates)
    random.shuffle(shuffled)
    placements = list(query.placements.items())
    random.shuffle(placements)
    other = replace(query, candidates=tuple(shuffled), placements=dict(placements))

    assert make.rank(spec, snapshot, query=query) == make.rank(spec, snapshot, query=other)


@settings(max_examples=150, deadline=None)
@given(worlds(), st.data())
def test_removing_candidates_changes_nobody_elses_numbers(make, world, data):
    spec, snapshot, query = build(make, world)
    kept = data.draw(st.sets(st.sampled_from(query.candidates)))
    fewer = replace(query, candidates=tuple(each for each in query.candidates if each in kept))
    before = {score.action: score._replace(flags=()) for score in make.rank(spec, snapshot, query=query).scores}
    after = {score.action: score._replace(flags=()) for score in make.rank(spec, snapshot, query=fewer).scores}

    assert after == {name: before[name] for name in after}


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_slate_and_reserves_keep_every_rule_together(make, world):
    spec, snapshot, query = build(make, world)
    ranked = make.rank(spec, snapshot, query=query)
    together = (*ranked.slate, *ranked.reserves)
    wanted = {candidate.action: candidate.placements for candidate in query.candidates}
    full = {score.action: score for score in make.rank(spec, snapshot, query=replace(query, arms={})).scores}
    tags = [tag for placed in together for tag in spec.actions[placed.action].exclusive]

    assert len({placed.action for placed in together}) == len(together)
    assert len(set(tags)) == len(tags)
    for placed in together:
        assert placed.placement in wanted[placed.action]
        least = spec.placements[placed.placement].min_priority
        assert spec.actions[placed.action].mandatory or least is None or full[placed.action].priority >= least
    for placement in spec.placements.values():
        here = [spec.actions[placed.action] for placed in together if placed.placement == placement.id]
        for limit, of in ((placement.max_per_group, "group"), (placement.max_per_issue, "issue")):
            values = [getattr(action, of) for action in here]
            assert limit is None or all(values.count(value) <= limit for value in values)
        assert sum(placed.placement == placement.id for placed in ranked.slate) <= placement.max_items
        assert sum(placed.placement == placement.id for placed in ranked.reserves) <= RESERVES
        assert [placed.slot for placed in together if placed.placement == placement.id] == list(range(1, len(here) + 1))


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_no_other_action_takes_a_mandatory_ones_place(make, world):
    spec, snapshot, query = build(make, world)
    placed = {each.action: each for each in make.rank(spec, snapshot, query=query).slate}
    alone = tuple(each for each in query.candidates if spec.actions[each.action].mandatory)
    by_themselves = make.rank(spec, snapshot, query=replace(query, candidates=alone)).slate

    assert {each.action: each for each in by_themselves} == {
        each.action: placed.get(each.action) for each in by_themselves
    }


@settings(max_examples=200, deadline=None)
@given(worlds())
def test_an_arm_never_lets_anything_in(make, world):
    spec, snapshot, query = build(make, world)
    ranked = make.rank(spec, snapshot, query=query)
    names = {candidate.action for candidate in query.candidates}

    assert {score.action for score in ranked.scores} == names
    assert {placed.action for placed in (*ranked.slate, *ranked.reserves)} <= names
    if ranked.arm == "universal":
        assert not any(
            spec.actions[each.action].selling and not spec.actions[each.action].mandatory for each in ranked.slate
        )
    if ranked.arm not in LEARNING_ARMS:
        assert not any({"RAMP", "EPSILON"} & set(score.flags) for score in ranked.scores)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_equal_queries_get_equal_answers(make, world):
    spec, snapshot, query = build(make, world)

    assert make.rank(spec, snapshot, query=query) == make.rank(spec, snapshot, query=query)


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sampled_from(NAMES))
def test_raising_a_lever_never_lowers_an_action(make, world, name):
    spec, snapshot, query = build(make, (*world[:-1], "full"))
    if name not in spec.actions:
        return
    raised = replace(spec.actions[name], lever=spec.actions[name].lever + 1)
    higher = replace(spec, actions={**spec.actions, name: raised})
    place = {spec_: [each.action for each in make.rank(spec_value, snapshot, query=query).scores].index(name)
             for spec_, spec_value in (("before", spec), ("after", higher))}  # fmt: skip

    assert place["after"] <= place["before"]


def test_a_mandatory_action_is_not_displaced_by_an_exclusive_tag_of_an_earlier_placement(make):
    shared = frozenset({"card"})
    spec = make.specification(
        [make.action("offer", exclusive=shared, value=99.0), make.action("notice", exclusive=shared, mandatory=True)],
        [make.placement("hero"), make.placement("feed")],
    )
    candidates = (Candidate("offer", frozenset({"hero"})), Candidate("notice", frozenset({"feed"})))

    slate = make.rank(spec, candidates=candidates).slate

    assert [(each.placement, each.action) for each in slate] == [("feed", "notice")]


def test_a_killed_model_falls_back_to_the_default_propensity(make):
    spec = make.specification([make.action("a", model="m", default=ONE // 8)])
    [score] = make.rank(spec, make.snapshot({Key("m", "a", "mobile"): Count(9, 9)}), killed=frozenset({"m"})).scores

    assert (score.propensity, score.noiseless, score.flags) == (ONE // 8, ONE // 8, ("MODEL_KILLED",))


def test_flags_say_where_a_propensity_comes_from(make):
    spec = make.specification([make.action("none"), make.action("prior", model="m"), make.action("known", model="m")])
    scores = make.rank(spec, make.snapshot({Key("m", "known", "web"): Count(5, 1)})).scores

    assert {score.action: score.flags for score in scores} == {
        "none": ("NO_MODEL",), "prior": ("PRIOR_ONLY",), "known": (),
    }  # fmt: skip


def test_an_old_snapshot_is_flagged(make):
    spec = make.specification([make.action("a")])
    two_hours = 2 * 3_600_000

    assert make.rank(spec, now_ms=make.NOW + two_hours).flags == ()
    assert make.rank(spec, now_ms=make.NOW + two_hours + 1).flags == ("SNAPSHOT_STALE",)


def share_of(make, spec, snapshot, tested, decisions=2000):
    answers = (make.rank(spec, snapshot, decision_id=f"d{number}") for number in range(decisions))
    return sum(tested(answer) for answer in answers) / decisions


def test_a_new_action_takes_part_in_two_percent_of_decisions_and_more_as_it_succeeds(make):
    spec = make.specification([make.action("a", model="m", ramped=True)])

    def placed(answer):
        return bool(answer.slate)

    half = make.snapshot({Key("m", "a", "mobile"): Count(1000, 100)})
    full = make.snapshot({Key("m", "a", "mobile"): Count(1000, 200)})

    assert abs(share_of(make, spec, make.snapshot(), placed) - 0.02) < 4 * (0.02 * 0.98 / 2000) ** 0.5
    assert abs(share_of(make, spec, half, placed) - 0.51) < 4 * (0.25 / 2000) ** 0.5
    assert share_of(make, spec, full, placed) == 1


def test_the_ramp_share_is_exact_at_both_ends():
    assert ramp_share(Exploration(), 0) == 2**64 * 200 // 10_000
    assert ramp_share(Exploration(), 200) == ramp_share(Exploration(), 10**9) == 2**64


def test_the_epsilon_floor_gives_every_candidate_the_first_slot_equally(make):
    actions = [make.action(name, value=value) for name, value in (("a", 9.0), ("b", 5.0), ("c", 1.0))]
    always = make.specification(actions, [make.placement("home")], exploration=Exploration(epsilon=10_000))

    for name in "abc":
        share = share_of(make, always, make.snapshot(), lambda answer, name=name: answer.slate[0].action == name, 1500)
        assert abs(share - 1 / 3) < 4 * (2 / 9 / 1500) ** 0.5


def test_the_first_slot_is_explored_in_one_percent_of_decisions(make):
    spec = make.specification([make.action("a", value=9.0), make.action("b")], [make.placement("home")])
    share = share_of(
        make, spec, make.snapshot(), lambda answer: any("EPSILON" in each.flags for each in answer.scores), 6000
    )

    assert abs(share - 0.01) < 4 * (0.01 * 0.99 / 6000) ** 0.5


def test_the_random_arm_is_uniform(make):
    spec = make.specification(
        [make.action("a", value=100.0), make.action("b"), make.action("c")], [make.placement("home")]
    )

    def first(answer):
        return answer.slate[0].action == "c"

    answers = [make.rank(spec, decision_id=f"d{n}", arms={"holdout": "random"}) for n in range(2000)]

    assert abs(sum(map(first, answers)) / 2000 - 1 / 3) < 4 * (2 / 9 / 2000) ** 0.5


@pytest.mark.parametrize(
    ("arm", "expected"),
    [
        ("full", (100.0, 2.0, 0.5)), ("no_lever", (100.0, 1.0, 0.5)), ("propensity_only", (1.0, 1.0, 0.5)),
        ("eligibility_only", (100.0, 2.0, 0.5)),
    ],
)  # fmt: skip
def test_an_arm_uses_its_own_factors(make, arm, expected):
    spec = make.specification([make.action("a", value=100.0, lever=2.0)])
    [score] = make.rank(spec, arms={"holdout": arm}).scores

    assert (score.value, score.lever, score.propensity / ONE) == expected


def test_the_static_order_ignores_priorities(make):
    spec = make.specification(
        [make.action("a", value=100.0), make.action("b"), make.action("c")], static_order={"c": 0, "a": 1}
    )
    scores = make.rank(spec, arms={"holdout": "eligibility_only"}).scores

    assert [score.action for score in scores] == ["c", "a", "b"]


def test_a_holdout_decides_before_another_experiment(make):
    spec = make.specification(
        [make.action("a")], arms={"holdout": {"out": "universal", "in": "full"}, "x": {"b": "no_lever"}}
    )

    assert make.rank(spec, arms={"x": "b", "holdout": "out"}).arm == "universal"
    assert make.rank(spec, arms={"x": "b", "holdout": "in"}).arm == "no_lever"
    assert make.rank(spec).arm == "full"
    with pytest.raises(Invalid):
        make.rank(spec, arms={"x": "nobody"})


def rule(reads="view.balance", percent=50, actions=("a", "b")):
    return ContextRule("rich", percent, frozenset(actions), frozenset({reads}), lambda seen: seen.get(reads) == 7)


def test_a_rule_sees_only_what_the_basis_lets_the_purpose_see(make):
    spec = make.specification(
        [make.action("a", purpose="offers"), make.action("b", purpose="assistance")],
        rules=(rule(),),
        categories={"view.balance": frozenset({"holding"})},
    )
    scores = make.rank(
        spec,
        readings={"view.balance": 7},
        allowed={"offers": frozenset({"holding"}), "assistance": frozenset({"behaviour"})},
    ).scores

    assert {score.action: score.context_weight for score in scores} == {"a": 1.5, "b": 1.0}


def test_days_since_shown_are_of_the_action_itself(make):
    spec = make.specification(
        [make.action("a"), make.action("b")],
        rules=(rule("contact.days_since_shown"),),
        categories={"contact.days_since_shown": frozenset({"interaction"})},
    )
    day = 86_400_000
    scores = make.rank(
        spec,
        last_shown={"a": make.NOW - 7 * day - 5, "b": make.NOW - 8 * day},
        allowed={"offers": frozenset({"interaction"})},
    ).scores

    assert {score.action: score.context_weight for score in scores} == {"a": 1.5, "b": 1.0}
