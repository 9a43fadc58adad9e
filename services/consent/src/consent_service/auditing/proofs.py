"""Checkpoints, and the proofs that lead to them: built from tiles, and verified before they are handed out.

A proof is always for the size of a checkpoint, since without a signed root it proves nothing. What is appended is in one within a second;
until then the answer is NOT_YET_CHECKPOINTED.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from consent_service.auditing.nodes import Nodes, TileStore
from servicekit.errors import FailedPrecondition, Invalid, NotFound
from tlog import (
    NodeId,
    ProofError,
    consistency_plan,
    encode_proof,
    inclusion_plan,
    verify_consistency,
    verify_inclusion,
)

RETRY_MS: Final = 1000


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


class TreeStore(TileStore, Protocol):
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


class Proofs:
    """Answers from one store; `nodes` remembers what never changes."""

    def __init__(self, store: TreeStore, nodes: Nodes | None = None) -> None:
        self._store = store
        self._nodes = nodes or Nodes(store)

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
        plan = inclusion_plan(index, signed.size)
        with _Checked(self):
            leaf_hash, *hashes = await self._nodes.hashes([NodeId(0, index), *plan.nodes])
            proof = plan.proof(hashes)
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
        earlier = await self._store.of_size(size1)
        with _Checked(self):
            proof = plan.proof(await self._nodes.hashes(plan.nodes))
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

    def forget(self) -> None:
        """Read the tree anew."""
        self._nodes.forget()


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
