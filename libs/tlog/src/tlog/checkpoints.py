"""Checkpoints: what a log signs about itself, as the text of a note.

    <origin: which log>
    <size: decimal>
    <root: base64>

Source: C2SP tlog-checkpoint (c2sp.org/tlog-checkpoint), "Note text". More lines may follow; they are read past, since no
monitor can check them, and never written. An empty one is malformed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tlog.errors import ProofError
from tlog.notes import parse_note, sign_note, verified
from tlog.signatures import Ed25519Signer, Verifier
from tlog.strict import HASH_SIZE, decode_base64, decode_decimal, encode_base64, encode_utf8, no_control, octets, uint64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and the root of the log named by its origin."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        encode_utf8(self.origin, "BAD_CHECKPOINT", "origin")
        no_control(self.origin, "BAD_CHECKPOINT", "origin")
        uint64(self.size, "BAD_CHECKPOINT", "size")
        if not self.origin or len(octets(self.root, "BAD_CHECKPOINT", "root")) != HASH_SIZE:
            raise ProofError("BAD_CHECKPOINT", f"origin is empty, or root is not {HASH_SIZE} bytes")


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed."""
    return f"{checkpoint.origin}\n{checkpoint.size}\n{encode_base64(checkpoint.root)}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint that a note's text states; extension lines are read past."""
    encode_utf8(text, "BAD_CHECKPOINT", "checkpoint")
    no_control(text, "BAD_CHECKPOINT", "checkpoint", but="\n")
    lines = text.split("\n")
    if len(lines) < 4 or lines.pop() or not all(lines):
        raise ProofError("BAD_CHECKPOINT", "it is not three or more lines, none of them empty")
    size = decode_decimal(lines[1], "BAD_CHECKPOINT", "size")
    return Checkpoint(lines[0], size, decode_base64(lines[2], "BAD_CHECKPOINT", "root"))


def sign_checkpoint(checkpoint: Checkpoint, signers: Iterable[Ed25519Signer]) -> bytes:
    """The checkpoint as a note signed by each of the signers."""
    return sign_note(encode_checkpoint(checkpoint), signers)


def verify_checkpoint(note: bytes, verifiers: Iterable[Verifier], origin: str) -> Checkpoint:
    """The checkpoint of this origin that the note states, when the note verifies."""
    return checkpoint_of(verified(parse_note(note), verifiers)[0], origin)


def checkpoint_of(text: str, origin: str) -> Checkpoint:
    """The checkpoint that a verified text states, when it is of this origin."""
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != origin:
        raise ProofError("WRONG_ORIGIN", "the checkpoint is of another log")
    return checkpoint
