"""The Merkle tree's hashes, as RFC 6962 section 2.1 has them (RFC 9162 section 2.1.1 is the same with SHA-256).

    MTH({})     = SHA-256()                                   the empty tree
    MTH({d})    = SHA-256(0x00 || d)                          a leaf
    MTH(D[n])   = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n])) k the largest power of two below n

The first byte keeps leaves and nodes apart: nobody can pass a node's two children off as an entry. Computing level by
level and carrying an odd last node up unchanged gives the same root as the recursion, and is the form used here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from tlog.errors import ProofError
from tlog.strict import HASH_SIZE, many_hashes, many_octets, octets, one_hash

EMPTY_ROOT: Final = sha256(b"").digest()
"""The root of a log without entries."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry."""
    return sha256(b"\x00" + octets(data, "BAD_INPUT", "leaf")).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hash of each entry: as `leaf_hash`, for many."""
    return [sha256(b"\x00" + data).digest() for data in many_octets(entries, "leaves")]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node with these children."""
    return join(one_hash(left, "left"), one_hash(right, "right"))


def join(left: bytes, right: bytes) -> bytes:
    """`node_hash` without its checks, for loops over hashes that have been checked."""
    return sha256(b"\x01" + left + right).digest()


def join_pairs(level: Sequence[bytes]) -> list[bytes]:
    """The parent of each two neighbours; an odd last node has none yet."""
    nodes = iter(level)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=False)]


def root_of_row(row: bytes) -> bytes:
    """The root over 2^n hashes that stand in one row of bytes, unchecked: the fastest way up a tile."""
    while len(row) > HASH_SIZE:
        row = b"".join([sha256(b"\x01" + row[at : at + 64]).digest() for at in range(0, len(row), 64)])
    return row


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree with these leaf hashes."""
    level = many_hashes(leaf_hashes, "leaf hashes")
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        parents = join_pairs(level)
        level = parents if len(level) % 2 == 0 else [*parents, level[-1]]
    return level[0]


def same_root(found: bytes, stated: bytes, what: str = "root") -> None:
    """Refuse a root that is not the one computed."""
    if found != one_hash(stated, what):
        raise ProofError("ROOT_MISMATCH", f"{what} is not the one computed")
