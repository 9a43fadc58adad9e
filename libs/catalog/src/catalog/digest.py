"""A bundle as canonical JSON, and the digest that names it.

Canonical JSON is RFC 8785 restricted to text, booleans, whole numbers below 2^53, lists and maps with ASCII keys,
sorted; no null (an absent field is left out) and no fraction. What has fractions, such as an action's value, is a
decimal written as text without trailing zeros; durations and instants are whole milliseconds. Defaults are written
out, so that a later release with another default does not change what an approved digest means.

The digest is SHA-256 over the bytes: services verify the bytes they received and never encode again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from catalog.findings import CatalogInvalid, Finding, Position
from catalog.model import Bundle

PREFIX = "sha256:"
LARGEST = 1 << 53
_UNPAIRED = re.compile("[\ud800-\udfff\x00]")


def bundle_to_json(bundle: Bundle) -> bytes:
    """The canonical bytes of a bundle."""
    return canonical(bundle.model_dump(mode="json", by_alias=True, exclude_none=True))


def bundle_from_json(data: bytes, digest: str | None = None) -> Bundle:
    """The bundle of canonical bytes; raises CatalogInvalid when they are not one, or not those that `digest` names."""
    if digest is not None and digest_of(data) != digest:
        raise _refused("DIGEST", "these bytes have another digest")
    try:
        return Bundle.model_validate_json(data)
    except ValidationError as error:
        raise _refused("BAD_VALUE", str(error)) from error


def bundle_digest(bundle: Bundle) -> str:
    """`sha256:<hex>` of the bundle's canonical bytes."""
    return digest_of(bundle_to_json(bundle))


def digest_of(data: bytes) -> str:
    """`sha256:<hex>` of canonical bytes as they are."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def canonical(value: object) -> bytes:
    """Canonical JSON; raises ValueError for what the restriction has no place for."""
    _examine(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _examine(value: object) -> None:
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        _require(abs(value) < LARGEST, "a whole number is 2^53 or more")
    elif isinstance(value, str):
        _require(not _UNPAIRED.search(value), "a text holds NUL or half a character")
    elif isinstance(value, Mapping):
        _require(all(isinstance(key, str) and key.isascii() for key in value), "a key is not ASCII text")
        _examine_all(value.values())
    else:
        _require(isinstance(value, list | tuple), f"{type(value).__name__} has no canonical form")
        assert isinstance(value, list | tuple)
        _examine_all(value)


def _examine_all(values: Iterable[object]) -> None:
    for value in values:
        _examine(value)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)


def _refused(code: str, message: str) -> CatalogInvalid:
    return CatalogInvalid([Finding(code, "error", message, "fetch the bundle again", Position("bundle", 0))])
