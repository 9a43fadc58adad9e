"""The laws of the fold: order, repeats, batches and merges do not matter."""

from __future__ import annotations

import copy
import json

from hypothesis import given
from hypothesis import strategies as st

from profile_service.domain.facts import Fact
from profile_service.domain.fold import Row, add, folded, fresh, touched, union

from .strategies import fact_sets


def in_batches(facts: list[Fact], size: int) -> dict[int, Row]:
    """As the service does it: what is known is remembered, rows travel as JSON between batches."""
    rows: dict[int, Row] = {}
    known: set[bytes] = set()
    for start in range(0, len(facts), size):
        for fact in fresh(facts[start : start + size], known):
            add(rows, fact)
            known.add(fact.key)
        rows = {number: json.loads(json.dumps(row)) for number, row in rows.items()}
    return rows


@given(st.data(), fact_sets())
def test_the_order_of_arrival_does_not_matter(data, facts):
    shuffled = data.draw(st.permutations(facts))

    assert folded(shuffled) == folded(facts)


@given(st.data(), fact_sets())
def test_repeats_are_harmless(data, facts):
    repeats = data.draw(st.lists(st.sampled_from(facts), max_size=8)) if facts else []
    size = data.draw(st.integers(1, 5))

    assert in_batches([*facts, *repeats], size) == folded(facts)


@given(st.data(), fact_sets())
def test_how_events_are_batched_does_not_matter(data, facts):
    assert in_batches(facts, data.draw(st.integers(1, 13))) == folded(facts)


@given(st.data(), fact_sets(max_size=16))
def test_a_merged_subjects_fold_is_the_fold_of_the_union(data, facts):
    owners = data.draw(st.lists(st.sampled_from("abc"), min_size=len(facts), max_size=len(facts)))
    parts = [folded(f for f, owner in zip(facts, owners, strict=True) if owner == name) for name in "abc"]
    merged: dict[int, Row] = {}
    for part in data.draw(st.permutations(parts)):
        union(merged, part)

    assert normal(merged) == normal(folded(facts))


@given(fact_sets(), fact_sets())
def test_merging_changes_neither_side(one, two):
    left, right = folded(one), folded(two)
    before = copy.deepcopy(right)

    union(left, right)
    for fact in one:
        add(left, fact)

    assert right == before


@given(fact_sets())
def test_only_the_rows_that_a_fact_says_it_touches_change(facts):
    for fact in facts:
        assert set(folded([fact])) == set(touched(fact))


def normal(rows: dict[int, Row]) -> dict[int, Row]:
    """Rows without anything in them say nothing."""
    return {number: row for number, row in rows.items() if row}
