"""The compact range from 0: the little that must be remembered of a tree in order to append to it.

A tree of n leaves is a row of perfect subtrees, one for each one-bit of n, largest first. Their roots are enough to
add leaves and to compute the root: at most 64 hashes, however long the log. Appending a leaf is adding 1 in binary: each
carry joins two equal subtrees. Source: RFC 6962 section 2.1; the name and the form are those of transparency-dev/merkle,
docs/compact_ranges.md.

    size 7 = 0b111:  the roots over leaves [0,4), [4,6) and [6,7)
    append a leaf:   [6,7) and the new one join to [6,8), with [4,6) to [4,8), with [0,4) to [0,8): size 8 = 0b1000
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

from tlog.errors import ProofError
from tlog.hashing import EMPTY_ROOT, join, join_pairs
from tlog.strict import MAX_UINT64, many_hashes, one_hash, uint64


class CompactRange:
    """All that writer and signer remember of a tree: its size and the roots of its perfect subtrees, largest first."""

    __slots__ = ("_hashes", "_size")

    def __init__(self, size: int, hashes: Iterable[bytes]) -> None:
        self._size = uint64(size, "BAD_SIZE", "size")
        self._hashes = many_hashes(hashes, "hashes")
        if len(self._hashes) != self._size.bit_count():
            raise ProofError("BAD_SIZE", "there are not as many hashes as the size has one-bits")

    @classmethod
    def empty(cls) -> Self:
        """The range of a log without entries."""
        return cls(0, ())

    @classmethod
    def of(cls, size: int, hashes: Iterable[bytes]) -> Self:
        """The range as it was kept: as many hashes as the size has one-bits, largest subtree first."""
        return cls(size, hashes)

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The roots of the perfect subtrees, largest first."""
        return tuple(self._hashes)

    def copy(self) -> Self:
        """The same range, to try something on."""
        return type(self)(self._size, self._hashes)

    def append(self, leaf_hash: bytes) -> Self:
        """Add one leaf, in place. Returns itself."""
        node, carries = one_hash(leaf_hash, "leaf hash"), self._size
        if carries == MAX_UINT64:
            raise ProofError("BAD_SIZE", "size would be above 2^64 - 1")
        while carries & 1:
            node = join(self._hashes.pop(), node)
            carries >>= 1
        self._hashes.append(node)
        self._size += 1
        return self

    def extend(self, leaf_hashes: Iterable[bytes]) -> Self:
        """Add many leaves, in place: as `append` of each, level by level. Returns itself."""
        nodes = many_hashes(leaf_hashes, "leaf hashes")
        if self._size + len(nodes) > MAX_UINT64:
            raise ProofError("BAD_SIZE", "size would be above 2^64 - 1")
        size, self._size = self._size, self._size + len(nodes)
        edge: list[bytes] = []
        while nodes:
            if size & 1:
                nodes.insert(0, self._hashes.pop())
            if len(nodes) % 2:
                edge.append(nodes[-1])
            nodes, size = join_pairs(nodes), size >> 1
        self._hashes += reversed(edge)
        return self

    def root(self) -> bytes:
        """The tree's root."""
        if not self._hashes:
            return EMPTY_ROOT
        *lefts, root = self._hashes
        for left in reversed(lefts):
            root = join(left, root)
        return root

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CompactRange):
            return NotImplemented
        return (self._size, self._hashes) == (other._size, other._hashes)

    __hash__ = None  # type: ignore[assignment]  # it changes in place

    def __repr__(self) -> str:
        return f"CompactRange(size={self._size})"
