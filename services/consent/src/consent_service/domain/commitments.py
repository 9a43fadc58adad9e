"""Commitments, tags and seals: what lets one destroyed key end a person's record while every proof of the log stays good.

K is a subject's random 32-byte key, e an entry's random 16-byte id, and sub(label) = HMAC-SHA256(K, label || 0x00 || e || 0x01): one block
of HKDF-Expand (RFC 5869). Salts and tags are secrets as long as K is one; without K they cannot be told from noise, nor from one another.
A commitment is to the plaintext: AES-GCM does not commit to its key, so a commitment to ciphertext could open two ways.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from consent_service.domain.leaf import Leaf, LeafClass, encode, pack_subject
from servicekit.errors import Invalid

if TYPE_CHECKING:
    from hashlib import _Hash

KEY_SIZE: Final = 32
EVENT_ID_SIZE: Final = 16
NONCE_SIZE: Final = 12
FIRST: Final = bytes(32)
"""In place of the previous leaf hash of a subject that has none."""

SALT_PUB: Final = b"salt-pub"
SALT_PRIV: Final = b"salt-priv"
TAG: Final = b"tag"
ENC: Final = b"enc"

_PUB: Final = b"assent/pub/v1\x00"
_PRIV: Final = b"assent/priv/v1\x00"
_OPEN: Final = b"assent/open/v1\x00"
_CHAIN: Final = b"assent/chain/v1\x00"
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class SubjectKey:
    """A subject's key K, ready to derive: the two halves of HMAC are begun once and copied for each use."""

    __slots__ = ("_chain", "_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_SIZE:
            raise Invalid("A subject's key has 32 bytes.", reason="KEY_MALFORMED")
        block = key.ljust(64, b"\x00")
        self._inner: _Hash = sha256(block.translate(_INNER_PAD))
        self._outer: _Hash = sha256(block.translate(_OUTER_PAD))
        self._chain = self._hmac(b"chain")

    @property
    def chain(self) -> bytes:
        """HMAC(K, "chain"): whoever is given it can follow the subject's entries through the leaves, and open none."""
        return self._chain

    def sub(self, label: bytes, event_id: bytes) -> bytes:
        """The 32 bytes for this use in this entry."""
        return self._hmac(b"%b\x00%b\x01" % (label, event_id))

    def subs(self, event_id: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        """What an entry needs: the two salts, the tag, and the key of the seal."""
        tail = b"\x00%b\x01" % event_id
        return (
            self._hmac(SALT_PUB + tail),
            self._hmac(SALT_PRIV + tail),
            self._hmac(TAG + tail),
            self._hmac(ENC + tail),
        )

    def _hmac(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


class Stamp(NamedTuple):
    """What every leaf says in clear: the ledger's id (16 bytes), the writer's epoch and time."""

    ledger: bytes
    epoch: int
    recorded_us: int


class Sealed(NamedTuple):
    """A private body under AES-256-GCM."""

    nonce: bytes
    ciphertext: bytes


def public_commitment(salt: bytes, body: bytes) -> bytes:
    """c_pub of a subject's entry; `body` is canonical."""
    return sha256(b"%b%b%b" % (_PUB, salt, body)).digest()


def private_commitment(salt: bytes, body: bytes) -> bytes:
    """c_priv of a subject's entry; `body` is canonical."""
    return sha256(b"%b%b%b" % (_PRIV, salt, body)).digest()


def open_commitment(body: bytes) -> bytes:
    """c_pub of the classes without a person; `body` is canonical and public."""
    return sha256(_OPEN + body).digest()


def link_to(chain: bytes, previous: bytes = FIRST) -> bytes:
    """prev_commit of the entry that follows the one with this leaf hash."""
    return sha256(b"%b%b%b" % (_CHAIN, chain, previous)).digest()


def subject_leaf(
    key: SubjectKey, stamp: Stamp, event_id: bytes, *, pub: bytes, priv: bytes, previous: bytes = FIRST
) -> bytes:
    """The leaf of a subject's entry; `previous` is the hash of the subject's last leaf."""
    return encode(
        Leaf(
            LeafClass.SUBJECT.value,
            *stamp,
            public_commitment(key.sub(SALT_PUB, event_id), pub),
            private_commitment(key.sub(SALT_PRIV, event_id), priv),
            key.sub(TAG, event_id),
            link_to(key.chain, previous),
        )
    )


class Made(NamedTuple):
    """A subject's entry made: its leaf, the salt that opens the public body, the private body sealed."""

    leaf: bytes
    salt: bytes
    sealed: Sealed


def subject_entry(
    key: SubjectKey, stamp: Stamp, event_id: bytes, nonce: bytes, *, pub: bytes, priv: bytes, previous: bytes = FIRST
) -> Made:
    """`subject_leaf` and `seal` at once, for a writer that does little else; a test holds them to the same bytes."""
    salt_pub, salt_priv, tag, enc = key.subs(event_id)
    leaf = pack_subject(
        stamp.ledger,
        stamp.epoch,
        stamp.recorded_us,
        sha256(b"%b%b%b" % (_PUB, salt_pub, pub)).digest(),
        sha256(b"%b%b%b" % (_PRIV, salt_priv, priv)).digest(),
        tag,
        sha256(b"%b%b%b" % (_CHAIN, key.chain, previous)).digest(),
    )
    sealed = Sealed(nonce, AESGCM(enc).encrypt(nonce, priv, stamp.ledger + event_id))
    return Made(leaf, salt_pub, sealed)


def open_leaf(of: LeafClass, stamp: Stamp, body: bytes) -> bytes:
    """The leaf of an entry of the registry or the ledger."""
    return encode(Leaf(of.value, *stamp, open_commitment(body)))


def erasure_leaf(key: SubjectKey, stamp: Stamp, event_id: bytes, *, body: bytes, previous: bytes) -> bytes:
    """The leaf that closes a subject's chain; made just before the key is destroyed."""
    tag, link = key.sub(TAG, event_id), link_to(key.chain, previous)
    return encode(
        Leaf(LeafClass.ERASURE.value, *stamp, open_commitment(body), subject_tag=tag, prev_commit=link),
    )


def seal(key: SubjectKey, ledger: bytes, event_id: bytes, body: bytes, random: Callable[[int], bytes]) -> Sealed:
    """The private body, readable only with the subject's key, in this ledger, as this entry's."""
    nonce = random(NONCE_SIZE)
    return Sealed(nonce, AESGCM(key.sub(ENC, event_id)).encrypt(nonce, body, ledger + event_id))


def unseal(key: SubjectKey, ledger: bytes, event_id: bytes, sealed: Sealed) -> bytes:
    """The private body; Invalid when it is another key's, ledger's or entry's."""
    try:
        return AESGCM(key.sub(ENC, event_id)).decrypt(sealed.nonce, sealed.ciphertext, ledger + event_id)
    except (InvalidTag, ValueError):
        raise Invalid("The sealed body does not open.", reason="SEAL_BROKEN") from None
