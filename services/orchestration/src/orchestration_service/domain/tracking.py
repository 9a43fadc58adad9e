"""Tracking tokens: an HMAC of (decision, action, rank), so that an outcome can only be told of what was shown."""

from __future__ import annotations

import base64
import hashlib
import hmac

CONTEXT = b"assent/tracking/v1\x00"
BYTES = 18


def tracking_token(key: bytes, decision_id: str, action: str, rank: int) -> str:
    """The token that goes with a treatment; URL-safe."""
    message = CONTEXT + b"\x00".join((decision_id.encode(), action.encode(), str(rank).encode()))
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)[:BYTES]).decode()


def is_genuine(key: bytes, token: str, decision_id: str, action: str, rank: int) -> bool:
    """Whether the token is the one that went out; in constant time."""
    return hmac.compare_digest(token.encode(), tracking_token(key, decision_id, action, rank).encode())
