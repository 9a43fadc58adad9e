"""The tree from the last signed checkpoint to the head, derived anew from the leaves' stored bytes; nothing else is believed.

Consistency with the last checkpoint alone is not enough: a leaf hash in which one bit flipped is consistent with everything before it, and
signing it ends a log (Yeti 2022). So every leaf is parsed and hashed again, the tiles must be what these hashes give, byte for byte, and
the head must be the root over them. The proof of consistency, built from tiles, then checks this module's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from consent_service.domain.leaf import Leaf, parse
from consent_service.signing.last_signed import LastSigned
from consent_service.signing.rules import Head, Refused, fork
from servicekit.errors import Invalid
from tlog import (
    CompactRange,
    NodeId,
    Plan,
    ProofError,
    TileId,
    consistency_plan,
    extend_tiles,
    leaf_hash,
    leaf_hashes,
    node_in_tile,
    right_edge,
    tile_of,
    verify_consistency,
)

HASH: Final = 32
WIDTH: Final = 256
FULL: Final = WIDTH * HASH

Tiles = Mapping[TileId, bytes]


class Derivation:
    """Grows from the last signed tree, leaf by leaf. `tiles` are the stored ones that `edge_of(last.size)` names."""

    def __init__(self, last: LastSigned, head: Head, tiles: Tiles) -> None:
        self.tree = CompactRange.of(last.size, last.frontier)
        self._last = last
        self._head = head
        self._edge = _edge_at(last, tiles)
        self._epoch = self._recorded_us = 0

    @property
    def size(self) -> int:
        """How many leaves it covers by now."""
        return self.tree.size

    def follow(self, leaf: bytes) -> None:
        """The last leaf that was signed: nothing after it may go back behind it."""
        index = self.size - 1
        row = self._edge.get(TileId(0, index // WIDTH))
        if row is not None and row[-HASH:] != leaf_hash(leaf):
            raise _leaf(index, "It is not the one that was signed.")
        last = _parsed(index, leaf)
        self._epoch, self._recorded_us = last.epoch, last.recorded_us

    def add(self, leaves: Sequence[bytes]) -> dict[TileId, bytes]:
        """The next leaves in order; the tiles that they complete, for `require`."""
        self._check(leaves)
        hashes = leaf_hashes(leaves)
        changed = extend_tiles(self.size, self._edge, hashes)
        self.tree.extend(hashes)
        held = {**self._edge, **changed}
        self._edge = {tile: held[tile] for tile in right_edge(self.size)}
        return {tile: data for tile, data in changed.items() if len(data) == FULL}

    def _check(self, leaves: Iterable[bytes]) -> None:
        """Each leaf parses, is of this ledger, and goes back behind none before it."""
        ledger, epoch, recorded_us = bytes.fromhex(self._head.ledger), self._epoch, self._recorded_us
        for index, data in enumerate(leaves, self.size):
            leaf = _parsed(index, data)
            if leaf.ledger != ledger:
                raise _leaf(index, "It names another ledger.")
            if not epoch <= leaf.epoch <= self._head.epoch or leaf.recorded_us < recorded_us:
                raise _leaf(index, "Its epoch or its time goes back, or is beyond the head's.")
            epoch, recorded_us = leaf.epoch, leaf.recorded_us
        self._epoch, self._recorded_us = epoch, recorded_us

    def finish(self, tiles: Tiles) -> None:
        """Refuse unless the head, and the stored tiles that `edge_of(head.size)` names, are what the leaves give."""
        head = self._head
        if self.size != head.size:
            raise _leaf(self.size, "It is not there.")
        if self.tree.root() != head.root or self.tree.hashes != head.frontier:
            if head.size == self._last.size:
                raise fork("The root at the last signed size is another one.")
            raise Refused("The head is not what the leaves give.", reason="HEAD")
        require(self._edge, tiles)


def edge_of(size: int) -> list[TileId]:
    """The partial tiles of a tree of this size."""
    return list(right_edge(size))


def require(expected: Tiles, stored: Tiles) -> None:
    """Refuse stored tiles that are not the expected ones, byte for byte."""
    for tile, data in expected.items():
        if stored.get(tile) != data:
            raise Refused(f"Tile {tile.index} of level {tile.level} is not what the leaves give.", reason="TILE")


def consistency(last: LastSigned, head: Head) -> Plan | None:
    """What proves that nothing signed was changed; None while nothing is signed."""
    return consistency_plan(last.size, head.size) if last.size else None


def tiles_of(plan: Plan) -> list[TileId]:
    """The tiles that a plan reads, each once."""
    return list(dict.fromkeys(tile_of(node)[0] for node in plan.nodes))


def hashes_of(plan: Plan, tiles: Tiles) -> list[bytes]:
    """The nodes of a plan from these tiles; Refused TILE where they do not reach."""
    return [node_hash_in(node, tiles) for node in plan.nodes]


def require_consistent(last: LastSigned, head: Head, plan: Plan, tiles: Tiles) -> None:
    """Refuse unless the tiles prove that the log at the last signed size is a prefix of the head."""
    try:
        proof = plan.proof(hashes_of(plan, tiles))
        verify_consistency(last.size, last.root, head.size, head.root, proof)
    except ProofError:
        raise fork("The tiles do not prove that what was signed is a prefix of the log.") from None


def _edge_at(last: LastSigned, tiles: Tiles) -> dict[TileId, bytes]:
    """The edge tiles as they were at the last signed size, when they give the signed tree."""
    edge = {tile: tiles.get(tile, b"")[: width * HASH] for tile, width in right_edge(last.size).items()}
    if any(len(edge[tile]) != width * HASH for tile, width in right_edge(last.size).items()):
        raise Refused("A tile at the last signed size is missing or cut.", reason="TILE")
    levels = reversed(range(last.size.bit_length()))
    nodes = [NodeId(level, (last.size >> level) - 1) for level in levels if last.size >> level & 1]
    if tuple(node_hash_in(node, edge) for node in nodes) != last.frontier:
        raise fork("The tiles give another tree at the last signed size.")
    return edge


def node_hash_in(node: NodeId, tiles: Tiles) -> bytes:
    """The hash of a node from the tile that holds it; Refused TILE where that does not reach."""
    tile, span = tile_of(node)
    try:
        return node_in_tile(tiles.get(tile, b""), span)
    except ProofError:
        raise Refused(f"Tile {tile.index} of level {tile.level} is missing or cut.", reason="TILE") from None


def _parsed(index: int, data: bytes) -> Leaf:
    try:
        return parse(data)
    except Invalid as error:
        raise _leaf(index, error.text) from None


def _leaf(index: int, text: str) -> Refused:
    return Refused(f"Entry {index}: {text}", reason="LEAF")
