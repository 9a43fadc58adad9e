"""Proofs that stand alone: a leaf's index, its path to the root, and the signed checkpoint, in one text.

    c2sp.org/tlog-proof@v1
    extra <base64>                 only when there is extra data; nothing vouches for it
    index <decimal>
    <base64 of a hash>             from the leaf's sibling to the root's child
    (empty line)
    <the checkpoint's note, byte for byte>

Source: C2SP tlog-proof (c2sp.org/tlog-proof), "Format". Who holds the leaf, the log's key and this text can check it
without asking anybody. Witnesses who cosigned the checkpoint also vouch that the log showed everyone the same tree; how
many of which are enough is the reader's policy, here a number out of a list. Each counts once, and only under its own
key: type 0x04 does not sign the witness's name, so one key under two names would count double.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tlog.checkpoints import Checkpoint, checkpoint_of
from tlog.errors import ProofError
from tlog.notes import parse_note, verified
from tlog.proofs import verify_inclusion
from tlog.signatures import Verifier
from tlog.strict import (
    HASH_SIZE,
    decode_base64,
    decode_decimal,
    decode_utf8,
    encode_base64,
    encode_utf8,
    many_hashes,
    octets,
    uint64,
)
from tlog.vkeys import ED25519

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 64


@dataclass(frozen=True, slots=True)
class TlogProof:
    """What a proof's text says, none of it checked."""

    index: int
    proof: tuple[bytes, ...]
    note: bytes
    extra: bytes | None = None


def encode_proof(index: int, proof: Iterable[bytes], note: bytes, extra: bytes | None = None) -> str:
    """The text of a proof. `note` is the signed checkpoint."""
    path = many_hashes(proof, "proof")
    if len(path) > MAX_PATH:
        raise ProofError("BAD_PROOF_LENGTH", f"proof has more than {MAX_PATH} hashes")
    parse_note(note)
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {encode_base64(octets(extra, 'BAD_BUNDLE', 'extra'))}")
    lines.append(f"index {uint64(index, 'BAD_INDEX', 'index')}")
    return "\n".join([*lines, *map(encode_base64, path), "", decode_utf8(note, "BAD_NOTE", "note")])


def parse_proof(text: str) -> TlogProof:
    """What the text says. Nothing in it is to be believed yet."""
    encode_utf8(text, "BAD_BUNDLE", "bundle")
    head, divider, note = text.partition("\n\n")
    header, *lines = head.split("\n")
    if header != HEADER or not divider:
        raise ProofError("BAD_BUNDLE", f"it does not begin with {HEADER}, or has no empty line")
    extra = _take(lines, "extra ")
    index = _take(lines, "index ")
    if index is None or len(lines) > MAX_PATH:
        raise ProofError("BAD_BUNDLE", f"it has no index line, or more than {MAX_PATH} hashes")
    proof = TlogProof(
        index=decode_decimal(index, "BAD_BUNDLE", "index"),
        proof=tuple(map(_hash, lines)),
        note=note.encode(),
        extra=None if extra is None else decode_base64(extra, "BAD_BUNDLE", "extra"),
    )
    parse_note(proof.note)
    return proof


def verify_proof(
    text: str,
    leaf_hash: bytes,
    log_keys: Verifier | Iterable[Verifier],
    origin: str,
    witness_keys: Iterable[Verifier] = (),
    quorum: int = 0,
) -> Checkpoint:
    """The checkpoint in which the leaf is proved, signed by a key of the log and by `quorum` of the witnesses.

    `log_keys` is one key, or all that may sign while keys are rotated.
    """
    logs = [log_keys] if isinstance(log_keys, Verifier) else list(log_keys)
    witnesses = _distinct(logs, list(witness_keys))
    uint64(quorum, "BAD_INPUT", "quorum")
    proof = parse_proof(text)
    stated, signed = verified(parse_note(proof.note), [*logs, *witnesses])
    if not any(verifier in logs for verifier in signed):
        raise ProofError("NO_KNOWN_SIGNATURE", "the log has not signed the checkpoint")
    checkpoint = checkpoint_of(stated, origin)
    if sum(verifier in witnesses for verifier in signed) < quorum:
        raise ProofError("QUORUM", "fewer witnesses than asked for have cosigned the checkpoint")
    verify_inclusion(leaf_hash, proof.index, checkpoint.size, proof.proof, checkpoint.root)
    return checkpoint


def _distinct(logs: Sequence[Verifier], witnesses: list[Verifier]) -> list[Verifier]:
    """The witnesses, when each is somebody else: not the log, and no two with one key."""
    keys = [verifier.vkey.key for verifier in witnesses]
    if len(set(keys)) != len(keys) or set(keys) & {verifier.vkey.key for verifier in logs}:
        raise ProofError("BAD_KEY", "a witness has the key of another witness or of the log")
    if any(verifier.vkey.type == ED25519 for verifier in witnesses):
        raise ProofError("BAD_KEY", "a witness's key is not of the type of cosignatures")
    return witnesses


def _take(lines: list[str], prefix: str) -> str | None:
    return lines.pop(0).removeprefix(prefix) if lines and lines[0].startswith(prefix) else None


def _hash(line: str) -> bytes:
    data = decode_base64(line, "BAD_BUNDLE", "a line of the proof")
    if len(data) != HASH_SIZE:
        raise ProofError("BAD_BUNDLE", f"a line of the proof is not {HASH_SIZE} bytes")
    return data
