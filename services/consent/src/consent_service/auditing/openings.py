"""An entry as an auditor gets it: its leaf, and what opens the commitments in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from consent_service.domain import commitments
from consent_service.domain.commitments import SALT_PRIV, SALT_PUB, Sealed, SubjectKey
from consent_service.domain.export import EntryLine
from tlog import leaf_hash


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it is stored: of an erased one only the leaf."""

    index: int
    leaf: bytes
    kind: str = ""
    event_id: bytes = b""
    subject: str | None = None
    seq: int = 0
    pub: bytes | None = None
    sealed: Sealed | None = None

    @property
    def hash(self) -> bytes:
        """Of the leaf."""
        return leaf_hash(self.leaf)


class Opening(NamedTuple):
    """A leaf and the bodies that it commits to; a salt goes with each body of a subject."""

    position: int
    leaf: bytes
    pub: bytes | None = None
    salt_pub: bytes | None = None
    priv: bytes | None = None
    salt_priv: bytes | None = None

    @property
    def line(self) -> EntryLine:
        """As an export has it."""
        return EntryLine(self.position, self.leaf, self.pub, self.salt_pub)


def open_entry(stored: Stored, keys: Mapping[str, SubjectKey], ledger: bytes, *, private: bool = False) -> Opening:
    """What may be shown of an entry; of one whose key is gone only the leaf. Invalid when a sealed body does not open."""
    if stored.pub is None or stored.subject is None:
        return Opening(stored.index, stored.leaf, stored.pub)
    key = keys.get(stored.subject)
    if key is None:
        return Opening(stored.index, stored.leaf)
    opening = Opening(stored.index, stored.leaf, stored.pub, key.sub(SALT_PUB, stored.event_id))
    if not private or stored.sealed is None:
        return opening
    priv = commitments.unseal(key, ledger, stored.event_id, stored.sealed)
    return opening._replace(priv=priv, salt_priv=key.sub(SALT_PRIV, stored.event_id))
