"""Leaves: what the log's tree is made of. 162 bytes, big endian, and exactly one encoding for each value.

    version 1 | class 1 | ledger id 16 | epoch 8 | recorded_at 8 | c_pub 32 | c_priv 32 | subject_tag 32 | prev_commit 32

A leaf holds nothing about a person: commitments and tags look random to whoever has no key. Fields that a class does not use are zero.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

from servicekit.errors import Invalid

VERSION: Final = 1
ZERO: Final = bytes(32)

_LAYOUT: Final = struct.Struct(">BB16sQQ32s32s32s32s")
SIZE: Final = _LAYOUT.size
"""162."""


class LeafClass(IntEnum):
    """What a leaf speaks about. LEDGER: created, epoch, key rotation, succession."""

    SUBJECT = 1
    REGISTRY = 2
    LEDGER = 3
    ERASURE = 4


class Leaf(NamedTuple):
    """One leaf: `ledger` is the 16 bytes of the ledger's id, `recorded_us` epoch microseconds, the last four fields 32 bytes each."""

    of: int
    ledger: bytes
    epoch: int
    recorded_us: int
    c_pub: bytes
    c_priv: bytes = ZERO
    subject_tag: bytes = ZERO
    prev_commit: bytes = ZERO


_SUBJECT, _ERASURE = int(LeafClass.SUBJECT), int(LeafClass.ERASURE)
_WIDTHS: Final = (16, 32, 32, 32, 32)
_UNUSED: Final[Mapping[int, tuple[int, ...]]] = {
    LeafClass.SUBJECT: (),
    LeafClass.REGISTRY: (5, 6, 7),
    LeafClass.LEDGER: (5, 6, 7),
    LeafClass.ERASURE: (5,),
}
"""By class, the places in Leaf of what stays zero."""


def encode(leaf: Leaf) -> bytes:
    """The bytes of a leaf; Invalid when they would not parse back."""
    widths = (len(leaf.ledger), len(leaf.c_pub), len(leaf.c_priv), len(leaf.subject_tag), len(leaf.prev_commit))
    if widths != _WIDTHS:  # struct would pad or cut in silence
        raise _malformed("A field of the leaf has another length.")
    _admit(leaf)
    try:
        return _LAYOUT.pack(VERSION, *leaf)
    except struct.error:
        raise _malformed("A number of the leaf is out of range.") from None


def pack_subject(
    ledger: bytes,
    epoch: int,
    recorded_us: int,
    c_pub: bytes,
    c_priv: bytes,
    subject_tag: bytes,
    prev_commit: bytes,
) -> bytes:
    """`encode` of a subject's leaf, whose widths are known: a ledger's id, and digests."""
    return _LAYOUT.pack(VERSION, _SUBJECT, ledger, epoch, recorded_us, c_pub, c_priv, subject_tag, prev_commit)


def parse(data: bytes) -> Leaf:
    """The leaf of these bytes; Invalid for another length, version or class, and for an unused field that is not zero."""
    if len(data) != SIZE:
        raise _malformed("A leaf has 162 bytes.")
    if data[0] != VERSION:
        raise _malformed("The version of the leaf is not known.")
    leaf = Leaf._make(_LAYOUT.unpack(data)[1:])
    if leaf.of != _SUBJECT:
        _admit(leaf)
    return leaf


def _admit(leaf: Leaf) -> None:
    """Raise Invalid unless the class is known and leaves zero what it does not use."""
    unused = _UNUSED.get(leaf.of)
    if unused is None:
        raise _malformed("The class of the leaf is not known.")
    if any(leaf[place] != ZERO for place in unused):
        raise _malformed("A field that the leaf's class does not use is not zero.")


def _malformed(text: str) -> Invalid:
    return Invalid(text, field="leaf", reason="LEAF_MALFORMED")
