"""The noise of a decision (ranking.md section 6): a function of decision, snapshot, seed and action, and of nothing else.

One draw per action and name: it depends neither on the order nor on the set of candidates, so removing one changes nobody
else's score, and a replay needs only what was recorded. Integers all the way: equal on every CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

MASK: Final = (1 << 64) - 1
WHOLE: Final = 1 << 64
"""Draws are fractions of this."""


def _le64(*parts: bytes) -> int:
    return int.from_bytes(blake2b(b"".join(parts), digest_size=8).digest(), "little")


@lru_cache(maxsize=65_536)
def identity(text: str) -> int:
    """LE64(BLAKE2b-8(text))."""
    return _le64(text.encode())


def splitmix64(state: int) -> int:
    """The output of SplitMix64 (Steele, Lea, Flood 2014) whose state before the step is `state`."""
    mixed = (state + 0x9E3779B97F4A7C15) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK
    return mixed ^ (mixed >> 31)


def decision_key(decision_id: str, snapshot_digest: bytes, seed: int) -> int:
    """The key of all draws of a decision. `snapshot_digest` is the 32 bytes, `seed` is unsigned and of 64 bits."""
    return _le64(b"assent-rank-1\x00", decision_id.encode(), b"\x00", snapshot_digest, seed.to_bytes(8, "little"))


def normal(key: int, action: str, quantiles: Sequence[int]) -> int:
    """A standard normal draw for an action, in units of 2^-20, by inversion of the quantile table with 4,096 steps."""
    uniform = splitmix64(identity(action) ^ key)
    index, fraction = uniform >> 52, (uniform >> 20) & 0xFFFFFFFF
    below = quantiles[index]
    return below + (((quantiles[index + 1] - below) * fraction) >> 32)


def draw(key: int, name: str, identifier: str = "") -> int:
    """A uniform draw for a purpose and an id, as a fraction of 2^64."""
    return splitmix64(key ^ identity(f"{name}\x00{identifier}"))
