"""Arms: a hash of experiment and subject, so that they are the same on every channel and survive a login."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

CONTEXT = b"assent/arm/v1\x00"
WHOLE = 10_000


def bucket(experiment: str, subject: str) -> int:
    """0 .. 9999, uniform over subjects and independent between experiments."""
    digest = hashlib.sha256(CONTEXT + experiment.encode() + b"\x00" + subject.encode()).digest()
    return int.from_bytes(digest[:8], "big") % WHOLE


def arm(experiment: str, subject: str, shares: Sequence[tuple[str, int]]) -> str:
    """The arm of a subject; `shares` are (name, basis points) that add up to 10,000."""
    place = bucket(experiment, subject)
    for name, share in shares:
        place -= share
        if place < 0:
            return name
    raise ValueError("the arms' shares do not add up to 10,000")
