"""Labels are functions of sets; the ledger in memory keeps the laws that PostgreSQL is held to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranking_service.domain.counts import Count, Key
from ranking_service.domain.learning import Label, Outcome, change, label, may_learn
from ranking_service.domain.specification import Attribution

HOUR = Attribution("click", 3_600_000)
SHOWN = Outcome("i", "impression", 1000)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], None),
        ([Outcome("c", "click", 1500)], None),
        ([SHOWN], Label(0, positive=False)),
        ([SHOWN, Outcome("c", "click", 1500)], Label(0, positive=True)),
        ([SHOWN, Outcome("c", "click", 1000 + 3_600_000)], Label(0, positive=True)),
        ([SHOWN, Outcome("c", "click", 1001 + 3_600_000)], Label(0, positive=False)),
        ([SHOWN, Outcome("c", "click", 999)], Label(0, positive=False)),
        ([SHOWN, Outcome("c", "dismiss", 1500)], Label(0, positive=False)),
        ([SHOWN, Outcome("c", "click", 1500), Outcome("x", "dismiss", 1500, "c")], Label(0, positive=False)),
        ([SHOWN, Outcome("x", "click", 1500, "i")], None),
        ([SHOWN, Outcome("j", "impression", 700_000_000)], Label(0, positive=False)),
        ([Outcome("j", "impression", 700_000_000)], Label(1, positive=False)),
    ],
)
def test_a_label_is_what_the_outcomes_say_together(outcomes, expected):
    assert label(outcomes, HOUR) == label(outcomes[::-1], HOUR) == expected


def test_a_change_takes_the_old_contribution_back():
    key = Key("m", "a", "mobile")
    found = change(key, Label(1, positive=False), Label(2, positive=True))

    assert [(each.week, each.sums) for each in found] == [(1, Count(-1, 0)), (2, Count(1, 1))]
    assert change(key, Label(1, positive=True), Label(1, positive=True)) == ()


def test_learning_needs_its_purpose_for_what_the_subject_did():
    assert may_learn({"learning": frozenset({"interaction", "behaviour"})})
    assert not may_learn({"learning": frozenset({"behaviour"})})
    assert not may_learn({"offers": frozenset({"interaction"})})


KINDS = ("impression", "click", "dismiss")
FACTS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(KINDS), st.sampled_from("ab"), st.integers(0, 5), st.integers(-1, 9)),
    max_size=25,
)


def history(make, facts):
    """Decisions of two subjects and outcomes, some of which correct others."""
    decisions = [make.decision(f"d{number}", subject=f"s{number % 2}", actions=("a", "b")) for number in range(5)]
    outcomes = [
        make.outcome(
            f"o{number}", f"d{decision}", kind, action=action, subject=f"s{decision % 2}", at=make.NOW + at,
            replaces=f"o{replaced}" if replaced >= 0 else "",
        )
        for number, (decision, kind, action, at, replaced) in enumerate(facts)
    ]  # fmt: skip
    return decisions, outcomes


async def told(ledger, steps):
    for step in steps:
        if hasattr(step, "outcome"):
            await ledger.learn_outcomes([step])
        else:
            await ledger.learn_decisions([step])
    return await ledger.counts()


@settings(max_examples=100, deadline=None)
@given(FACTS, st.randoms(use_true_random=False))
async def test_any_order_and_repetition_teaches_the_same(make, memory_learner, facts, random):
    decisions, outcomes = history(make, facts)
    expected = await told(memory_learner(), [*decisions, *outcomes])
    steps = [*decisions, *outcomes, *random.choices([*decisions, *outcomes], k=5)]
    random.shuffle(steps)

    assert await told(memory_learner(), steps) == expected


@settings(max_examples=100, deadline=None)
@given(FACTS, st.randoms(use_true_random=False))
async def test_a_forgotten_subject_was_never_learned(make, memory_learner, facts, random):
    decisions, outcomes = history(make, facts)
    steps = [*decisions, *outcomes]
    random.shuffle(steps)
    never = [step for step in steps if step.subject_id != "s1"]
    expected = await told(memory_learner(), never)
    ledger = memory_learner()
    cut = random.randint(0, len(steps))
    await told(ledger, steps[:cut])
    await ledger.forget("s1", ledger_index=99, now_ms=make.NOW)

    assert await told(ledger, steps[cut:]) == expected
