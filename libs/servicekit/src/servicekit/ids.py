"""Ids that sort by time: UUID version 7 (RFC 9562), a pure function of a time and random bytes."""

from __future__ import annotations

import os
import uuid

from servicekit.clock import Clock, SystemClock


def uuid7(now_ms: int, random: bytes) -> str:
    """The UUID of version 7 for epoch milliseconds and 10 random bytes (6 of their 80 bits are not used)."""
    if len(random) != 10:
        message = "uuid7 takes 10 random bytes"
        raise ValueError(message)
    bits = int.from_bytes(random, "big")
    value = (now_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | (bits >> 68) << 64 | 0b10 << 62 | bits & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def new_id(clock: Clock | None = None) -> str:
    """A fresh id, from the machine's clock and randomness unless a clock is given."""
    return uuid7((clock or SystemClock()).now_us() // 1000, os.urandom(10))
