"""Recomputing a part of the stored log, and naming all that does not hold. Pure: rows, keys and tiles are arguments.

Unlike `assent ledger verify`, which stops at the first thing, this goes on: it is for finding out how far damage reaches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from consent_service.auditing.entries_store import Last
from consent_service.auditing.openings import Stored
from consent_service.domain.bodies import class_of
from consent_service.domain.commitments import (
    FIRST,
    SALT_PRIV,
    SALT_PUB,
    TAG,
    SubjectKey,
    link_to,
    open_commitment,
    private_commitment,
    public_commitment,
    unseal,
)
from consent_service.domain.leaf import Leaf, LeafClass, parse
from servicekit.errors import Invalid
from tlog import CompactRange, TileId, leaf_hash, root_of

HASH: Final = 32
WIDTH: Final = 256
MOST: Final = 1000
Keys = Mapping[str, SubjectKey]


class Mismatch(NamedTuple):
    """Something that does not hold: where, and what."""

    code: str
    place: int


class RangeCheck:
    """Grows entry by entry. `tree` is the compact range of the log up to the first one, `signed` the roots that must come out, by size."""

    def __init__(self, ledger: str, tree: CompactRange, signed: Mapping[int, Collection[bytes]] | None = None) -> None:
        self._signed = signed or {}
        self.first = tree.size
        self.tree = tree.copy()
        self.hashes: list[bytes] = []
        self.mismatches: list[Mismatch] = []
        self.mismatched = 0
        self.opened = 0
        self.erased = 0
        self._ledger = bytes.fromhex(ledger)
        self._epoch = self._recorded_us = 0
        self._chains: dict[str, Last] = {}
        self._root()

    @property
    def end(self) -> int:
        """The index after the last entry that was seen."""
        return self.first + len(self.hashes)

    def unknown(self, rows: Iterable[Stored]) -> set[str]:
        """Subjects of these entries whose chains before them have to be told."""
        return {row.subject for row in rows if row.subject is not None} - self._chains.keys()

    def know(self, chains: Mapping[str, Last], subjects: Iterable[str]) -> None:
        """Where these subjects' chains stood; who is not there had none."""
        for subject in subjects:
            self._chains[subject] = chains.get(subject, Last(0, b""))

    def add(self, rows: Sequence[Stored], keys: Keys) -> None:
        """The next entries. A gap ends the range: what is behind it cannot be put into the tree."""
        for row in rows:
            if row.index != self.end:
                self._report("LEAF", self.end)
                raise Gap
            self._entry(row, keys)
            self.hashes.append(row.hash)
            self.tree.append(self.hashes[-1])
            self._root()

    def _entry(self, row: Stored, keys: Keys) -> None:
        try:
            leaf = parse(row.leaf)
        except Invalid:
            self._report("LEAF", row.index)
            return
        if leaf.ledger != self._ledger or leaf.epoch < self._epoch or leaf.recorded_us < self._recorded_us:
            self._report("LEAF", row.index)
        self._epoch, self._recorded_us = max(leaf.epoch, self._epoch), max(leaf.recorded_us, self._recorded_us)
        if leaf.of == LeafClass.SUBJECT:
            self._subjects(row, leaf, keys)
        elif row.pub is None or open_commitment(row.pub) != leaf.c_pub or class_of(row.kind) != leaf.of:
            self._report("COMMITMENT", row.index)
        else:
            self.opened += 1

    def _subjects(self, row: Stored, leaf: Leaf, keys: Keys) -> None:
        key = keys.get(row.subject or "")
        if row.pub is None or row.subject is None or key is None:
            self.erased += 1
            return
        if not _committed(row, leaf, key, self._ledger):
            self._report("COMMITMENT", row.index)
        last = self._chains[row.subject]
        previous = leaf_hash(last.leaf) if last.leaf else FIRST
        if row.seq != last.seq + 1 or leaf.prev_commit != link_to(key.chain, previous):
            self._report("CHAIN", row.index)
        self._chains[row.subject] = Last(row.seq, row.leaf)
        self.opened += 1

    def tiles(self, level: int, hashes: Sequence[bytes], first: int, stored: Mapping[TileId, bytes]) -> list[bytes]:
        """Compare one level of the tree, from node `first` on, with its stored tiles; the roots of the tiles that are whole."""
        roots = []
        for number in range(first // WIDTH, -(-(first + len(hashes)) // WIDTH)):
            data = stored.get(TileId(level, number), b"")
            inside = range(max(first, number * WIDTH), min(first + len(hashes), (number + 1) * WIDTH))
            for node in inside:
                at = (node - number * WIDTH) * HASH
                if data[at : at + HASH] != hashes[node - first]:
                    self._report("TILE", node << (8 * level))
            if len(inside) == WIDTH:
                roots.append(root_of(hashes[inside.start - first : inside.stop - first]))
        return roots

    def _root(self) -> None:
        signed = self._signed.get(self.end, ())
        if signed and any(root != self.tree.root() for root in signed):
            self._report("ROOT", self.end)

    def _report(self, code: str, place: int) -> None:
        self.mismatched += 1
        if len(self.mismatches) < MOST:
            self.mismatches.append(Mismatch(code, place))


class Gap(Exception):
    """An entry is not there."""


def _committed(row: Stored, leaf: Leaf, key: SubjectKey, ledger: bytes) -> bool:
    """Whether the leaf commits to both stored bodies, and bears the subject's tag."""
    if row.sealed is None or class_of(row.kind) != leaf.of or leaf.subject_tag != key.sub(TAG, row.event_id):
        return False
    try:
        priv = unseal(key, ledger, row.event_id, row.sealed)
    except Invalid:
        return False
    return (
        public_commitment(key.sub(SALT_PUB, row.event_id), row.pub or b"") == leaf.c_pub
        and private_commitment(key.sub(SALT_PRIV, row.event_id), priv) == leaf.c_priv
    )
