"""Signed notes: a text, a blank line, and lines of signatures over the text.

    text, ending in a newline
    (empty line)
    — <name> <base64(key id || signature)>

Source: C2SP signed-note (c2sp.org/signed-note), "Format" and "Signatures". The last empty line divides, so the text may
have empty lines of its own. A name and a key id together say which key signed. Lines of keys the reader does not know are
ignored, which is how keys are rotated and witnesses added; a line of a key that it knows must verify, even beside a good
one, for a signer that signs two things as one is not to be believed about either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from tlog.errors import ProofError
from tlog.signatures import Ed25519Signer, Verifier
from tlog.strict import decode_base64, decode_utf8, encode_base64, encode_utf8, no_control, octets
from tlog.vkeys import check_name

MAX_NOTE: Final = 1 << 20
MAX_SIGNATURES: Final = 100
KEY_ID_SIZE: Final = 4
DASH: Final = "\u2014 "


class Signature(NamedTuple):
    """One line: who says to have signed, with which key, and the signature."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text with the signatures under it, none of them checked."""

    text: str
    signatures: tuple[Signature, ...]


class VerifiedNote(NamedTuple):
    """A text, and the name of each key that signed it, in the order of the note's lines."""

    text: str
    names: tuple[str, ...]


def parse_note(note: bytes) -> Note:
    """The parts of a note. Nothing in them is to be believed yet."""
    if len(octets(note, "BAD_NOTE", "note")) > MAX_NOTE:
        raise ProofError("BAD_NOTE", "note is over 1 MiB")
    whole = decode_utf8(note, "BAD_NOTE", "note")
    no_control(whole, "BAD_NOTE", "note", but="\n")
    text, divider, lines = whole.rpartition("\n\n")
    if not divider or not lines.endswith("\n"):
        raise ProofError("BAD_NOTE", "note has no empty line before its signatures, or no newline at its end")
    if lines.count("\n") > MAX_SIGNATURES:
        raise ProofError("BAD_NOTE", f"note has more than {MAX_SIGNATURES} signatures")
    return Note(text + "\n", tuple(map(_read_line, lines[:-1].split("\n"))))


def sign_note(text: str, signers: Iterable[Ed25519Signer]) -> bytes:
    """The text signed by each of the signers."""
    found, message = list(signers), encode_utf8(text, "BAD_NOTE", "text")
    if len({(signer.name, signer.key_id) for signer in found}) != len(found):
        raise ProofError("BAD_KEY", "two signers have one name and key id")
    lines = [_line(signer.name, signer.key_id + signer.sign(message)) for signer in found]
    note = f"{text}\n{''.join(lines)}".encode()
    if parse_note(note).text != text:
        raise ProofError("BAD_NOTE", "text does not end in a newline, or there is no signer")
    return note


def verify_note(note: bytes, verifiers: Iterable[Verifier]) -> VerifiedNote:
    """The text, when at least one of the verifiers signed it and none of their signatures is wrong."""
    text, signed = verified(parse_note(note), verifiers)
    return VerifiedNote(text, tuple(verifier.name for verifier in signed))


def verified(note: Note, verifiers: Iterable[Verifier]) -> tuple[str, Sequence[Verifier]]:
    """As `verify_note`, naming the verifiers themselves."""
    keys, signed, text = _by_key(verifiers), {}, note.text.encode()
    for name, key_id, signature in note.signatures:
        verifier = keys.get((name, key_id))
        if verifier is not None and verifier.is_known:
            verifier.verify(text, signature)
            signed[name, key_id] = verifier
    if not signed:
        raise ProofError("NO_KNOWN_SIGNATURE", "note has no signature of a known key")
    return note.text, tuple(signed.values())


def _by_key(verifiers: Iterable[Verifier]) -> dict[tuple[str, bytes], Verifier]:
    found = list(verifiers)
    keys = {(verifier.name, verifier.key_id): verifier for verifier in found}
    if len(keys) != len(found):
        raise ProofError("BAD_KEY", "two known keys have one name and key id")
    return keys


def _line(name: str, signature: bytes) -> str:
    return f"{DASH}{name} {encode_base64(signature)}\n"


def _read_line(line: str) -> Signature:
    name, space, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not space:
        raise ProofError("BAD_NOTE", "a signature line is not a dash, a name and a signature")
    check_name(name, "BAD_NOTE", "the name of a signature line")
    data = decode_base64(encoded, "BAD_NOTE", "a signature line")
    if len(data) <= KEY_ID_SIZE:
        raise ProofError("BAD_NOTE", "a signature line has no signature")
    return Signature(name, data[:KEY_ID_SIZE], data[KEY_ID_SIZE:])
