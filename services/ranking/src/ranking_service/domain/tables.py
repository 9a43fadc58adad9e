"""The tables that scoring reads: data files named by their SHA-256, generated once in high precision by `tools/tables.py`."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from servicekit.errors import FailedPrecondition

NQ: Final = "f3b6cbf3d300d88f4f2e802828d35b8d3c20097054028856282787b67fa694cb"
"""Normal quantiles at k/4096 for k = 0..4096, in units of 2^-20; the ends are the quantiles of 2^-14 and 1 - 2^-14."""


@cache
def table(digest: str) -> tuple[int, ...]:
    """The integers of a shipped table. Raises FailedPrecondition when there is none of that digest."""
    try:
        text = (resources.files("ranking_service") / "data" / f"{digest}.txt").read_bytes()
    except FileNotFoundError:
        raise _unknown("This table is not shipped.") from None
    if hashlib.sha256(text).hexdigest() != digest:
        raise _unknown("The shipped table is not what its name says.")
    return tuple(map(int, text.split()))


def _unknown(text: str) -> FailedPrecondition:
    return FailedPrecondition(text, reason="TABLE_UNKNOWN")
