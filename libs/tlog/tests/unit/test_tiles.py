"""Tiles are those of C2SP tlog-tiles, grow at their ends only, and hold every node that a proof needs."""

from __future__ import annotations

from contextlib import suppress
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_building import DATA, LEAVES, mth, refused

from tlog import (
    CompactRange,
    NodeId,
    ProofError,
    Span,
    TileId,
    consistency_plan,
    decode_bundle,
    encode_bundle,
    extend_tiles,
    inclusion_plan,
    leaf_hash,
    node_in_tile,
    right_edge,
    root_of,
    tile_of,
    tile_path,
    tiles_for_size,
    verify_consistency,
    verify_inclusion,
)

MAX = (1 << 64) - 1
MANY = [sha256(b"\x00" + number.to_bytes(4, "big")).digest() for number in range(2000)]


def defined(tile: TileId, size: int) -> bytes:
    """A tile of the tree over MANY, by the formula of the specification."""
    step = 256**tile.level
    starts = (start for start in range(tile.index * 256 * step, (tile.index + 1) * 256 * step, step))
    return b"".join(root_of(MANY[start : start + step]) for start in starts if start + step <= size)


def test_tiles_are_those_of_the_specification_for_sizes_0_to_2000():
    stored: dict[TileId, bytes] = {}
    for size in range(2001):
        if size:
            stored |= extend_tiles(size - 1, stored, MANY[size - 1 : size])
        widths = dict(tiles_for_size(size))

        assert {tile: len(held) // 32 for tile, held in stored.items()} == widths
        assert {tile: width for tile, width in widths.items() if width < 256} == right_edge(size)
        if size % 97 == 0 or size in {1, 255, 256, 257, 511, 512, 2000}:
            assert stored == {tile: defined(tile, size) for tile in widths}


@given(cuts=st.lists(st.integers(0, 2000), max_size=6))
def test_tiles_do_not_depend_on_the_batches(cuts):
    stored: dict[TileId, bytes] = {}
    size = 0
    for cut in sorted([*cuts, 2000]):
        edge = {tile: stored[tile] for tile in right_edge(size)}
        changed = extend_tiles(size, edge, MANY[size:cut])
        assert all(held.startswith(stored.get(tile, b"")) for tile, held in changed.items())
        stored |= changed
        size = cut

    assert stored == extend_tiles(0, {}, MANY)


def test_the_specifications_example_of_70000_leaves():
    tiles = list(tiles_for_size(70_000))

    assert tiles[:1] == [(TileId(0, 0), 256)]
    assert tiles[272:] == [
        (TileId(0, 272), 256),
        (TileId(0, 273), 112),
        (TileId(1, 0), 256),
        (TileId(1, 1), 17),
        (TileId(2, 0), 1),
    ]
    assert right_edge(70_000) == {TileId(0, 273): 112, TileId(1, 1): 17, TileId(2, 0): 1}
    assert list(tiles_for_size(256)) == [(TileId(0, 0), 256), (TileId(1, 0), 1)]
    assert list(tiles_for_size(0)) == []


def test_the_tiles_of_a_vast_tree_are_listed_lazily():
    assert next(tiles_for_size(MAX)) == (TileId(0, 0), 256)
    assert len(right_edge(MAX)) == 8
    assert right_edge(1 << 63) == {TileId(7, 0): 128}


@given(size=st.integers(1, MAX - 600), added=st.integers(1, 600))
def test_a_vast_tree_is_extended_by_its_edge_alone(size, added):
    edge = {tile: bytes(32 * width) for tile, width in right_edge(size).items()}
    changed = extend_tiles(size, edge, MANY[:added])

    assert {tile: len(changed.get(tile, edge.get(tile, b""))) // 32 for tile in right_edge(size + added)} == right_edge(
        size + added
    )


@pytest.mark.parametrize(
    ("tile", "width", "path"),
    [
        (TileId(0, 0), 256, "tile/0/000"),
        (TileId(0, 1234067), 256, "tile/0/x001/x234/067"),
        (TileId(1, 999), 17, "tile/1/999.p/17"),
        (TileId(2, 1000), 1, "tile/2/x001/000.p/1"),
        (TileId(0, MAX >> 8), 255, "tile/0/x072/x057/x594/x037/x927/935.p/255"),
        (TileId(63, 0), 256, "tile/63/000"),
    ],
)
def test_a_tiles_path(tile, width, path):
    assert tile_path(tile, width) == path


@pytest.mark.parametrize(
    ("tile", "width"),
    [((64, 0), 256), ((-1, 0), 256), ((0, -1), 256), ((0, True), 256), ((0, 0), 0), ((0, 0), 257), ((0, 0), True)],
)
def test_what_is_no_tile_has_no_path(tile, width):
    with refused("BAD_INPUT"):
        tile_path(TileId(*tile), width)


def fetched(plan, stored):
    places = (tile_of(node) for node in plan.nodes)
    return plan.proof([node_in_tile(stored[tile], span) for tile, span in places])


@given(size=st.integers(1, 2000), data=st.data())
def test_proofs_are_made_from_tiles(size, data):
    stored = extend_tiles(0, {}, MANY[:size])
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    root = root_of(MANY[:size])

    verify_inclusion(MANY[index], index, size, fetched(inclusion_plan(index, size), stored), root)
    verify_consistency(old, root_of(MANY[:old]), size, root, fetched(consistency_plan(old, size), stored))


@given(size=st.integers(1, 2000), later=st.integers(0, 2000), data=st.data())
def test_later_tiles_hold_the_nodes_of_an_earlier_tree(size, later, data):
    stored = extend_tiles(0, {}, MANY[: max(size, later)])
    index = data.draw(st.integers(0, size - 1))

    verify_inclusion(MANY[index], index, size, fetched(inclusion_plan(index, size), stored), root_of(MANY[:size]))


@given(level=st.integers(0, 63), data=st.data())
def test_a_node_has_one_place(level, data):
    index = data.draw(st.integers(0, MAX >> level))
    tile, span = tile_of(NodeId(level, index))

    assert tile.level == level // 8
    assert 0 <= span.start < span.stop <= 256
    assert span.stop - span.start == 1 << level % 8
    assert (tile.index * 256 + span.start) * 256**tile.level == index << level


@pytest.mark.parametrize("node", [(64, 0), (-1, 0), (0, -1), (63, 2), (1, MAX), (True, 0), (0, 1.0), (0, None)])
def test_what_is_no_node_has_no_place(node):
    with refused("BAD_INPUT"):
        tile_of(NodeId(*node))


@pytest.mark.parametrize(
    ("tile", "span"),
    [
        (bytes(31), (0, 1)),
        (bytes(32 * 257), (0, 1)),
        ("x" * 32, (0, 1)),
        (bytes(32), (0, 2)),
        (bytes(96), (0, 3)),
        (bytes(96), (1, 3)),
        (bytes(96), (1, 1)),
        (bytes(96), (-1, 1)),
    ],
)
def test_a_span_is_a_node_within_its_tile(tile, span):
    with refused("BAD_INPUT"):
        node_in_tile(tile, Span(*span))


@pytest.mark.parametrize("edge", [{}, {TileId(0, 0): bytes(32)}, {TileId(0, 0): bytes(96)}, {TileId(0, 0): "x" * 64}])
def test_the_edge_has_the_widths_of_the_size(edge):
    with refused("BAD_INPUT"):
        extend_tiles(2, edge, LEAVES[:1])


def test_tiles_cannot_grow_beyond_64_bits():
    edge = {tile: bytes(32 * width) for tile, width in right_edge(MAX).items()}
    with refused("BAD_SIZE"):
        extend_tiles(MAX, edge, LEAVES[:1])


def test_tiles_and_compact_range_agree():
    stored = extend_tiles(0, {}, LEAVES)

    assert b"".join(stored[tile] for tile in sorted(stored) if tile.level == 0) == b"".join(LEAVES)
    assert CompactRange.empty().extend(LEAVES).root() == mth(LEAVES)


# Entry bundles


@given(entries=st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries):
    assert decode_bundle(encode_bundle(entries)) == entries


@given(data=st.binary(max_size=600))
def test_a_bundle_has_one_encoding(data):
    with suppress(ProofError):
        assert encode_bundle(decode_bundle(data)) == data


def test_a_bundles_entries_hash_to_its_tile():
    bundle = encode_bundle(DATA[:256])

    assert b"".join(map(leaf_hash, decode_bundle(bundle))) == extend_tiles(0, {}, LEAVES[:256])[TileId(0, 0)]
    assert bundle[:9] == b"\x00\x07entry 0"


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x02a", b"\x00\x01ab", b"\xff\xffa", bytes(2 * 257), "text", None])
def test_a_bundle_that_is_cut_off_or_too_wide_is_refused(bundle):
    with refused("BAD_BUNDLE"):
        decode_bundle(bundle)


def test_a_bundle_holds_256_entries_of_65535_bytes():
    assert decode_bundle(encode_bundle([bytes(65535)])) == [bytes(65535)]
    with refused("BAD_BUNDLE"):
        encode_bundle([bytes(65536)])
    with refused("BAD_BUNDLE"):
        encode_bundle([b""] * 257)
    with refused("BAD_INPUT"):
        encode_bundle(["text"])
