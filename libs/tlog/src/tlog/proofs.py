"""Checking proofs, step by step as RFC 9162 sections 2.1.3.2 (inclusion) and 2.1.4.2 (consistency) do.

Walk from the leaf towards the root with two numbers: `fn`, where we are, and `sn`, the last node of our level. A
neighbour of the proof stands left of us when we are a right child or the lonely last node (which has risen levels
without a sibling), else right of us. At the root `sn` is 0.

The number of hashes follows from index and size alone, so it is checked first and exactly: below the level where the
paths of leaf and last leaf meet there is one neighbour per level, above it one per one-bit of the index. Consistency is
the same walk for the old tree's last leaf, which begins at the largest perfect subtree that ends there. When the old size
is a power of two that subtree is the old tree, whose root the verifier has and the proof leaves out.
"""

from __future__ import annotations

from collections.abc import Iterable

from tlog.errors import ProofError
from tlog.hashing import join, same_root
from tlog.plans import check_sizes
from tlog.strict import many_hashes, one_hash, uint64


def root_from_inclusion(leaf_hash: bytes, index: int, size: int, proof: Iterable[bytes]) -> bytes:
    """The root that the tree of `size` leaves must have, for the proof to show this leaf at `index`."""
    size, index = uint64(size, "BAD_SIZE", "size"), uint64(index, "BAD_INDEX", "index")
    if index >= size:
        raise ProofError("BAD_INDEX", "index is not below size")
    path = many_hashes(proof, "proof")
    _exact(path, _path_length(index, size - 1))
    root, fn, sn = one_hash(leaf_hash, "leaf hash"), index, size - 1
    for neighbour in path:
        if fn & 1 or fn == sn:
            root = join(neighbour, root)
            fn, sn = _risen(fn, sn)
        else:
            root = join(root, neighbour)
        fn, sn = fn >> 1, sn >> 1
    return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Iterable[bytes], root: bytes) -> None:
    """Raise ProofError unless the leaf is at `index` in the tree of `size` leaves with this root."""
    same_root(root_from_inclusion(leaf_hash, index, size, proof), root)


def verify_consistency(size1: int, root1: bytes, size2: int, root2: bytes, proof: Iterable[bytes]) -> None:
    """Raise ProofError unless the tree of `size1` leaves and `root1` is a prefix of that of `size2` and `root2`."""
    check_sizes(size1, size2)
    one_hash(root1, "root1")
    one_hash(root2, "root2")
    path = many_hashes(proof, "proof")
    if size1 == size2:
        _exact(path, 0)
        same_root(root1, root2, "root2")
        return
    levels = (size1 & -size1).bit_length() - 1
    is_perfect = size1 == 1 << levels
    _exact(path, _path_length((size1 - 1) >> levels, (size2 - 1) >> levels) + (not is_perfect))
    seed, *path = [root1, *path] if is_perfect else path
    old, new = _roots(seed, (size1 - 1) >> levels, (size2 - 1) >> levels, path)
    same_root(old, root1, "root1")
    same_root(new, root2, "root2")


def _roots(seed: bytes, fn: int, sn: int, path: list[bytes]) -> tuple[bytes, bytes]:
    """The roots of the old tree, built from the left neighbours alone, and of the new one."""
    old = new = seed
    for neighbour in path:
        if fn & 1 or fn == sn:
            old, new = join(neighbour, old), join(neighbour, new)
            fn, sn = _risen(fn, sn)
        else:
            new = join(new, neighbour)
        fn, sn = fn >> 1, sn >> 1
    return old, new


def _risen(fn: int, sn: int) -> tuple[int, int]:
    """The last node of a level without a sibling rises to the level where it has one."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _path_length(fn: int, sn: int) -> int:
    meeting = (fn ^ sn).bit_length()
    return meeting + (fn >> meeting).bit_count()


def _exact(path: list[bytes], length: int) -> None:
    if len(path) != length:
        raise ProofError("BAD_PROOF_LENGTH", f"proof has {len(path)} hashes, not {length}")
