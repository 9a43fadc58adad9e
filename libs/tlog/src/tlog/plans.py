"""Which nodes of the stored tree a proof needs: the plan names them, the caller fetches them, the plan makes the proof.

A node (level, index) is the root of the perfect subtree over leaves [index * 2^level, (index + 1) * 2^level). Only such
nodes are stored. Each hash of a proof is the root of a run of leaves; a run that ends at the ragged right edge is not
perfect, and is folded from the perfect subtrees it consists of, one for each one-bit of its length.

Inclusion: PATH(m, D[n]) of RFC 6962 section 2.1.1, from the leaf's sibling to the root's child. Consistency: PROOF(m,
D[n]) of section 2.1.2. Both are the recursions written as a walk from the root down, read backwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tlog.errors import ProofError
from tlog.hashing import join
from tlog.strict import many_hashes, uint64


class NodeId(NamedTuple):
    """The root of the perfect subtree over leaves [index * 2^level, (index + 1) * 2^level)."""

    level: int
    index: int  # type: ignore[assignment]  # nobody searches an id by tuple.index


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes to fetch, in order, and how many of them make up each hash of the proof."""

    nodes: tuple[NodeId, ...]
    widths: tuple[int, ...]

    def proof(self, hashes: Iterable[bytes]) -> list[bytes]:
        """The proof, from the hashes of `nodes` in their order."""
        fetched = many_hashes(hashes, "hashes")
        if len(fetched) != len(self.nodes):
            raise ProofError("BAD_INPUT", "there are not as many hashes as the plan has nodes")
        rest = iter(fetched)
        return [_folded([next(rest) for _ in range(width)]) for width in self.widths]


def inclusion_plan(index: int, size: int) -> Plan:
    """What proves that the leaf at `index` is in the tree of `size` leaves."""
    size, index = uint64(size, "BAD_SIZE", "size"), uint64(index, "BAD_INDEX", "index")
    if index >= size:
        raise ProofError("BAD_INDEX", "index is not below size")
    start, end, runs = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            runs.append((middle, end))
            end = middle
        else:
            runs.append((start, middle))
            start = middle
    return _plan(reversed(runs))


def consistency_plan(size1: int, size2: int) -> Plan:
    """What proves that the tree of `size1` leaves is a prefix of the tree of `size2`; nothing when they are equal."""
    check_sizes(size1, size2)
    start, end, runs, at_left_edge = 0, size2, [], True
    while size1 != end:
        middle = start + _split(end - start)
        if size1 <= middle:
            runs.append((middle, end))
            end = middle
        else:
            runs.append((start, middle))
            start, at_left_edge = middle, False
    # At the left edge the run that is left is the old tree itself, whose root the verifier has.
    return _plan(reversed(runs if at_left_edge else [*runs, (start, end)]))


def check_sizes(size1: int, size2: int) -> None:
    """Refuse sizes between which there is no consistency: none, or a shrinking log."""
    uint64(size1, "BAD_SIZE", "size1")
    uint64(size2, "BAD_SIZE", "size2")
    if size1 == 0:
        raise ProofError("BAD_SIZE", "size1 is 0: every log begins empty, so that proves nothing")
    if size1 > size2:
        raise ProofError("BAD_SIZE", "size1 is above size2")


def _split(length: int) -> int:
    """The largest power of two below the length."""
    return 1 << ((length - 1).bit_length() - 1)


def _plan(runs: Iterable[tuple[int, int]]) -> Plan:
    subtrees = [_perfect(start, end) for start, end in runs]
    return Plan(tuple(node for nodes in subtrees for node in nodes), tuple(map(len, subtrees)))


def _perfect(start: int, end: int) -> list[NodeId]:
    """The perfect subtrees of a run of leaves that begins where one as large as the run could."""
    nodes, length = [], end - start
    for level in reversed(range(length.bit_length())):
        if length >> level & 1:
            nodes.append(NodeId(level, start >> level))
            start += 1 << level
    return nodes


def _folded(hashes: list[bytes]) -> bytes:
    *lefts, root = hashes
    for left in reversed(lefts):
        root = join(left, root)
    return root
