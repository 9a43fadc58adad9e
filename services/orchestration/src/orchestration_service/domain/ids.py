"""A decision's id and seed are functions of who asked and with which request id.

So a repeat, on any replica, makes the same id, and the stream's own de-duplication tells which of two answers was first.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

CONTEXT = b"assent/decision/v1\x00"


@dataclass(frozen=True, slots=True)
class DecisionKey:
    """The id of a decision and the seed of its noise."""

    decision_id: str
    seed: int


def decision_key(caller: str, request_id: str) -> DecisionKey:
    """The key for a caller's request."""
    digest = hashlib.sha256(CONTEXT + caller.encode() + b"\x00" + request_id.encode()).digest()
    return DecisionKey(digest[:16].hex(), int.from_bytes(digest[16:24], "big"))
