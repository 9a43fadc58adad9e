"""Tiles: the tree stored as rows of up to 256 hashes, as C2SP tlog-tiles has them (c2sp.org/tlog-tiles, "Merkle Tree").

Tile n of level l holds, for i from 0 to 255, the root of leaves [(256n + i) * 256^l, (256n + i + 1) * 256^l): eight
levels of the tree in one row, of which the seven between are computed when needed. Only the rightmost tile of a level is
partial (width 1 to 255); it only ever grows at its end, and only full tiles are hashed into the level above. A node of
the tree is therefore a span of one tile's hashes, and its hash the root over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from tlog.errors import ProofError
from tlog.hashing import root_of_row
from tlog.plans import NodeId
from tlog.strict import HASH_SIZE, MAX_UINT64, many_hashes, octets, uint64

HEIGHT: Final = 8
FULL_WIDTH: Final = 1 << HEIGHT
FULL_BYTES: Final = FULL_WIDTH * HASH_SIZE
MAX_LEVEL: Final = 63


class TileId(NamedTuple):
    """A tile's level and its number within the level."""

    level: int
    index: int  # type: ignore[assignment]  # nobody searches an id by tuple.index


class Span(NamedTuple):
    """The hashes [start, stop) of a tile."""

    start: int
    stop: int


def tile_of(node: NodeId) -> tuple[TileId, Span]:
    """The tile that holds a node of the tree, and the hashes in it whose root the node is."""
    level, index = _place(node, "node")
    if index > MAX_UINT64 >> level:
        raise ProofError("BAD_INPUT", "node is beyond the largest tree")
    tile_level, inner = divmod(level, HEIGHT)
    first = index << inner
    start = first % FULL_WIDTH
    return TileId(tile_level, first // FULL_WIDTH), Span(start, start + (1 << inner))


def node_in_tile(tile: bytes, span: Span) -> bytes:
    """The hash of the node that is this span of a tile."""
    start, stop = span
    if len(octets(tile, "BAD_INPUT", "tile")) % HASH_SIZE or len(tile) > FULL_BYTES:
        raise ProofError("BAD_INPUT", f"tile is not 0 to {FULL_WIDTH} hashes")
    if not 0 <= start < stop <= len(tile) // HASH_SIZE:
        raise ProofError("BAD_INPUT", "tile does not reach the end of the span")
    if (stop - start).bit_count() != 1 or start % (stop - start):
        raise ProofError("BAD_INPUT", "span is no node of the tree")
    return root_of_row(tile[start * HASH_SIZE : stop * HASH_SIZE])


def tiles_for_size(size: int) -> Iterator[tuple[TileId, int]]:
    """Every tile of a tree with its width, level by level from the left. Lazy: a long log has many."""
    uint64(size, "BAD_SIZE", "size")
    return _tiles(size)


def _tiles(size: int) -> Iterator[tuple[TileId, int]]:
    level, hashes = 0, size
    while hashes:
        full, partial = divmod(hashes, FULL_WIDTH)
        yield from ((TileId(level, index), FULL_WIDTH) for index in range(full))
        if partial:
            yield TileId(level, full), partial
        level, hashes = level + 1, full


def right_edge(size: int) -> dict[TileId, int]:
    """The partial tiles of a tree with their widths: at most one per level, all that appending needs."""
    levels = range(0, uint64(size, "BAD_SIZE", "size").bit_length(), HEIGHT)
    places = ((at // HEIGHT, divmod(size >> at, FULL_WIDTH)) for at in levels)
    return {TileId(level, index): width for level, (index, width) in places if width}


def tile_path(tile: TileId, width: int = FULL_WIDTH) -> str:
    """The tile's path below the log's prefix: `tile/0/x001/x234/067`, and `.p/5` behind it for a partial one."""
    level, index = _place(tile, "tile")
    if type(width) is not int or not 0 < width <= FULL_WIDTH:
        raise ProofError("BAD_INPUT", f"width is not an integer from 1 to {FULL_WIDTH}")
    digits = str(index)
    digits = digits.zfill(-len(digits) % 3 + len(digits))
    *heads, last = (digits[at : at + 3] for at in range(0, len(digits), 3))
    partial = "" if width == FULL_WIDTH else f".p/{width}"
    return "/".join(["tile", str(level), *(f"x{head}" for head in heads), last]) + partial


def extend_tiles(size: int, edge: Mapping[TileId, bytes], leaf_hashes: Iterable[bytes]) -> dict[TileId, bytes]:
    """The tiles that change when leaves are added to a tree of `size`, with their new bytes, which begin with the old.

    `edge` holds the tiles that `right_edge(size)` names, neither more nor fewer bytes of them; others are ignored.
    """
    held = _edge_bytes(size, edge)
    hashes = many_hashes(leaf_hashes, "leaf hashes")
    if size + len(hashes) > MAX_UINT64:
        raise ProofError("BAD_SIZE", "size would be above 2^64 - 1")
    changed: dict[TileId, bytes] = {}
    level = 0
    while hashes:
        first = TileId(level, size >> HEIGHT * (level + 1))
        row = _cut(first, held.get(first, b"") + b"".join(hashes))
        changed |= row
        hashes = [root_of_row(tile) for tile in row.values() if len(tile) == FULL_BYTES]
        level += 1
    return changed


def _edge_bytes(size: int, edge: Mapping[TileId, bytes]) -> dict[TileId, bytes]:
    widths = right_edge(size)
    held = {tile: octets(edge.get(tile), "BAD_INPUT", "edge tile") for tile in widths}
    if any(len(held[tile]) != width * HASH_SIZE for tile, width in widths.items()):
        raise ProofError("BAD_INPUT", "edge tiles do not have the widths of that size")
    return held


def _cut(first: TileId, row: bytes) -> dict[TileId, bytes]:
    starts = range(0, len(row), FULL_BYTES)
    return {TileId(first.level, first.index + at // FULL_BYTES): row[at : at + FULL_BYTES] for at in starts}


def _place(given: tuple[int, int], what: str) -> tuple[int, int]:
    level, index = given
    if uint64(level, "BAD_INPUT", f"{what} level") > MAX_LEVEL:
        raise ProofError("BAD_INPUT", f"{what} level is above {MAX_LEVEL}")
    return level, uint64(index, "BAD_INPUT", f"{what} index")
