"""Verifying an export, block by block in as many processes as there are cores; see `domain.verification` for what is verified."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from consent_service.domain.export import (
    ENTRY,
    ChainLine,
    CheckpointLine,
    EntryLine,
    Header,
    Line,
    NoticeLine,
    parse_line,
)
from consent_service.domain.leaf import parse
from consent_service.domain.verification import (
    BLOCK,
    Assembly,
    ChainWalk,
    Checked,
    Edge,
    Refused,
    Task,
    blocks,
    check_block,
    check_notices,
)
from servicekit.errors import Invalid
from tlog import Checkpoint, ProofError, Verifier, leaf_hash, verify_checkpoint, verify_proof

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how many of how many entries are verified."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What the auditor brings: the log's key and name, notes kept from before, and the log's other keys where its key was rotated."""

    vkey: str
    origin: str
    known: tuple[bytes, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def verifiers(self) -> list[Verifier]:
        """Of every key; a checkpoint is signed by one of them, and by none of them wrongly."""
        return [Verifier(vkey) for vkey in (self.vkey, *self.others)]

    def verify(self, note: bytes) -> Checkpoint:
        """The checkpoint of a note; Refused unless a key of the log signed it for this log."""
        try:
            return verify_checkpoint(note, self.verifiers, self.origin)
        except ProofError as error:
            raise Refused(error.code, error.text) from None

    def known_checkpoints(self) -> list[Checkpoint]:
        """Those kept from before."""
        return [self.verify(note) for note in self.known]


@dataclass(frozen=True, slots=True)
class Report:
    """What was verified. `signed` is the size up to which a known key has signed."""

    ledger: str
    first: int
    end: int
    signed: int
    root: str
    checkpoints: int = 0
    known: int = 0
    classes: dict[str, int] = field(default_factory=dict)
    opened: int = 0
    notices: int = 0
    chains: int = 0


def quiet(_done: int, _all: int) -> None:
    """Nobody watches."""


def verify_export(path: Path, trust: Trust, *, progress: Progress = quiet, processes: int | None = None) -> Report:
    """Verify everything in an export; Refused with the first thing that does not hold."""
    known = trust.known_checkpoints()
    outline = read_outline(path)
    header = outline.header
    if header.origin != trust.origin:
        raise Refused("WRONG_ORIGIN", "the export is of another log")
    if header.filtered:
        raise Refused("FILTERED", "a filtered export has no root to compute; verify its entries by their proofs")
    signed = [trust.verify(note) for note in outline.notes]
    assembly = Assembly(_start(header))
    tasks = _tasks(outline, [checkpoint.size for checkpoint in (*signed, *known)])
    work = [partial(check_lines, path, offset, task) for offset, task in tasks]
    for checked in in_processes(work, processes):
        assembly.add(checked)
        progress(assembly.end - header.first, header.end - header.first)
    if assembly.end != header.end:
        raise Refused("INDEX", f"the export ends at {assembly.end}, and says {header.end}")
    require_signed(assembly, signed, known, whole=True)
    return Report(
        ledger=header.ledger,
        first=header.first,
        end=header.end,
        signed=header.end,
        root=assembly.root(header.end).hex(),
        checkpoints=len(signed),
        known=len(known),
        classes=class_counts(assembly),
        opened=assembly.opened,
        notices=check_notices(outline.notices, assembly.vouched),
        chains=_follow(path, outline),
    )


def require_signed(
    assembly: Assembly, signed: Sequence[Checkpoint], known: Sequence[Checkpoint], *, whole: bool
) -> int:
    """Refuse unless every checkpoint and every known note is of this log; the size signed. `whole`: up to the last entry."""
    for checkpoint in signed:
        assembly.require(checkpoint)
    for checkpoint in known:
        assembly.require(checkpoint, known=True)
    size = max((checkpoint.size for checkpoint in (*signed, *known)), default=0)
    if not signed and not known:
        raise Refused("UNSIGNED", "there is no checkpoint, so nothing is signed")
    if whole and size != assembly.end:
        raise Refused("UNSIGNED", f"the entries from {size} to {assembly.end} are in no signed checkpoint")
    return size


def class_counts(assembly: Assembly) -> dict[str, int]:
    """How many entries there are of each class, by its number."""
    return {str(of): count for of, count in sorted(assembly.classes.items())}


@dataclass(slots=True)
class Outline:
    """An export without its entries, and where they lie: the offset of each block's first line."""

    header: Header
    notes: list[bytes] = field(default_factory=list)
    notices: list[NoticeLine] = field(default_factory=list)
    chains: list[ChainLine] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    entries: int = 0


def read_outline(path: Path) -> Outline:
    """Read all but the entries, in one pass that parses none of them."""
    with _opened(path) as file:
        outline = Outline(_first_line(file))
        offset, boundary = file.tell(), outline.header.first
        for line in file:
            if ENTRY in line[:64] or isinstance(other := _line(line), EntryLine):
                if outline.header.first + outline.entries == boundary:
                    outline.offsets.append(offset)
                    boundary = (boundary // BLOCK + 1) * BLOCK
                outline.entries += 1
            else:
                _keep(outline, other)
            offset += len(line)
    return outline


def _first_line(file: BinaryIO) -> Header:
    header = _line(file.readline())
    if not isinstance(header, Header):
        raise Refused("FORMAT", "the first line of an export is its header")
    return header


def _keep(outline: Outline, line: Line) -> None:
    match line:
        case CheckpointLine(note):
            outline.notes.append(note)
        case NoticeLine():
            outline.notices.append(line)
        case ChainLine():
            outline.chains.append(line)
        case _:
            raise Refused("FORMAT", "an export has one header")


def _line(data: bytes) -> Line:
    try:
        return parse_line(data)
    except Invalid as error:
        raise Refused("FORMAT", error.text) from None


def _start(header: Header) -> Edge:
    try:
        Assembly(Edge(header.first, header.frontier))
    except ProofError as error:
        raise Refused("FORMAT", f"frontier: {error.text}") from None
    return Edge(header.first, header.frontier)


def _tasks(outline: Outline, sizes: Iterable[int]) -> Iterator[tuple[int, Task]]:
    header, wanted = outline.header, sorted(set(sizes))
    end = header.first + outline.entries
    ledger = bytes.fromhex(header.ledger)
    for offset, span in zip(outline.offsets, blocks(header.first, end), strict=True):
        inside = tuple(size for size in wanted if span.start < size <= span.stop)
        start = _start(header) if span.start == header.first else None
        yield offset, Task(ledger, span.start, span.stop, inside, start)


def check_lines(path: Path, offset: int, task: Task) -> Checked:
    """Check the block of an export whose first entry's line begins at the offset."""
    with _opened(path) as file:
        file.seek(offset)
        return check_block(task, list(_entries(file, task.end - task.first)))


def _entries(file: BinaryIO, count: int) -> Iterator[EntryLine]:
    """The next entries; lines of another kind between them have been read before."""
    for data in file:
        if not count:
            return
        line = _line(data)
        if isinstance(line, EntryLine):
            yield line
            count -= 1


def _follow(path: Path, outline: Outline) -> int:
    """Follow the chains that the export discloses, in a second pass."""
    if not outline.chains:
        return 0
    if outline.header.first:
        raise Refused("CHAIN", "a chain can be followed only from the first entry on")
    walk = ChainWalk(outline.chains)
    with _opened(path) as file:
        for entry in _entries(file, outline.entries):
            walk.see(entry.index, entry.leaf, leaf_hash(entry.leaf))
    return walk.finish()


def entries_of(path: Path) -> Iterator[EntryLine]:
    """All entries of an export that has been verified."""
    with _opened(path) as file:
        for data in file:
            line = _line(data)
            if isinstance(line, EntryLine):
                yield line


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise Refused("FORMAT", "the file cannot be read") from error


def verify_bundle(bundle: str, leaf: bytes, trust: Trust) -> Report:
    """Verify one leaf by its tlog-proof."""
    known = trust.known_checkpoints()
    try:
        parsed_leaf = parse(leaf)
        checkpoint = verify_proof(bundle, leaf_hash(leaf), trust.verifiers, trust.origin)
    except Invalid as error:
        raise Refused("LEAF", error.text) from None
    except ProofError as error:
        raise Refused(error.code, error.text) from None
    for other in known:
        if other.size == checkpoint.size and other.root != checkpoint.root:
            raise Refused("FORK", f"the root at {other.size} is not the one of the known note")
        if other.size != checkpoint.size:
            raise Refused("KNOWN", "a bundle can be compared only with a note of the same size")
    size, counts = checkpoint.size, {str(parsed_leaf.of): 1}
    ledger, root = parsed_leaf.ledger.hex(), checkpoint.root.hex()
    return Report(ledger, 0, size, size, root, checkpoints=1, known=len(known), classes=counts)


def in_processes(work: Iterable[Callable[[], T]], processes: int | None = None) -> Iterator[T]:
    """The results in order, worked out ahead by as many processes as there are cores, unless there is little to do."""
    todo = list(work)
    workers = min(processes or len(os.sched_getaffinity(0)), len(todo))
    if workers < 2:
        yield from (each() for each in todo)
        return
    # Spawned: a forked child would inherit the threads' locks of whatever runs beside us.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_call, todo, chunksize=4)


def _call(work: Callable[[], Any]) -> Any:
    return work()
