"""A ledger's database and a signer's volume in memory, both of which can be broken and put back."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache

from consent_service.auditing.proofs import SignedRoot
from consent_service.domain.leaf import Leaf, LeafClass, encode
from consent_service.signing.rules import Head, Published, Refused
from consent_service.signing.signer import Identity, Signer
from servicekit.basis import ledger_id
from servicekit.clock import FixedClock
from servicekit.errors import Unavailable
from tlog import EMPTY_ROOT, CompactRange, Ed25519Signer, TileId, extend_tiles, leaf_hash, right_edge

ORIGIN = "bank.example/consent/harbour"
LEDGER = ledger_id("harbour")
KEY = Ed25519Signer(ORIGIN, bytes(range(32)))
NEXT_KEY = Ed25519Signer(ORIGIN, bytes(range(1, 33)))
START_US = 1_790_000_000_000_000


@cache
def a_leaf(index, salt=b"", *, epoch=1, ledger=LEDGER):
    """A leaf of the ledger's own; `salt` tells histories apart."""
    said = hashlib.sha256(b"%d" % index + salt).digest()
    return encode(Leaf(LeafClass.LEDGER, bytes.fromhex(ledger), epoch, START_US + index, said))


@dataclass
class Rows:
    """What the database holds."""

    head: Head | None = None
    leaves: list[bytes] = field(default_factory=list)
    tiles: dict[TileId, bytes] = field(default_factory=dict)
    checkpoints: dict[int, tuple[bytes, bytes, int]] = field(default_factory=dict)

    def copy(self):
        return Rows(self.head, list(self.leaves), dict(self.tiles), dict(self.checkpoints))

    def append(self, leaves, *, epoch=None):
        """As the writer does it: leaves, tiles and head together."""
        head = self.head or Head(LEDGER, 1, 0, EMPTY_ROOT, ())
        hashes = [leaf_hash(leaf) for leaf in leaves]
        edge = {tile: self.tiles[tile] for tile in right_edge(head.size)}
        tree = CompactRange.of(head.size, head.frontier).extend(hashes)
        self.tiles |= extend_tiles(head.size, edge, hashes)
        self.leaves += leaves
        self.head = Head(LEDGER, epoch or head.epoch, tree.size, tree.root(), tree.hashes)

    def grow(self, count, salt=b""):
        """Append this many."""
        size = len(self.leaves)
        self.append([a_leaf(index, salt) for index in range(size, size + count)])


class MemorySnapshot:
    def __init__(self, rows):
        self._rows = rows

    async def head(self):
        return self._rows.head

    async def latest(self):
        size = max(self._rows.checkpoints, default=None)
        return None if size is None else Published(size, self._rows.checkpoints[size][0])

    async def leaves(self, first, end):
        found = self._rows.leaves[first:end]
        if len(found) != end - first:
            raise Refused(f"Entry {first + len(found)}: It is not there.", reason="LEAF")
        return found

    async def tiles(self, wanted):
        return {tile: self._rows.tiles[tile] for tile in wanted if tile in self._rows.tiles}


class MemoryLog:
    """Satisfies `ports.Log`; `rows` may be replaced, as a restore does."""

    def __init__(self):
        self.rows = Rows()
        self.away = False

    @asynccontextmanager
    async def snapshot(self):
        self._reach()
        yield MemorySnapshot(self.rows.copy())

    async def head(self):
        self._reach()
        return self.rows.head

    async def publish(self, signed, now_us):
        self._reach()
        there = self.rows.checkpoints.setdefault(signed.size, (signed.root, signed.note, now_us))
        if there[0] != signed.root:
            raise Refused(reason="CHECKPOINT")

    def _reach(self):
        if self.away:
            raise Unavailable(reason="DATABASE_AWAY")


class MemoryVolume:
    """Satisfies `ports.Memory`."""

    def __init__(self):
        self.data = None
        self.held = False

    @contextmanager
    def locked(self):
        if self.held:
            raise Unavailable(reason="SIGNER_BUSY")
        self.held = True
        try:
            yield
        finally:
            self.held = False

    def read(self):
        return self.data

    def write(self, data):
        self.data = data

    def sync(self):
        pass


class World:
    """A log, a volume, and signers on them."""

    def __init__(self, volume=None):
        self.log = MemoryLog()
        self.volume = volume or MemoryVolume()
        self.clock = FixedClock(START_US)

    @property
    def rows(self):
        return self.log.rows

    def signer(self, *keys):
        return Signer(self.identity(*keys), self.log, self.volume, self.clock)

    def identity(self, *keys):
        return Identity(ORIGIN, LEDGER, keys or (KEY,))

    def notes(self):
        """Every published note by size."""
        return {size: note for size, (_, note, _) in self.rows.checkpoints.items()}


def flipped(data, bit):
    """The same bytes with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def with_head(rows, **changes):
    rows.head = replace(rows.head, **changes)


class MemoryTree:
    """Satisfies `auditing.proofs.TreeStore` on the same rows."""

    def __init__(self, log):
        self._log = log
        self.asked = []

    def _signed(self, sizes):
        found = {size: self._log.rows.checkpoints[size] for size in sizes}
        return [SignedRoot(size, *found[size]) for size in sorted(found)]

    async def latest(self):
        return next(reversed(self._signed(self._log.rows.checkpoints)), None)

    async def of_size(self, size):
        return next(iter(self._signed({size} & self._log.rows.checkpoints.keys())), None)

    async def at_least(self, size):
        return next(iter(self._signed(at for at in self._log.rows.checkpoints if at >= size)), None)

    async def published_by(self, at_us):
        return next(
            (one for one in reversed(self._signed(self._log.rows.checkpoints)) if one.published_us <= at_us), None
        )

    async def tiles(self, wanted):
        ids = list(wanted)
        self.asked += ids
        return {tile: self._log.rows.tiles[tile] for tile in ids if tile in self._log.rows.tiles}
