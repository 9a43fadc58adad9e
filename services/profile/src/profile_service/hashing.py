"""Identifiers as they are stored: HMAC-SHA256 under a key of the bank's, so that the clear value is nowhere.

Losing the key loses the way from a customer number to its subject; a copy of the database without it says nothing about people.
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Final, Self

from profile_service.domain.identity import Known
from servicekit.errors import Invalid

SHORTEST: Final = 32


class Hasher:
    """Turns identifiers into digests."""

    def __init__(self, key: bytes) -> None:
        self._keyed = hmac.new(key, digestmod="sha256")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The hasher with the key of this file; Invalid when it is away or shorter than 32 bytes."""
        try:
            key = path.read_bytes().strip()
        except OSError as error:
            raise Invalid("The key of identifiers cannot be read.", reason="BAD_IDENTIFIER_KEY") from error
        if len(key) < SHORTEST:
            raise Invalid("The key of identifiers has at least 32 bytes.", reason="BAD_IDENTIFIER_KEY")
        return cls(key)

    def known(self, kind: str, value: str) -> Known:
        """The identifier by its digest. A subject id is ours and random: it stands for itself."""
        if kind == "subject_id":
            return Known(kind, value.encode(), None)
        digest = self._keyed.copy()
        digest.update(f"{kind}\0{value}".encode())
        return Known(kind, digest.digest())
