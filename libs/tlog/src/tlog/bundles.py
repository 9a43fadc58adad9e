"""Entry bundles: up to 256 entries, each behind its length as a 16-bit big-endian number.

Source: C2SP tlog-tiles, "Log entries". Bundle n holds the entries of level-0 tile n, in order, so that their leaf hashes
are that tile's bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tlog.errors import ProofError
from tlog.strict import many_octets, octets
from tlog.tiles import FULL_WIDTH

MAX_ENTRY: Final = (1 << 16) - 1


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """The bundle of these entries."""
    found = many_octets(entries, "entries")
    if len(found) > FULL_WIDTH:
        raise ProofError("BAD_BUNDLE", f"a bundle has at most {FULL_WIDTH} entries")
    if any(len(entry) > MAX_ENTRY for entry in found):
        raise ProofError("BAD_BUNDLE", f"an entry has at most {MAX_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in found)


def decode_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle."""
    octets(bundle, "BAD_BUNDLE", "bundle")
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        start = at + 2
        at = start + int.from_bytes(bundle[at:start], "big")
        if start > len(bundle) or at > len(bundle) or len(entries) == FULL_WIDTH:
            raise ProofError("BAD_BUNDLE", f"it is cut off, or has more than {FULL_WIDTH} entries")
        entries.append(bundle[start:at])
    return entries
