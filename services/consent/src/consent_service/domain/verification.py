"""Verifying a ledger from its leaves: everything is recomputed, and nothing is believed that a known key has not signed.

The leaves are checked in blocks, each by itself and in any process; the blocks are then joined in order. A block begins at a multiple of
the block size (the first one may begin anywhere), so that a full block is one perfect subtree, and the tree above is a compact range of
blocks. Codes say what does not hold, texts where.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from consent_service.domain.commitments import FIRST, link_to, open_commitment, public_commitment
from consent_service.domain.export import ChainLine, EntryLine, NoticeLine
from consent_service.domain.leaf import Leaf, LeafClass, parse
from consent_service.domain.shapes import NoticeKey, said
from servicekit.errors import Invalid
from tlog import Checkpoint, CompactRange, leaf_hashes, root_of

BLOCK_BITS: Final = 12
BLOCK: Final = 1 << BLOCK_BITS
"""Leaves in a full block."""
TILE_BITS: Final = 8
_SUBJECT: Final = int(LeafClass.SUBJECT)


class Refused(Exception):
    """Something does not hold. The code is stable; the text names the place, and never what is written there."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


class Edge(NamedTuple):
    """The compact range of a prefix of the log."""

    size: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What to check of the block [first, end): sizes whose edges are wanted, and the edge at `first` unless that is a block's begin."""

    ledger: bytes
    first: int
    end: int
    wanted: tuple[int, ...] = ()
    start: Edge | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a block contributes. Edges are of the whole log when the task had a start, else of the block alone."""

    first: int
    end: int
    whole: bool
    edges: Mapping[int, tuple[bytes, ...]]
    epochs: tuple[int, int] = (0, 0)
    times: tuple[int, int] = (0, 0)
    classes: Mapping[int, int] = field(default_factory=dict)
    opened: int = 0
    vouched: Mapping[NoticeKey, frozenset[str]] = field(default_factory=dict)
    tile_roots: tuple[bytes, ...] = ()


def blocks(first: int, end: int) -> Iterable[range]:
    """[first, end) cut at multiples of the block size."""
    while first < end:
        cut = min(end, (first // BLOCK + 1) * BLOCK)
        yield range(first, cut)
        first = cut


def check_block(task: Task, entries: Sequence[EntryLine]) -> Checked:
    """Check the block's entries one by one and against each other; Refused names the first that does not hold."""
    if len(entries) != task.end - task.first:
        raise Refused("INDEX", f"the entries from {task.first} to {task.end} are not all there")
    told = _Told()
    epoch, recorded = 0, 0
    first: Leaf | None = None
    for index, entry in enumerate(entries, task.first):
        leaf = _leaf(task.ledger, index, entry)
        if leaf.epoch < epoch or leaf.recorded_us < recorded:
            raise _backwards(index, leaf.epoch < epoch)
        epoch, recorded = leaf.epoch, leaf.recorded_us
        first = first or leaf
        told.hear(index, leaf, entry)
    hashes = leaf_hashes([entry.leaf for entry in entries])
    edges = _edges(task, hashes)
    return Checked(
        first=task.first,
        end=task.end,
        whole=task.start is not None,
        edges=edges,
        epochs=(first.epoch if first else 0, epoch),
        times=(first.recorded_us if first else 0, recorded),
        classes=told.classes,
        opened=told.opened,
        vouched={key: frozenset(found) for key, found in told.vouched.items()},
    )


def _leaf(ledger: bytes, index: int, entry: EntryLine) -> Leaf:
    if entry.index != index:
        raise Refused("INDEX", f"where entry {index} should be there is entry {entry.index}")
    try:
        leaf = parse(entry.leaf)
    except Invalid as error:
        raise Refused("LEAF", f"entry {index}: {error.text}") from None
    if leaf.ledger != ledger:
        raise Refused("LEDGER", f"entry {index} names another ledger")
    return leaf


def _backwards(index: int, epoch: bool) -> Refused:
    return Refused("EPOCH" if epoch else "TIME", f"entry {index} goes back behind the one before it")


def _edges(task: Task, hashes: Sequence[bytes]) -> dict[int, tuple[bytes, ...]]:
    """The compact ranges at the wanted sizes, and at the end."""
    tree = CompactRange.of(*task.start) if task.start else CompactRange.empty()
    edges, done = {}, task.first
    for size in sorted({*task.wanted, task.end}):
        tree.extend(hashes[done - task.first : size - task.first])
        edges[size], done = tree.hashes, size
    return edges


class _Told:
    """What opened bodies say: how many there are, and which notices they vouch for."""

    def __init__(self) -> None:
        self.classes: Counter[int] = Counter()
        self.opened = 0
        self.vouched: dict[NoticeKey, set[str]] = {}

    def hear(self, index: int, leaf: Leaf, entry: EntryLine) -> None:
        """Check an entry's opened body against its commitment; one without a person must be there."""
        self.classes[leaf.of] += 1
        if entry.pub is None:
            if leaf.of != _SUBJECT or entry.salt_pub is not None:
                raise Refused("BODY", f"entry {index} has no public body")
            return
        if _commitment(index, leaf, entry.pub, entry.salt_pub) != leaf.c_pub:
            raise Refused("COMMITMENT", f"the body of entry {index} is not the one committed to")
        self.opened += 1
        self._said(index, leaf, entry.pub)

    def _said(self, index: int, leaf: Leaf, pub: bytes) -> None:
        try:
            of, notices = said(pub)
        except Invalid:
            raise Refused("BODY", f"the body of entry {index} is malformed") from None
        if of != leaf.of:
            raise Refused("BODY", f"the body of entry {index} is of another class than its leaf")
        for key, digest in notices:
            self.vouched.setdefault(key, set()).add(digest)


