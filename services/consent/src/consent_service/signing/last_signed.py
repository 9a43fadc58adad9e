"""The signer's last word: {size, root, frontier, note}, kept outside the database, so that no backup of the ledger can take it back.

One canonical JSON object. It is believed only when everything in it agrees: the frontier gives the root, and the note states both and is
signed by a key of the signer.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consent_service.signing.rules import Refused
from servicekit.basis import canonical
from tlog import (
    EMPTY_ROOT,
    Checkpoint,
    CompactRange,
    Ed25519Signer,
    ProofError,
    Verifier,
    parse_note,
    sign_checkpoint,
    verify_checkpoint,
)

VERSION: Final = 1
FIELDS: Final = frozenset({"v", "origin", "size", "root", "frontier", "note"})


@dataclass(frozen=True, slots=True)
class LastSigned:
    """What was signed last. The note of an empty log is empty: there is nothing to sign."""

    origin: str
    size: int
    root: bytes
    frontier: tuple[bytes, ...]
    note: bytes = b""


def nothing(origin: str) -> LastSigned:
    """The begin of a log: nothing is signed yet."""
    return LastSigned(origin, 0, EMPTY_ROOT, ())


def sign(origin: str, tree: CompactRange, signers: Iterable[Ed25519Signer]) -> LastSigned:
    """A checkpoint of this tree, signed by every one of these keys."""
    note = sign_checkpoint(Checkpoint(origin, tree.size, tree.root()), signers)
    return LastSigned(origin, tree.size, tree.root(), tree.hashes, note)


def is_signed_by_all(last: LastSigned, signers: Sequence[Ed25519Signer]) -> bool:
    """Whether each of these keys has signed it; while keys are rotated both must."""
    if not last.size:
        return True
    found = {(line.name, line.key_id) for line in parse_note(last.note).signatures}
    return {(signer.name, signer.key_id) for signer in signers} <= found


def encode(last: LastSigned) -> bytes:
    """The bytes of the file."""
    return canonical(
        {
            "v": VERSION,
            "origin": last.origin,
            "size": last.size,
            "root": _text(last.root),
            "frontier": [_text(node) for node in last.frontier],
            "note": last.note.decode(),
        }
    )


def decode(data: bytes, verifiers: Sequence[Verifier], origin: str) -> LastSigned:
    """What the file says; Refused LAST_SIGNED_DAMAGED unless all of it agrees, LAST_SIGNED_KEY when none of our keys signed it."""
    try:
        last = _read(json.loads(data))
        tree = CompactRange.of(last.size, last.frontier)
    except (ValueError, TypeError, KeyError, AttributeError, ProofError):
        raise _damaged("The last-signed file is malformed.") from None
    if last.origin != origin:
        raise _damaged("The last-signed file is of another log.")
    if tree.root() != last.root or encode(last) != data:
        raise _damaged("The last-signed file contradicts itself.")
    if last.size:
        _require_signed(last, verifiers)
    elif last.note:
        raise _damaged("The last-signed file contradicts itself.")
    return last


def _read(found: Any) -> LastSigned:
    if set(found) != FIELDS or found["v"] != VERSION:
        raise ValueError("fields")
    frontier = tuple(b64decode(node, validate=True) for node in found["frontier"])
    root = b64decode(found["root"], validate=True)
    return LastSigned(found["origin"], found["size"], root, frontier, found["note"].encode())


def _require_signed(last: LastSigned, verifiers: Sequence[Verifier]) -> None:
    try:
        stated = verify_checkpoint(last.note, verifiers, last.origin)
    except ProofError as error:
        if error.code == "NO_KNOWN_SIGNATURE":
            raise Refused("No key of ours has signed the last-signed file.", reason="LAST_SIGNED_KEY") from None
        raise _damaged("The note of the last-signed file does not verify.") from None
    if (stated.size, stated.root) != (last.size, last.root):
        raise _damaged("The last-signed file contradicts itself.")


def _damaged(text: str) -> Refused:
    return Refused(text, reason="LAST_SIGNED_DAMAGED")


def _text(data: bytes) -> str:
    return b64encode(data).decode()
