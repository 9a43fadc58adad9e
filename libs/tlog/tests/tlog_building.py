"""Trees to test against: the recursions of RFC 6962 written down as they stand, and trees too large to hold."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256

import pytest

from tlog import Checkpoint, Ed25519Signer, NodeId, ProofError, Verifier, VerifierKey

ORIGIN = "bank.example/consent/main"
LOG = Ed25519Signer(ORIGIN, bytes(range(32)))
LOG_KEY = Verifier(LOG.vkey)
DATA = [b"entry %d" % number for number in range(300)]
LEAVES = [sha256(b"\x00" + data).digest() for data in DATA]


def refused(code: str):
    return pytest.raises(ProofError, match=f"^{code} ")


def mth(leaves: list[bytes]) -> bytes:
    """Section 2.1, over leaf hashes."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """Section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: list[bytes]) -> list[bytes]:
    """Section 2.1.2."""
    return subproof(m, leaves, whole=True)


def subproof(m: int, leaves: list[bytes], *, whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole=whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], whole=False), mth(leaves[:k])]


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


class Vast:
    """A tree of any size: all leaves are one, but for the leaf at `odd`. Its nodes are computed when asked for."""

    SAME, OTHER = LEAVES[0], LEAVES[1]

    def __init__(self, odd: int) -> None:
        self.odd = odd
        self.node = cache(self._node)

    def _node(self, level: int, index: int) -> bytes:
        if self.odd >> level != index:
            return same(level)
        if level == 0:
            return self.OTHER
        return sha256(b"\x01" + self.node(level - 1, 2 * index) + self.node(level - 1, 2 * index + 1)).digest()

    def fetch(self, nodes: tuple[NodeId, ...]) -> list[bytes]:
        return [self.node(level, index) for level, index in nodes]

    def frontier(self, size: int) -> list[bytes]:
        return self.fetch(tuple(NodeId(at, (size >> at) - 1) for at in reversed(range(64)) if size >> at & 1))


@cache
def same(level: int) -> bytes:
    return Vast.SAME if level == 0 else sha256(b"\x01" + same(level - 1) + same(level - 1)).digest()


def checkpoint(size: int) -> Checkpoint:
    return Checkpoint(ORIGIN, size, mth(LEAVES[:size]))


class Witness:
    """A cosigner, written from the specification and not with the library."""

    def __init__(self, name: str, seed: int) -> None:
        self.key = Ed25519Signer(name, bytes([seed]) * 32)
        self.vkey = VerifierKey(name, 0x04, self.key.vkey.key)
        self.verifier = Verifier(self.vkey)

    def line(self, text: str, time: int = 1_700_000_000) -> bytes:
        message = f"cosignature/v1\ntime {time}\n{text}".encode()
        return self.written(time.to_bytes(8, "big") + self.key.sign(message))

    def written(self, signature: bytes) -> bytes:
        encoded = b64encode(self.vkey.key_id + signature).decode()
        return f"\u2014 {self.vkey.name} {encoded}\n".encode()
