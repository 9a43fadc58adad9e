"""Arms are functions of experiment and subject: stable, uniform, independent."""

from __future__ import annotations

from collections import Counter

import pytest
from orchestration_fakes import a_request, bundle

from orchestration_service.domain.experiments import arm, bucket

SHARES = (("a", 5000), ("b", 2500), ("c", 1500), ("d", 1000))
MANY = 20_000
# The chi-square of 3 degrees of freedom exceeds this once in a million.
BOUND = 31.8


def counts(experiment: str) -> Counter:
    return Counter(arm(experiment, f"subject-{n}", SHARES) for n in range(MANY))


@pytest.mark.parametrize("experiment", ["warm_tone", "personalization_holdout", "x"])
def test_arms_come_in_their_shares(experiment):
    found = counts(experiment)

    assert sum((found[name] - MANY * s / 10_000) ** 2 / (MANY * s / 10_000) for name, s in SHARES) < BOUND


def test_buckets_are_uniform():
    found = Counter(bucket("x", f"subject-{n}") // 2500 for n in range(MANY))

    assert sum((found[n] - MANY / 4) ** 2 / (MANY / 4) for n in range(4)) < BOUND


def test_experiments_are_independent_of_each_other():
    both = Counter((bucket("x", f"s{n}") // 5000, bucket("y", f"s{n}") // 5000) for n in range(MANY))

    assert sum((both[pair] - MANY / 4) ** 2 / (MANY / 4) for pair in ((0, 0), (0, 1), (1, 0), (1, 1))) < BOUND


def test_an_arm_never_changes():
    # Written down: whoever changes the hash moves customers between arms.
    assert [bucket("warm_tone", name) for name in ("s1", "s2", "s3")] == [204, 9361, 5135]


def test_shares_that_do_not_add_up_are_refused():
    with pytest.raises(ValueError, match="10,000"):
        arm("x", "s", [("a", 0)])


async def test_the_arm_is_recorded_even_where_it_changes_nothing(world):
    await world.decider().decide(a_request(), caller="app")

    assert set(world.recorder.last().arms) == {experiment.id for experiment in bundle().experiments}


async def test_the_arm_is_the_same_on_every_channel(world):
    for channel in ("mobile", "web"):
        await world.decider().decide(a_request(channel=channel), caller="app")
    first, second = (type(world.recorder.last()).FromString(data) for data in world.recorder.records)

    assert dict(first.arms) == dict(second.arms)


async def test_nobody_is_in_an_experiment_without_a_subject(world):
    world.unknown = {"4711"}
    await world.decider().decide(a_request(), caller="app")

    assert not world.recorder.last().arms
