"""The consent basis: how the ledger signs "for this subject, channel and time, these purposes and categories are allowed".

This is the only verifier. The bytes received are verified, then parsed; nothing is encoded again. Keys are C2SP signed-note
verifier keys from configuration, never from the network: `<name>+<8 hex digits of key id>+<base64(0x01 || 32-byte key)>`.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from servicekit.errors import Forbidden, Invalid
from servicekit.vkeys import VerifierKey

CONTEXT: Final = b"assent/basis/v1\x00"
FUTURE_SLACK_US: Final = 2_000_000
SELF: Final = "self"
"""The bank, as recipient: the only one that bases are about."""
_SAFE_INTEGER: Final = 1 << 53


@dataclass(frozen=True, slots=True)
class SignedBasis:
    """What travels: the exact body bytes, the id of the key (`<name>+<8 hex digits>`), and the signature."""

    body: bytes
    key_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Basis:
    """What a verified body says. Times are epoch microseconds."""

    ledger: str
    epoch: int
    index: int
    subject: str
    members: frozenset[str]
    channel: str
    at_us: int
    not_after_us: int
    registry: str
    allowed: Mapping[str, frozenset[str]]
    rests_on: frozenset[str] = frozenset()
    """The lawful bases of what is allowed."""
    recipient: str = SELF
    regimes: tuple[str, ...] = ()

    def allows(self, purpose: str, category: str) -> bool:
        """Whether data of this category may be used for this purpose."""
        return category in self.allowed.get(purpose, ())

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """All that is allowed, as (purpose, category)."""
        return frozenset((purpose, category) for purpose, found in self.allowed.items() for category in found)


def ledger_id(name: str) -> str:
    """The id of the ledger of this name: the first 16 bytes of its SHA-256, in hex."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def canonical(value: Any) -> bytes:
    """RFC 8785 restricted to ASCII keys, text, booleans, integers below 2^53, arrays and objects; Invalid for the rest."""
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_key(key)
            _check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner)
    elif not isinstance(value, int) or abs(value) >= _SAFE_INTEGER:
        raise Invalid("A canonical body holds only text, booleans, integers below 2^53, arrays and objects.")


def _check_key(key: Any) -> None:
    if not isinstance(key, str) or not key.isascii() or "\x00" in key:
        raise Invalid("A canonical body's keys are ASCII.")


def _check_text(value: str) -> None:
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise Invalid("A canonical body's text holds no unpaired surrogates.")
    if "\x00" in value:
        raise Invalid("A canonical body's text holds no NUL.")


def sign(body: Mapping[str, Any], key: Ed25519PrivateKey, key_id: str) -> SignedBasis:
    """The signed basis of this body, in which `kid` must be the key's id."""
    if body.get("kid") != key_id:
        raise Invalid("A basis names the key that signs it.", field="kid")
    return sign_encoded(canonical(dict(body)), key, key_id)


def sign_encoded(body: bytes, key: Ed25519PrivateKey, key_id: str) -> SignedBasis:
    """As `sign`, of a body in canonical form that names the key."""
    return SignedBasis(body=body, key_id=key_id, signature=key.sign(CONTEXT + body))


def verify(
    signed: SignedBasis | None,
    keys: Mapping[str, Ed25519PublicKey],
    *,
    now_us: int,
    ledger: str,
    subject: str,
    channel: str,
    purposes: Iterable[str] = (),
    min_epoch: int = 0,
) -> Basis:
    """The basis, once everything about it holds; Forbidden with a BASIS_* reason otherwise."""
    basis = _authentic(signed, keys)
    _admit(basis, now_us=now_us, ledger=ledger, subject=subject, channel=channel, purposes=purposes, epoch=min_epoch)
    return basis


def _authentic(signed: SignedBasis | None, keys: Mapping[str, Ed25519PublicKey]) -> Basis:
    if signed is None or not signed.body or not signed.signature:
        raise Forbidden("A consent basis is needed.", reason="BASIS_MISSING")
    key = keys.get(signed.key_id)
    if key is None:
        raise _unsigned("The consent basis is signed by a key that is not known here.")
    try:
        key.verify(signed.signature, CONTEXT + signed.body)
    except InvalidSignature:
        raise _unsigned("The consent basis is not signed by that key.") from None
    return _parsed(signed)


def _unsigned(text: str) -> Forbidden:
    return Forbidden(text, reason="BASIS_SIGNATURE")


