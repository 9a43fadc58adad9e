"""The root is a function of the leaves, however it is computed; and any change of them changes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_building import DATA, LEAVES, Vast, mth, refused, same

from tlog import EMPTY_ROOT, CompactRange, leaf_hash, leaf_hashes, node_hash, root_of

SIZES = st.integers(0, len(LEAVES))
VAST_SIZES = st.one_of(
    st.integers(1, (1 << 64) - 1),
    st.sampled_from([63, 64]).flatmap(lambda bit: st.integers(-3, 2).map(lambda off: (1 << bit) - 3 + off)),
)


@given(size=SIZES)
def test_the_root_is_that_of_the_recursion(size):
    assert root_of(LEAVES[:size]) == mth(LEAVES[:size])


@given(cuts=st.lists(SIZES, max_size=8))
def test_one_by_one_in_batches_and_rebuilt_agree(cuts):
    batched = CompactRange.empty()
    for size in sorted(cuts):
        batched.extend(LEAVES[batched.size : size])
        single = CompactRange.empty()
        for each in LEAVES[:size]:
            single.append(each)

        assert batched == single
        assert batched.root() == root_of(LEAVES[:size])
        assert CompactRange.of(size, batched.hashes) == batched


@given(size=VAST_SIZES, added=st.integers(1, 20))
def test_appending_to_a_vast_tree_agrees_with_its_nodes(size, added):
    size = min(size, (1 << 64) - 1 - added)
    kept = CompactRange.of(size, Vast(size).frontier(size))

    one_by_one = kept.copy()
    for at in range(added):
        one_by_one.append(Vast.SAME if at else Vast.OTHER)
    kept.extend([Vast.OTHER, *[Vast.SAME] * (added - 1)])

    assert kept == one_by_one
    assert kept.hashes == tuple(Vast(size).frontier(size + added))


def test_a_tree_of_two_to_the_63_has_one_hash():
    kept = CompactRange.of((1 << 63) - 1, Vast(1 << 63).frontier((1 << 63) - 1)).append(Vast.SAME)

    assert (kept.size, kept.hashes, kept.root()) == (1 << 63, (same(63),), same(63))


def test_a_tree_cannot_grow_beyond_64_bits():
    full = CompactRange.of((1 << 64) - 1, [bytes(32)] * 64)
    before = full.copy()

    with refused("BAD_SIZE"):
        full.append(LEAVES[0])
    with refused("BAD_SIZE"):
        full.extend(LEAVES[:1])
    assert full == before


def test_a_refused_batch_changes_nothing():
    kept = CompactRange.empty().extend(LEAVES[:5])
    before = kept.copy()

    with refused("BAD_INPUT"):
        kept.extend([LEAVES[5], b"short"])
    with refused("BAD_INPUT"):
        kept.append(b"short")
    assert kept == before


@given(size=st.integers(1, 40), data=st.data())
def test_any_change_deletion_reorder_or_truncation_changes_the_root(size, data):
    entries = DATA[:size]
    index = data.draw(st.integers(0, size - 1))
    altered = {
        "change": [*entries[:index], entries[index] + b"!", *entries[index + 1 :]],
        "deletion": [*entries[:index], *entries[index + 1 :]],
        "insertion": [*entries[:index], b"new", *entries[index:]],
        "repetition": [*entries, entries[-1]],
        "truncation": entries[:index],
    }
    if index:
        altered["reorder"] = [*entries[: index - 1], entries[index], entries[index - 1], *entries[index + 1 :]]
    root = root_of(leaf_hashes(entries))

    assert [name for name, other in altered.items() if root_of(leaf_hashes(other)) == root] == []


@given(start=st.integers(0, 60), stop=st.integers(0, 60))
def test_a_range_of_leaves_is_audited_from_the_frontier_before_it(start, stop):
    start, stop = sorted((start, stop))
    frontier = CompactRange.of(start, CompactRange.empty().extend(LEAVES[:start]).hashes)

    assert frontier.extend(leaf_hashes(DATA[start:stop])).root() == mth(LEAVES[:stop])


def test_a_node_is_no_leaf():
    left, right = LEAVES[:2]

    assert leaf_hash(left + right) != node_hash(left, right)


def test_nothing_is_the_empty_tree():
    assert root_of([]) == CompactRange.empty().root() == EMPTY_ROOT


@pytest.mark.parametrize(
    "given",
    [
        lambda: leaf_hash("text"),
        lambda: leaf_hash(bytearray(3)),
        lambda: leaf_hashes([b"a", "b"]),
        lambda: leaf_hashes(None),
        lambda: node_hash(bytes(32), bytes(31)),
        lambda: node_hash(bytes(33), bytes(32)),
        lambda: root_of([bytes(32), bytes(31)]),
        lambda: root_of([bytes(32), "x" * 32]),
        lambda: root_of(bytes(64)),
        lambda: root_of(7),
        lambda: CompactRange.of(1, ["x" * 32]),
        lambda: CompactRange.of(1, [bytes(64)]),
    ],
)
def test_what_is_no_hash_is_refused(given):
    with refused("BAD_INPUT"):
        given()


@pytest.mark.parametrize(
    ("size", "count"), [(0, 1), (1, 0), (2, 2), (3, 1), (True, 1), (-1, 1), (1 << 64, 1), (1.0, 1), ("1", 1), (None, 0)]
)
def test_a_range_has_as_many_hashes_as_its_size_has_one_bits(size, count):
    with refused("BAD_SIZE"):
        CompactRange.of(size, [bytes(32)] * count)
