"""The tree's nodes, from memory or from stored tiles. A perfect subtree never changes, so neither does what is remembered of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, Protocol, TypeVar

from consent_service.signing.derivation import FULL, Tiles, node_hash_in
from tlog import NodeId, TileId, tile_of

Name = TypeVar("Name", NodeId, TileId)

MOST_TILES: Final = 2048
"""Full tiles, of 8 KiB each."""
MOST_NODES: Final = 65_536
LOWEST: Final = 3
"""The level from which nodes are remembered: below it a tile has them at hand."""


class TileStore(Protocol):
    """Where tiles are."""

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """Those of these tiles that are stored."""
        ...


class Nodes:
    """Looks nodes up. Nodes near the root are in every proof and cost the most hashing, so they are kept apart from tiles."""

    def __init__(self, store: TileStore, *, most_tiles: int = MOST_TILES, most_nodes: int = MOST_NODES) -> None:
        self._store = store
        self._most_tiles = most_tiles
        self._most_nodes = most_nodes
        self._tiles: OrderedDict[TileId, bytes] = OrderedDict()
        self._nodes: OrderedDict[NodeId, bytes] = OrderedDict()

    async def hashes(self, wanted: Sequence[NodeId]) -> list[bytes]:
        """The hash of each node in order; FailedPrecondition TILE where a tile does not reach."""
        known = {node: self._nodes[node] for node in wanted if node in self._nodes}
        tiles = await self._fetched(dict.fromkeys(tile_of(node)[0] for node in wanted if node not in known))
        for node in wanted:
            if node not in known:
                known[node] = node_hash_in(node, tiles)
        _remember(self._nodes, {node: found for node, found in known.items() if node.level >= LOWEST}, self._most_nodes)
        return [known[node] for node in wanted]

    async def _fetched(self, wanted: Iterable[TileId]) -> Tiles:
        ids = list(wanted)
        known = {tile: self._tiles[tile] for tile in ids if tile in self._tiles}
        missing = [tile for tile in ids if tile not in known]
        known |= await self._store.tiles(missing) if missing else {}
        _remember(self._tiles, {tile: data for tile, data in known.items() if len(data) == FULL}, self._most_tiles)
        return known

    def forget(self) -> None:
        """Read everything anew."""
        self._tiles.clear()
        self._nodes.clear()


def _remember(memory: OrderedDict[Name, bytes], found: dict[Name, bytes], most: int) -> None:
    """The ones used last stay."""
    for name, data in found.items():
        memory[name] = data
        memory.move_to_end(name)
    while len(memory) > most:
        memory.popitem(last=False)