def _commitment(index: int, leaf: Leaf, pub: bytes, salt: bytes | None) -> bytes:
    if (salt is not None) is not (leaf.of == _SUBJECT):
        raise Refused("BODY", f"the salt of entry {index} does not go with its class")
    return open_commitment(pub) if salt is None else public_commitment(salt, pub)


class Assembly:
    """Joins blocks in their order: the tree above them, and what must not go back between them."""

    def __init__(self, start: Edge) -> None:
        self._end = start.size
        self._blocks = CompactRange.empty()
        self._roots = {start.size: CompactRange.of(*start).root()}
        self._epoch = self._time = 0
        self.classes: Counter[int] = Counter()
        self.opened = 0
        self.vouched: dict[NoticeKey, set[str]] = {}
        self.edge = start

    def add(self, checked: Checked) -> None:
        """The next block."""
        if checked.first != self._end:
            raise Refused("INDEX", f"the entries from {self._end} to {checked.first} are not there")
        if checked.epochs[0] < self._epoch or checked.times[0] < self._time:
            raise _backwards(checked.first, checked.epochs[0] < self._epoch)
        for size, hashes in checked.edges.items():
            self.edge = self._edge(size, hashes, whole=checked.whole)
            self._roots[size] = CompactRange.of(*self.edge).root()
        if checked.end % BLOCK == 0:
            self._blocks = CompactRange.of(checked.end >> BLOCK_BITS, self.edge.hashes)
        self._end, self._epoch, self._time = checked.end, checked.epochs[1], checked.times[1]
        self._count(checked)

    def _edge(self, size: int, hashes: tuple[bytes, ...], *, whole: bool) -> Edge:
        """The whole log's compact range, from a block's own."""
        if whole:
            return Edge(size, hashes)
        if size % BLOCK == 0:  # the block is full, and may complete larger subtrees
            return Edge(size, self._blocks.copy().append(*hashes).hashes)
        return Edge(size, (*self._blocks.hashes, *hashes))

    def _count(self, checked: Checked) -> None:
        self.classes.update(checked.classes)
        self.opened += checked.opened
        for key, found in checked.vouched.items():
            self.vouched.setdefault(key, set()).update(found)

    @property
    def end(self) -> int:
        """The index after the last entry."""
        return self._end

    def root(self, size: int) -> bytes:
        """The root at one of the sizes that were wanted."""
        return self._roots[size]

    def require(self, checkpoint: Checkpoint, *, known: bool = False) -> None:
        """Refuse unless the log at the checkpoint's size has its root. Its signature has been verified before."""
        code = "KNOWN" if known else "CHECKPOINT"
        if checkpoint.size > self._end:
            raise Refused(code, f"the log has {self._end} entries, and {checkpoint.size} were signed")
        if checkpoint.size and checkpoint.size not in self._roots:
            raise Refused(code, f"the root at {checkpoint.size} cannot be computed from what is there")
        root = self._roots[checkpoint.size] if checkpoint.size else CompactRange.empty().root()
        if root != checkpoint.root:
            raise Refused("FORK" if known else "ROOT", f"the root at {checkpoint.size} is not the one that was signed")


def check_tiles(level: int, first: int, hashes: Sequence[bytes], stored: Mapping[int, bytes]) -> list[bytes]:
    """Refuse stored tiles, from number `first` on, that are not these hashes; the roots of the full ones."""
    width, roots = 1 << TILE_BITS, []
    count = -(-len(hashes) // width)
    if set(stored) != set(range(first, first + count)):
        raise Refused(
            "TILE", f"the tiles of level {level} from {first} to {first + count} are not all there, or others are"
        )
    for number in range(count):
        row = hashes[number * width : (number + 1) * width]
        if stored[first + number] != b"".join(row):
            raise Refused("TILE", f"tile {first + number} of level {level} is not what the leaves give")
        if len(row) == width:
            roots.append(root_of(row))
    return roots


def check_notices(notices: Iterable[NoticeLine], vouched: Mapping[NoticeKey, Iterable[str]]) -> int:
    """Refuse words whose hash no entry names; how many there are."""
    count = 0
    for count, notice in enumerate(notices, 1):
        named = set(vouched.get((notice.id, notice.version, notice.locale), ()))
        if named != {sha256(notice.data).hexdigest()}:
            raise Refused("NOTICE", f"notice number {count} of the export is not what the entries name")
    for number, found in enumerate(vouched.values(), 1):
        if len(set(found)) > 1:
            raise Refused("NOTICE", f"version number {number} of a notice was named with two texts")
    return count


class ChainWalk:
    """Follows disclosed chains through the leaves: each entry of a subject names the one before it, so none can be left out."""

    def __init__(self, chains: Iterable[ChainLine]) -> None:
        self._chains = tuple(chains)
        self._next = {link_to(chain.key, FIRST): number for number, chain in enumerate(self._chains)}
        self._found: list[list[int]] = [[] for _ in self._chains]

    def see(self, index: int, leaf: bytes, leaf_hash: bytes) -> None:
        """The next leaf of the log."""
        number = self._next.pop(parse(leaf).prev_commit, None)
        if number is not None:
            self._found[number].append(index)
            self._next[link_to(self._chains[number].key, leaf_hash)] = number

    def finish(self) -> int:
        """Refuse unless each chain has exactly the entries that it claims; how many chains there are."""
        for number, chain in enumerate(self._chains):
            if tuple(self._found[number]) != chain.indices:
                raise Refused("CHAIN", f"chain number {number + 1} of the export has other entries than it claims")
        return len(self._chains)
