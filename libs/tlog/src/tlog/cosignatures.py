"""Cosignatures with a time, signature type 0x04: a witness says when it saw a checkpoint, and that it never saw a fork.

    signature = time, 64 bits big endian || Ed25519 over
        cosignature/v1
        time <time, decimal>
        <the whole text of the note>

Source: C2SP tlog-cosignature (c2sp.org/tlog-cosignature), "Format" and "Ed25519 signed message". The time is in seconds
since 1970 and at most 2^63 - 1. We verify these and never make one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tlog.errors import ProofError

TIME_SIZE: Final = 8
MAX_TIME: Final = (1 << 63) - 1


class Cosignature(NamedTuple):
    """What a witness signed, and its Ed25519 signature."""

    time: int
    message: bytes
    signature: bytes


def read_cosignature(text: bytes, signature: bytes) -> Cosignature:
    """The parts of a type 0x04 signature over a note's text."""
    time = int.from_bytes(signature[:TIME_SIZE], "big")
    if len(signature) < TIME_SIZE or time > MAX_TIME:
        raise ProofError("BAD_SIGNATURE", "a cosignature has no time up to 2^63 - 1")
    return Cosignature(time, b"cosignature/v1\ntime %d\n" % time + text, signature[TIME_SIZE:])
