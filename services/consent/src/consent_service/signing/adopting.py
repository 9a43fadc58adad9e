"""Adopting a note: an operator says which checkpoint was the last, when the file that knew it is gone.

    python -m consent_service.signing --adopt NOTE

The note must be signed by the signer's key, be the latest that the database knows or a later one, and every leaf up to the head is derived
again. It may run beside a signer, which goes on by itself once it finds the file. It cannot tell what a lost file and a restored database
both forgot: keep notes elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from consent_service.signing import derivation as derive
from consent_service.signing import last_signed, rules
from consent_service.signing.app import identity
from consent_service.signing.derivation import Derivation
from consent_service.signing.last_signed import LastSigned
from consent_service.signing.ports import Log, Memory, Snapshot
from consent_service.signing.rules import Refused
from consent_service.signing.settings import Settings
from consent_service.signing.signer import Identity, grow
from consent_service.signing.store import SCHEMA, PostgresLog
from consent_service.signing.volume import Volume
from servicekit import postgres
from servicekit.errors import AssentError, Invalid
from tlog import Checkpoint, CompactRange, ProofError, verify_checkpoint


async def adopt(note: bytes, identity: Identity, log: Log, memory: Memory) -> LastSigned:
    """Make the note the last signed one; Refused when the database does not bear it out."""
    stated = _stated(note, identity)
    with memory.locked():
        _require_no_later(memory, identity, stated)
        async with log.snapshot() as seen:
            tree = await _derived(seen, identity, stated)
        if tree.root() != stated.root:
            raise rules.fork("The root at the note's size is another one.")
        adopted = LastSigned(identity.origin, stated.size, stated.root, tree.hashes, note)
        memory.write(last_signed.encode(adopted))
    return adopted


def _stated(note: bytes, identity: Identity) -> Checkpoint:
    try:
        return verify_checkpoint(note, identity.verifiers, identity.origin)
    except ProofError as error:
        raise Refused(f"The note does not verify: {error.text}", reason="ADOPT_NOTE") from None


def _require_no_later(memory: Memory, identity: Identity, stated: Checkpoint) -> None:
    """A file that still speaks is not overruled by an earlier note: that would be the fork."""
    data = memory.read()
    if data is None:
        return
    try:
        last = last_signed.decode(data, identity.verifiers, identity.origin)
    except Refused:
        return
    if last.size > stated.size:
        raise Refused("The last-signed file is later than the note.", reason="ADOPT_OLDER")


async def _derived(log: Snapshot, identity: Identity, stated: Checkpoint) -> CompactRange:
    """The tree at the note's size, from a derivation that went on to the head."""
    head, latest = await log.head(), await log.latest()
    if head is None or head.size < stated.size:
        raise rules.fork("The log is shorter than the note.")
    if latest is not None and latest.size > stated.size:
        raise Refused("The database has a later checkpoint than the note.", reason="ADOPT_OLDER")
    growing = Derivation(last_signed.nothing(identity.origin), head, {})
    await grow(log, growing, stated.size)
    tree = growing.tree.copy()
    await grow(log, growing, head.size)
    growing.finish(await log.tiles(derive.edge_of(head.size)))
    return tree


def main(argv: Sequence[str]) -> int:
    """The command; 0 when the note is adopted."""
    parser = argparse.ArgumentParser(prog="python -m consent_service.signing --adopt", allow_abbrev=False)
    parser.add_argument(
        "note", type=Path, metavar="NOTE", help="a file with the latest signed note; - reads standard input"
    )
    given = parser.parse_args(argv)
    try:
        adopted = asyncio.run(_adopt(_read(given.note), Settings.read()))
    except AssentError as error:
        sys.stdout.write(f"FAIL {error.code} {error}\n")
        return 1
    sys.stdout.write(f"OK adopted {adopted.size} {adopted.root.hex()}\n")
    return 0


async def _adopt(note: bytes, settings: Settings) -> LastSigned:
    async with postgres.pool(settings.database, schema=SCHEMA) as pool:
        return await adopt(note, identity(settings), PostgresLog(pool), Volume(settings.folder))


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError:
        raise Invalid("The note cannot be read.", reason="ADOPT_NOTE") from None
