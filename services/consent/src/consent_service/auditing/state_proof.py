"""A subject's state for one key, with what proves it: a document that anybody checks with nothing but the log's key. Pure.

PUBLIC shows the entries that decide, and does not say whose they are: it proves that they were recorded, and that they come to this verdict.
FULL shows every entry of the subject (and of each that answers for it) with its private body and the chain's key: it proves that none of them
is missing between the first and the last, and, against the leaves of the whole log (`verifying_state.complete`), that the last is the latest.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from consent_service.auditing.openings import Opening
from consent_service.domain.canonical import parsed
from consent_service.domain.choices import Key
from consent_service.domain.verdicts import Verdict
from consent_service.domain.verification import Refused
from consent_service.domain.words import Basis, Reason, State
from servicekit.basis import canonical
from servicekit.errors import Invalid

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Claim:
    """What is proved: the verdict for a key at `as_of_us`, as known at `known_us`, among the first `size` entries."""

    key: Key
    regimes: tuple[str, ...]
    as_of_us: int
    known_us: int
    size: int
    registry: int | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry, and its tlog-proof."""

    opening: Opening
    proof: str


@dataclass(frozen=True, slots=True)
class Chain:
    """All entries of one subject."""

    subject: str
    key: bytes
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StateProof:
    """The document. With `chains` it is FULL: the subject asked for comes first, the one that answers last."""

    ledger: str
    origin: str
    claim: Claim
    note: bytes
    entries: tuple[Proven, ...]
    chains: tuple[Chain, ...] = ()


def encode(proof: StateProof) -> bytes:
    """The document in canonical form."""
    return canonical(
        {
            "type": "state",
            "v": VERSION,
            "ledger": proof.ledger,
            "origin": proof.origin,
            "claim": _claim(proof.claim),
            "note": proof.note.decode(),
            "entries": [_proven(proven) for proven in proof.entries],
            "chains": [
                {"subject": chain.subject, "key": _b64(chain.key), "indices": list(chain.indices)}
                for chain in proof.chains
            ],
        }
    )


def decode(data: bytes) -> StateProof:
    """The proof of these bytes; Refused when they are no document in canonical form."""
    try:
        said = parsed(data)
        if said.pop("type") != "state" or said.pop("v") != VERSION:
            raise Refused("FORMAT", "that is no proof of a state of this version")
        proof = StateProof(
            ledger=_text(said.pop("ledger")),
            origin=_text(said.pop("origin")),
            claim=_read_claim(said.pop("claim")),
            note=_text(said.pop("note")).encode(),
            entries=tuple(map(_read_proven, said.pop("entries"))),
            chains=tuple(
                Chain(_text(chain.pop("subject")), _bytes(chain.pop("key")), tuple(chain.pop("indices")))
                for chain in said.pop("chains")
            ),
        )
    except (Invalid, KeyError, TypeError, ValueError, AttributeError):
        raise Refused("FORMAT", "that is no proof of a state") from None
    if said or encode(proof) != data:
        raise Refused("FORMAT", "the document has a field that is not known")
    return proof


def _claim(claim: Claim) -> dict[str, Any]:
    verdict = claim.verdict
    found = {
        "allowed": verdict.allowed,
        "reason": verdict.reason.value,
        "state": verdict.state.value,
        "basis": verdict.basis.value if verdict.basis is not None else None,
        "support": verdict.support,
        "until": verdict.until_us,
    }
    return {
        "key": claim.key._asdict(),
        "regimes": list(claim.regimes),
        "as_of": claim.as_of_us,
        "known": claim.known_us,
        "size": claim.size,
        "registry": claim.registry if claim.registry is not None else -1,
        "verdict": {name: value for name, value in found.items() if value is not None},
    }


def _read_claim(said: Mapping[str, Any]) -> Claim:
    found = said["verdict"]
    verdict = Verdict(
        Reason(found["reason"]),
        State(found["state"]),
        Basis(found["basis"]) if "basis" in found else None,
        found.get("support"),
        found.get("until"),
    )
    if verdict.allowed is not found["allowed"]:
        raise ValueError
    registry = said["registry"] if said["registry"] >= 0 else None
    times = said["as_of"], said["known"], said["size"]
    return Claim(Key(**said["key"]), tuple(said["regimes"]), *times, registry, verdict)


def _proven(proven: Proven) -> dict[str, Any]:
    opening = proven.opening
    shown = {
        "pub": opening.pub.decode() if opening.pub is not None else None,
        "salt_pub": _b64(opening.salt_pub),
        "priv": opening.priv.decode() if opening.priv is not None else None,
        "salt_priv": _b64(opening.salt_priv),
    }
    bodies = {name: value for name, value in shown.items() if value is not None}
    return {"index": opening.position, "leaf": _b64(opening.leaf), "proof": proven.proof, **bodies}


def _read_proven(said: Mapping[str, Any]) -> Proven:
    opening = Opening(
        position=int(said["index"]),
        leaf=_bytes(said["leaf"]),
        pub=_text(said["pub"]).encode() if "pub" in said else None,
        salt_pub=_bytes(said["salt_pub"]) if "salt_pub" in said else None,
        priv=_text(said["priv"]).encode() if "priv" in said else None,
        salt_priv=_bytes(said["salt_priv"]) if "salt_priv" in said else None,
    )
    return Proven(opening, _text(said["proof"]))


def _b64(data: bytes | None) -> str | None:
    return base64.b64encode(data).decode() if data is not None else None


def _bytes(value: Any) -> bytes:
    return binascii.a2b_base64(_text(value), strict_mode=True)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