def _parsed(signed: SignedBasis) -> Basis:
    """Read the body; one that is signed and yet not of version 1 is refused like a forged one."""
    try:
        body = json.loads(signed.body)
        if body["v"] != 1 or body["kid"] != signed.key_id:
            raise _unsigned("The consent basis is of another version, or names another key.")
        return Basis(
            ledger=body["ledger"],
            epoch=int(body["epoch"]),
            index=int(body["index"]),
            subject=body["subject"],
            members=frozenset(body["members"]),
            channel=body["channel"],
            at_us=int(body["at"]),
            not_after_us=int(body["not_after"]),
            registry=body["registry"],
            allowed=_allowed(body["allowed"]),
            rests_on=frozenset(entry.get("basis", "") for entry in body["allowed"]),
            recipient=body.get("recipient", SELF),
            regimes=tuple(body.get("regimes", ())),
        )
    except (ValueError, KeyError, TypeError):
        raise _unsigned("The consent basis cannot be read.") from None


def _allowed(entries: Iterable[Mapping[str, Any]]) -> Mapping[str, frozenset[str]]:
    """Categories by purpose; a purpose has one entry for each grant that it rests on."""
    allowed: dict[str, frozenset[str]] = {}
    for entry in entries:
        allowed[entry["purpose"]] = allowed.get(entry["purpose"], frozenset()) | frozenset(entry["categories"])
    return allowed


def _admit(
    basis: Basis, *, now_us: int, ledger: str, subject: str, channel: str, purposes: Iterable[str], epoch: int
) -> None:
    """Raise the first reason for which this basis does not serve, in the order of the design."""
    refusals = (
        ("BASIS_LEDGER", basis.ledger != ledger),
        ("BASIS_EPOCH", basis.epoch < epoch),
        ("BASIS_EXPIRED", now_us >= basis.not_after_us),
        ("BASIS_FUTURE", now_us < basis.at_us - FUTURE_SLACK_US),
        ("BASIS_SUBJECT", subject not in basis.members),
        ("BASIS_CHANNEL", channel != basis.channel),
        ("BASIS_SCOPE", basis.recipient != SELF or any(purpose not in basis.allowed for purpose in purposes)),
    )
    for reason, refused in refusals:
        if refused:
            raise Forbidden("The consent basis does not cover this.", reason=reason)


def public_keys(keys: Iterable[VerifierKey]) -> Mapping[str, Ed25519PublicKey]:
    """The keys by their id, as `verify` takes them."""
    return {key.key_id: key.public() for key in keys}


class Verifier:
    """Verifies the bases of one ledger: each signature once per process, and no epoch below the highest seen."""

    def __init__(self, keys: Mapping[str, Ed25519PublicKey], *, ledger: str, remember: int = 1024) -> None:
        self._keys = keys
        self._ledger = ledger
        self._size = remember
        self._known: OrderedDict[SignedBasis, Basis] = OrderedDict()
        self._epoch = 0

    def verify(
        self, signed: SignedBasis | None, *, now_us: int, subject: str, channel: str, purposes: Iterable[str] = ()
    ) -> Basis:
        """As the function `verify`; only the signature is remembered, everything else is looked at each time."""
        basis = self.recorded(signed)
        _admit(
            basis,
            now_us=now_us,
            ledger=self._ledger,
            subject=subject,
            channel=channel,
            purposes=purposes,
            epoch=self._epoch,
        )
        self._epoch = max(self._epoch, basis.epoch)
        return basis

    def verify_then(
        self, signed: SignedBasis | None, *, now_us: int, subject: str, channel: str, purposes: Iterable[str] = ()
    ) -> Basis:
        """As the function `verify`: the same answer at any time, so whatever epoch was seen since does not matter."""
        basis = self.recorded(signed)
        _admit(basis, now_us=now_us, ledger=self._ledger, subject=subject, channel=channel, purposes=purposes, epoch=0)
        return basis

    def recorded(self, signed: SignedBasis | None) -> Basis:
        """What a basis of another time says, once its signature holds: for records that are read again, never to act on."""
        basis = self._known.get(signed) if signed is not None else None
        if basis is None or signed is None:
            return self._remember(signed)
        self._known.move_to_end(signed)
        return basis

    def _remember(self, signed: SignedBasis | None) -> Basis:
        basis = _authentic(signed, self._keys)
        if signed is not None:
            self._known[signed] = basis
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return basis
