"""Every proof that a plan makes verifies, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tlog_building import LEAVES, Vast, mth, path, proof, refused, same

from tlog import (
    CompactRange,
    ProofError,
    consistency_plan,
    inclusion_plan,
    root_from_inclusion,
    verify_consistency,
    verify_inclusion,
)

MAX = (1 << 64) - 1
NEAR = st.sampled_from([1 << 62, 1 << 63, 1 << 64]).flatmap(
    lambda power: st.integers(-70, 70).map(lambda off: power + off)
)
VAST = st.one_of(NEAR, st.integers(1, MAX)).filter(lambda size: size <= MAX)


def rejected(check, *arguments) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return True
    return False


def altered_lists(hashes, data):
    """Every kind of change to a list of hashes: bit, truncate, extend, swap."""
    yield [*hashes, bytes(32)]
    yield [bytes(32), *hashes]
    yield [*hashes, b""]
    if hashes:
        at = data.draw(st.integers(0, len(hashes) - 1))
        yield hashes[:-1]
        yield hashes[1:]
        yield [*hashes[:at], hashes[at], *hashes[at:]]
        yield [*hashes[:at], flipped(hashes[at], data), *hashes[at + 1 :]]
        yield [*hashes[:at], hashes[at][:-1], *hashes[at + 1 :]]
        yield [*hashes[:at], hashes[at] + b"\0", *hashes[at + 1 :]]
        yield hashes[::-1] if hashes[::-1] != hashes else [*hashes, hashes[0]]


def flipped(each: bytes, data) -> bytes:
    bit = data.draw(st.integers(0, 255))
    return (int.from_bytes(each, "big") ^ 1 << bit).to_bytes(32, "big")


# Inclusion


@given(size=st.integers(1, len(LEAVES)), data=st.data())
def test_an_inclusion_proof_is_that_of_the_recursion_and_verifies(size, data):
    index = data.draw(st.integers(0, size - 1))
    plan = inclusion_plan(index, size)
    made = plan.proof([mth(LEAVES[at << level : at + 1 << level]) for level, at in plan.nodes])

    assert made == path(index, LEAVES[:size])
    verify_inclusion(LEAVES[index], index, size, made, mth(LEAVES[:size]))


@pytest.mark.parametrize("size", range(1, 34))
def test_no_other_index_or_size_of_a_small_tree_verifies(size):
    leaves, root = LEAVES[:size], mth(LEAVES[:size])
    for index in range(size):
        made = path(index, leaves)
        accepted = [
            (other_index, other_size)
            for other_size in range(40)
            for other_index in range(40)
            if not rejected(verify_inclusion, leaves[index], other_index, other_size, made, root)
        ]
        # A path says left or right at each level: sizes whose paths turn alike are told apart by the checkpoint alone.
        assert (index, size) in accepted
        assert {turns(other) for other in accepted} == {turns((index, size))}
        assert {index} >= {other_index for other_index, other_size in accepted if other_size == size}


def turns(place: tuple[int, int]) -> tuple[bool, ...]:
    """On which side the neighbours stand, from the leaf up."""
    index, size = place
    leaves = [number.to_bytes(32, "big") for number in range(size)]
    found, start, end = [], 0, len(leaves)
    while end - start > 1:
        middle = start + (1 << ((end - start - 1).bit_length() - 1))
        found.append(index < middle)
        start, end = (start, middle) if index < middle else (middle, end)
    return tuple(reversed(found))


@given(size=VAST, data=st.data())
def test_every_alteration_of_an_inclusion_proof_fails_at_any_size(size, data):
    index = data.draw(
        st.one_of(st.integers(0, size - 1), st.integers(0, min(size - 1, 9)).map(lambda off: size - 1 - off))
    )
    tree = Vast(index)
    plan = inclusion_plan(index, size)
    made = plan.proof(tree.fetch(plan.nodes))
    root = CompactRange.of(size, tree.frontier(size)).root()

    verify_inclusion(Vast.OTHER, index, size, made, root)
    for other in altered_lists(made, data):
        assert rejected(verify_inclusion, Vast.OTHER, index, size, other, root)
    for other in {index - 1, index + 1, index ^ 1, index ^ 2, index ^ 1 << data.draw(st.integers(0, 63))} - {index}:
        assert rejected(verify_inclusion, Vast.OTHER, other, size, made, root)
    assert rejected(verify_inclusion, Vast.SAME, index, size, made, root)
    assert rejected(verify_inclusion, Vast.OTHER, index, size, made, flipped(root, data))
    assert rejected(verify_inclusion, flipped(Vast.OTHER, data), index, size, made, root)
    assert root_from_inclusion(Vast.OTHER, index, size, made) == root


@pytest.mark.parametrize(
    ("index", "size"), [(0, 0), (1, 1), (2, 1), (8, 8), (MAX, MAX), (-1, 8), (True, 8), (1.0, 8), ("1", 8)]
)
def test_an_index_is_an_integer_below_the_size(index, size):
    with refused("BAD_INDEX"):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    with refused("BAD_INDEX"):
        inclusion_plan(index, size)


@pytest.mark.parametrize("size", [True, -1, 1 << 64, 1.0, "1", None])
def test_a_size_is_an_integer_of_64_bits(size):
    with refused("BAD_SIZE"):
        verify_inclusion(LEAVES[0], 0, size, [], LEAVES[0])
    with refused("BAD_SIZE"):
        verify_consistency(1, LEAVES[0], size, LEAVES[0], [])
    with refused("BAD_SIZE"):
        consistency_plan(size, 8)


@pytest.mark.parametrize("given", [None, 7, [None], ["x" * 32], [b"short"], [bytes(33)], [bytearray(32)]])
def test_a_proof_is_a_list_of_hashes(given):
    with refused("BAD_INPUT"):
        verify_inclusion(LEAVES[0], 0, 2, given, LEAVES[0])
    with refused("BAD_INPUT"):
        verify_consistency(1, LEAVES[0], 2, LEAVES[0], given)


def test_a_proof_has_exactly_its_length():
    with refused("BAD_PROOF_LENGTH"):
        verify_inclusion(LEAVES[0], 0, 1, [bytes(32)], LEAVES[0])
    with refused("BAD_PROOF_LENGTH"):
        verify_inclusion(LEAVES[0], 0, 2, [], LEAVES[0])
    with refused("BAD_PROOF_LENGTH"):
        verify_inclusion(LEAVES[0], 0, 2, [bytes(32)] * 100_000, LEAVES[0])


def test_a_plan_wants_a_hash_for_each_of_its_nodes():
    with refused("BAD_INPUT"):
        inclusion_plan(0, 8).proof([bytes(32)] * 2)


# Consistency


@given(size2=st.integers(1, len(LEAVES)), data=st.data())
def test_a_consistency_proof_is_that_of_the_recursion_and_verifies(size2, data):
    size1 = data.draw(st.integers(1, size2))
    plan = consistency_plan(size1, size2)
    made = plan.proof([mth(LEAVES[at << level : at + 1 << level]) for level, at in plan.nodes])

    assert made == proof(size1, LEAVES[:size2])
    verify_consistency(size1, mth(LEAVES[:size1]), size2, mth(LEAVES[:size2]), made)


@given(size2=st.integers(2, 120), data=st.data())
def test_no_proof_leads_across_a_fork(size2, data):
    size1 = data.draw(st.integers(1, size2))
    at = data.draw(st.integers(0, size1 - 1))
    fork = [*LEAVES[:at], LEAVES[-1], *LEAVES[at + 1 : size2]]
    root1, root2 = mth(LEAVES[:size1]), mth(fork)

    for made in (proof(size1, LEAVES[:size2]), proof(size1, fork)):
        assert rejected(verify_consistency, size1, root1, size2, root2, made)
        assert rejected(verify_consistency, size1, mth(fork[:size1]), size2, mth(LEAVES[:size2]), made)


@given(sizes=st.tuples(VAST, VAST), data=st.data())
def test_every_alteration_of_a_consistency_proof_fails_at_any_size(sizes, data):
    size1, size2 = sorted(sizes)
    assume(size1 < size2)
    tree = Vast(data.draw(st.integers(0, size1 - 1)))
    plan = consistency_plan(size1, size2)
    made = plan.proof(tree.fetch(plan.nodes))
    root1, root2 = (CompactRange.of(size, tree.frontier(size)).root() for size in (size1, size2))

    verify_consistency(size1, root1, size2, root2, made)
    for other in altered_lists(made, data):
        assert rejected(verify_consistency, size1, root1, size2, root2, other)
    for other in ([], [root1], [root2], [*made, root2]):
        assert other == made or rejected(verify_consistency, size1, root1, size2, root2, other)
    assert rejected(verify_consistency, size1, flipped(root1, data), size2, root2, made)
    assert rejected(verify_consistency, size1, root1, size2, flipped(root2, data), made)
    assert rejected(verify_consistency, size1, root2, size2, root1, made)
    assert rejected(verify_consistency, size2, root2, size1, root1, made)


def test_equal_sizes_need_equal_roots_and_no_proof():
    root = mth(LEAVES[:5])
    verify_consistency(5, root, 5, root, [])

    with refused("ROOT_MISMATCH"):
        verify_consistency(5, root, 5, mth(LEAVES[:6]), [])
    with refused("BAD_PROOF_LENGTH"):
        verify_consistency(5, root, 5, root, [root])


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 5), (5, 0), (2, 1), (MAX, MAX - 1), (True, 5), (-1, 5)])
def test_nothing_is_consistent_with_an_empty_or_a_shrunken_log(size1, size2):
    with refused("BAD_SIZE"):
        verify_consistency(size1, LEAVES[0], size2, LEAVES[0], [])
    with refused("BAD_SIZE"):
        consistency_plan(size1, size2)


def test_an_old_size_that_is_a_power_of_two_is_not_in_the_proof():
    size1, size2 = 1 << 63, MAX
    plan = consistency_plan(size1, size2)

    assert size1 not in {at << level for level, at in plan.nodes if level == 63}
    made = plan.proof([same(level) for level, _ in plan.nodes])
    verify_consistency(
        size1, same(63), size2, CompactRange.of(size2, [same(at) for at in reversed(range(64))]).root(), made
    )
    with refused("BAD_PROOF_LENGTH"):
        verify_consistency(size1, same(63), size2, same(63), [same(63), *made])
