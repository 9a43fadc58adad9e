"""Verifier keys: a public key as text, with the name it signs under.

    <name>+<key id: 8 hex digits>+<base64(type || public key)>
    key id = SHA-256(name || 0x0A || type || public key)[:4]

Source: C2SP signed-note (c2sp.org/signed-note), "Signatures" and "Verifier keys". The id is short on purpose: together
with the name it says which key to try, and a stranger's key with the same id fails as a wrong signature. Types are one
byte; we verify 0x01 (Ed25519) and 0x04 (Ed25519 cosignature with a time). A key of another type can be read and written,
so that a list of keys may name one before we know its type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from tlog.errors import Code, ProofError
from tlog.strict import decode_base64, encode_base64, encode_utf8, no_control, octets

ED25519: Final = 0x01
COSIGNATURE: Final = 0x04
KEY_SIZE: Final = 32
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}", re.ASCII)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and its type of signature."""

    name: str
    type: int
    key: bytes

    def __post_init__(self) -> None:
        check_name(self.name, "BAD_KEY", "key name")
        if type(self.type) is not int or not 0 <= self.type <= 0xFF:
            raise ProofError("BAD_KEY", "key type is not one byte")
        length = len(octets(self.key, "BAD_KEY", "key"))
        if length == 0 or (self.is_known and length != KEY_SIZE):
            raise ProofError("BAD_KEY", f"key is not {KEY_SIZE} bytes" if length else "key is empty")

    @property
    def is_known(self) -> bool:
        """Whether signatures of this type can be verified."""
        return self.type in {ED25519, COSIGNATURE}

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || newline || type || key)."""
        return sha256(self.name.encode() + b"\n" + self.typed_key).digest()[:4]

    @property
    def typed_key(self) -> bytes:
        """The type byte and the key."""
        return bytes([self.type]) + self.key


def parse_vkey(text: str) -> VerifierKey:
    """The key that the text gives, when the key id in it is its own."""
    encode_utf8(text, "BAD_KEY", "vkey")
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise ProofError("BAD_KEY", "vkey is not <name>+<8 lowercase hex digits>+<base64>")
    typed_key = decode_base64(parts[2], "BAD_KEY", "vkey")
    if not typed_key:
        raise ProofError("BAD_KEY", "key is empty")
    vkey = VerifierKey(parts[0], typed_key[0], typed_key[1:])
    if vkey.key_id.hex() != parts[1]:
        raise ProofError("BAD_KEY", "vkey has the id of another name or key")
    return vkey


def format_vkey(vkey: VerifierKey) -> str:
    """The text of the key."""
    return f"{vkey.name}+{vkey.key_id.hex()}+{encode_base64(vkey.typed_key)}"


def check_name(name: str, code: Code, what: str) -> None:
    """Refuse a name that is empty, or that has a space, a plus sign or a control character."""
    encode_utf8(name, code, what)
    no_control(name, code, what)
    if not name or "+" in name or any(map(str.isspace, name)):
        raise ProofError(code, f"{what} is empty, or has a space or a plus sign")
