"""Requests of the rights service as values."""

from __future__ import annotations

import re
from typing import Final

from assent.consent.v1 import rights_service_pb2 as pb
from servicekit.errors import Invalid

_ROLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_REASON: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/#-]{0,119}", re.ASCII)


def ground(value: pb.ErasureGround.ValueType) -> str:
    """Its name."""
    if value not in pb.ErasureGround.values() or value == pb.ERASURE_GROUND_UNSPECIFIED:
        raise Invalid("Say why.", field="ground")
    return pb.ErasureGround.Name(value).removeprefix("ERASURE_GROUND_")


def role(value: str, *, required: bool) -> str:
    """A role, which names nobody."""
    if (value or required) and not _ROLE.fullmatch(value):
        raise Invalid("A role has 1 to 64 letters, digits, spaces and -_.", field="role")
    return value


def reason(value: str) -> str:
    """A reference, which names nobody."""
    if not _REASON.fullmatch(value):
        raise Invalid("A reason is a reference of 1 to 120 letters, digits, spaces and ._:/#-", field="hold.reason")
    return value
