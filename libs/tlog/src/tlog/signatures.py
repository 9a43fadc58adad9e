"""Making and checking Ed25519 signatures (RFC 8032) under a name."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tlog.cosignatures import read_cosignature
from tlog.errors import ProofError
from tlog.vkeys import COSIGNATURE, ED25519, VerifierKey, format_vkey, parse_vkey

SIGNATURE_SIZE: Final = 64


class Ed25519Signer:
    """A private key that signs notes under a name, type 0x01. `key` may be its 32-byte seed."""

    __slots__ = ("_key", "vkey")

    def __init__(self, name: str, key: Ed25519PrivateKey | bytes) -> None:
        self._key = _private(key)
        self.vkey = VerifierKey(name, ED25519, self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @property
    def name(self) -> str:
        """The name it signs under."""
        return self.vkey.name

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that tell its signatures from others of that name."""
        return self.vkey.key_id

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"Ed25519Signer({format_vkey(self.vkey)})"


class Verifier:
    """A public key that notes are checked with. One of a type we do not know verifies nothing."""

    __slots__ = ("_public", "key_id", "vkey")

    def __init__(self, vkey: VerifierKey | str) -> None:
        self.vkey = parse_vkey(vkey) if isinstance(vkey, str) else vkey
        self.key_id = self.vkey.key_id
        self._public = _public(self.vkey.key) if self.vkey.is_known else None

    @property
    def name(self) -> str:
        """The name it answers to."""
        return self.vkey.name

    @property
    def is_known(self) -> bool:
        """Whether it can verify signatures of its type."""
        return self._public is not None

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raise ProofError unless this key signed the text, in the form that its type prescribes."""
        message = text
        if self.vkey.type == COSIGNATURE:
            _, message, signature = read_cosignature(text, signature)
        if self._public is None or len(signature) != SIGNATURE_SIZE:
            raise ProofError("BAD_SIGNATURE", "a signature of a known key has another length")
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            raise ProofError("BAD_SIGNATURE", "a signature of a known key does not verify") from None

    def __repr__(self) -> str:
        return f"Verifier({format_vkey(self.vkey)})"


def _private(key: Ed25519PrivateKey | bytes) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(key) if isinstance(key, bytes) else key
    except ValueError:
        raise ProofError("BAD_KEY", "a seed is 32 bytes") from None


def _public(key: bytes) -> Ed25519PublicKey:
    try:
        return Ed25519PublicKey.from_public_bytes(key)
    except ValueError:
        raise ProofError("BAD_KEY", "key is no Ed25519 public key") from None
