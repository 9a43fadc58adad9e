"""Checkpoints, and the proofs that lead to them: built from tiles, and verified before they are handed out.

A proof is always for the size of a checkpoint, since without a signed root it proves nothing. What is appended is in one within a second;
until then the answer is NOT_YET_CHECKPOINTED.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consent_service.signing.derivation import FULL, Tiles, hashes_of, tiles_of
from servicekit.errors import FailedPrecondition, Invalid, NotFound
from tlog import (
    NodeId,
    Plan,
    ProofError,
    TileId,
    consistency_plan,
    encode_proof,
    inclusion_plan,
    verify_consistency,
    verify_inclusion,
)

RETRY_MS: Final = 1000
MOST_TILES: Final = 4096
"""Full tiles of 8 KiB that are remembered: they never change."""


@dataclass(frozen=True, slots=True)
class SignedRoot:
    """A checkpoint as it was published."""

    size: int
    root: bytes
    note: bytes
    published_us: int


@dataclass(frozen=True, slots=True)
class Inclusion:
    """One entry in the tree of a checkpoint."""

    index: int
    leaf_hash: bytes
    hashes: Sequence[bytes]
    signed: SignedRoot

    @property
    def text(self) -> str:
        """The proof as C2SP tlog-proof."""
        return encode_proof(self.index, self.hashes, self.signed.note)


@dataclass(frozen=True, slots=True)
class Consistency:
    """The tree of a checkpoint has that of `size1` leaves as its prefix; their roots are in the checkpoints that the reader holds."""

    size1: int
    hashes: Sequence[bytes]
    signed: SignedRoot


class TreeStore(Protocol):
    """Where checkpoints and tiles are. Raises Unavailable while the database does not answer."""

    async def latest(self) -> SignedRoot | None:
        """The latest checkpoint."""
        ...

    async def of_size(self, size: int) -> SignedRoot | None:
        """The checkpoint of exactly this size."""
        ...

    async def at_least(self, size: int) -> SignedRoot | None:
        """The first checkpoint that covers this many entries."""
        ...

    async def published_by(self, at_us: int) -> SignedRoot | None:
        """The latest checkpoint that had been published then."""
        ...

    async def tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """Those of these tiles that are stored."""
        ...


class Proofs:
    """Answers from one store, and remembers full tiles."""

    def __init__(self, store: TreeStore, *, most_tiles: int = MOST_TILES) -> None:
        self._store = store
        self._most = most_tiles
        self._full: OrderedDict[TileId, bytes] = OrderedDict()

    async def checkpoint(self, *, at_least: int = 0, at_us: int | None = None) -> SignedRoot:
        """The latest, the first that covers `at_least` entries, or the latest published by a time."""
        if at_us is not None:
            found = await self._store.published_by(at_us)
            if found is None:
                raise NotFound("No checkpoint had been published then.", reason="NO_CHECKPOINT")
            return found
        latest = await self._latest(at_least)
        return (await self._store.at_least(at_least) or latest) if at_least else latest

    async def inclusion(self, index: int, size: int = 0) -> Inclusion:
        """That the entry is in the checkpoint of this size; 0 is the latest."""
        if size and index >= size:
            raise Invalid("It is not below the size.", field="inclusion.index")
        signed = await self._signed(size, covering=index + 1)
        plan, leaf = inclusion_plan(index, signed.size), Plan((NodeId(0, index),), (1,))
        tiles = await self._tiles([*tiles_of(leaf), *tiles_of(plan)])
        with _Checked(self):
            (leaf_hash,) = hashes_of(leaf, tiles)
            proof = plan.proof(hashes_of(plan, tiles))
            verify_inclusion(leaf_hash, index, signed.size, proof, signed.root)
        return Inclusion(index, leaf_hash, proof, signed)

    async def consistency(self, size1: int, size2: int = 0) -> Consistency:
        """That the log of `size1` entries is a prefix of the checkpoint of `size2`; 0 is the latest."""
        if not size1:
            raise Invalid("Every log begins empty: that proves nothing.", field="consistency.size1")
        if size2 and size1 > size2:
            raise Invalid("It is above size2.", field="consistency.size1")
        signed = await self._signed(size2, covering=size1)
        plan = consistency_plan(size1, signed.size)
        tiles = await self._tiles(tiles_of(plan))
        earlier = await self._store.of_size(size1)
        with _Checked(self):
            proof = plan.proof(hashes_of(plan, tiles))
            if earlier is not None:
                verify_consistency(size1, earlier.root, signed.size, signed.root, proof)
        return Consistency(size1, proof, signed)

    async def _signed(self, size: int, *, covering: int) -> SignedRoot:
        latest = await self._latest(max(size, covering))
        if size in (0, latest.size):
            return latest
        found = await self._store.of_size(size)
        if found is None:
            raise NotFound("There is no checkpoint of that size.", reason="NO_CHECKPOINT")
        return found

    async def _latest(self, covering: int) -> SignedRoot:
        latest = await self._store.latest()
        if latest is None or latest.size < covering:
            raise FailedPrecondition(
                "No checkpoint covers that yet.", reason="NOT_YET_CHECKPOINTED", retry_after_ms=RETRY_MS
            )
        return latest

    async def _tiles(self, wanted: Iterable[TileId]) -> Tiles:
        """From memory where they are full and known, else from the store."""
        ids = list(dict.fromkeys(wanted))
        known = {tile: self._full[tile] for tile in ids if tile in self._full}
        missing = [tile for tile in ids if tile not in known]
        fetched = await self._store.tiles(missing) if missing else {}
        self._remember({**known, **{tile: data for tile, data in fetched.items() if len(data) == FULL}})
        return {**known, **fetched}

    def _remember(self, tiles: Tiles) -> None:
        for tile, data in tiles.items():
            self._full[tile] = data
            self._full.move_to_end(tile)
        while len(self._full) > self._most:
            self._full.popitem(last=False)

    def forget(self) -> None:
        """Read every tile anew."""
        self._full.clear()


class _Checked:
    """No proof that does not verify leaves: FailedPrecondition LOG_DAMAGED, and what was remembered is forgotten."""

    def __init__(self, proofs: Proofs) -> None:
        self._proofs = proofs

    def __enter__(self) -> None:
        """Nothing to do."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ProofError | FailedPrecondition):
            self._proofs.forget()
            raise FailedPrecondition("The stored tree does not give what was signed.", reason="LOG_DAMAGED") from error
