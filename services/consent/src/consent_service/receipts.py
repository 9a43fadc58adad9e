"""Receipts: what whoever made a choice is given at once, and can show later. Pure.

The body is canonical JSON: `v` 1, `ledger`, `epoch`, `index` (the last entry's), `recorded_at`, `kid`, and `entries`, each with `index`,
`leaf` (base64), `pub` (the public body, a text) and `salt` (base64; none where the body is open to all). Whoever has it can recompute the
leaf's commitment to the public body, and with an inclusion proof that the leaf is in the log.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final, NamedTuple

from consent_service.domain.canonical import joined, number, text
from consent_service.ports import Opened, Result
from consent_service.reading import StatementKey

CONTEXT: Final = b"assent/receipt/v1\x00"


class Receipt(NamedTuple):
    """The exact body bytes, the id of the statement key, and its signature."""

    body: bytes
    key_id: str
    signature: bytes


def sign(result: Result, key: StatementKey) -> Receipt | None:
    """The receipt of a write; of one that added nothing there is none."""
    if not result.entries:
        return None
    encoded = body(result, key.key_id)
    return Receipt(encoded, key.key_id, key.key.sign(CONTEXT + encoded))


def body(result: Result, kid: str) -> bytes:
    """What is signed."""
    entries = [_entry(written.index, opened) for written, opened in zip(result.entries, result.opened, strict=True)]
    parts = {
        "v": "1",
        "ledger": text(result.position.ledger),
        "epoch": number(result.position.epoch),
        "index": number(result.position.index),
        "recorded_at": number(result.recorded_us),
        "kid": text(kid),
        "entries": f"[{','.join(entries)}]",
    }
    return joined(parts).encode()


def _entry(index: int, opened: Opened) -> str:
    parts: dict[str, Any] = {
        "index": number(index),
        "leaf": text(b64encode(opened.leaf).decode()),
        "pub": text(opened.pub.decode()),
    }
    if opened.salt:
        parts["salt"] = text(b64encode(opened.salt).decode())
    return joined(parts)
