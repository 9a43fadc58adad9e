"""Which replica of a service consumes which partition."""

from __future__ import annotations

import hashlib
from typing import Final

PARTITIONS: Final = 64


def partition_of(key: str) -> int:
    """The partition of a session or subject: stable for ever, the same in every process."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % PARTITIONS
