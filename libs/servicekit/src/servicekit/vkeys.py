"""C2SP signed-note verifier keys of Ed25519: `<name>+<8 hex digits of key id>+<base64(0x01 || 32-byte key)>`."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from servicekit.errors import Invalid

ED25519: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key: 32 raw bytes."""

    name: str
    key: bytes

    @property
    def key_id(self) -> str:
        """The name and the first 4 bytes of SHA-256(name || newline || 0x01 || key): `<name>+<8 hex digits>`."""
        digest = hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.key).digest()
        return f"{self.name}+{digest[:4].hex()}"

    def public(self) -> Ed25519PublicKey:
        """The key as the library takes it."""
        return Ed25519PublicKey.from_public_bytes(self.key)

    def __str__(self) -> str:
        return f"{self.key_id}+{base64.b64encode(ED25519 + self.key).decode()}"


def verifier_key(name: str, key: Ed25519PublicKey) -> VerifierKey:
    """The verifier key of this name and public key; Invalid for a name with blanks or a plus sign."""
    if not name or "+" in name or any(char.isspace() for char in name):
        raise Invalid("A key's name has no blanks and no plus sign.", reason="VKEY_INVALID")
    return VerifierKey(name, key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def parse_vkey(text: str) -> VerifierKey:
    """The key that the text gives; Invalid when it is malformed, of another kind, or its id is not its own."""
    refused = Invalid("The text is not an Ed25519 verifier key.", reason="VKEY_INVALID")
    try:
        name, _, encoded = text.strip().split("+", 2)
        raw = base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise refused from None
    if len(raw) != 33 or raw[:1] != ED25519 or not name:
        raise refused
    key = VerifierKey(name, raw[1:])
    if str(key) != text.strip():
        raise refused
    return key


def read_vkeys(path: Path) -> Sequence[VerifierKey]:
    """The keys of a file, one per line; blank lines and lines that begin with # are skipped."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise Invalid("The file of verifier keys cannot be read.", reason="VKEY_INVALID") from error
    return [parse_vkey(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
