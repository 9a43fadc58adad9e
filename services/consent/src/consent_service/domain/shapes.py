"""What public bodies say, read fast: bodies that differ in digits alone are checked once for all.

An audit opens millions of bodies of a few hundred shapes. With every digit made a 1, equal texts have one shape, and what makes JSON
canonical is a property of the shape, but for two things: no number begins with a 0, and none is 2^53 or more. `said` is `reading` made
fast, and a test holds both to the same answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final, NamedTuple

from consent_service.domain.bodies import class_of
from consent_service.domain.canonical import parsed
from servicekit.errors import Invalid

NoticeKey = tuple[str, int, str]
Named = tuple[NoticeKey, str]
"""A version of a notice, and the SHA-256 of its words."""

SHOWN: Final = frozenset({"GRANT", "NOTICE_SERVED"})
"""The kinds that are taken only with the words that were shown, so that their bodies vouch for these."""

_ONES: Final = bytes.maketrans(b"0123456789", b"1" * 10)
_TOKENS: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"(:?)|([0-9]+)')
_NOTICE: Final = re.compile(rb'"notice":(\{[^{}]*\})')
_NAME: Final = b'"sha256":'
_ONES_NAME: Final = _NAME.translate(_ONES)
"""The one name with digits; another would have its own place in the order of names."""
_TOO_LARGE: Final = b"9007199254740992"


class Said(NamedTuple):
    """What an audit needs of a body: the class of its entry, and the notices for whose words it vouches."""

    of: int
    notices: Sequence[Named]


class _Shape(NamedTuple):
    of: int
    numbers: tuple[tuple[int, int], ...]
    names: tuple[int, ...]
    notice: tuple[int, int] | None


def said(pub: bytes) -> Said:
    """As `reading`."""
    shape = _shape(pub.translate(_ONES).replace(_ONES_NAME, _NAME)) if b"\\u" not in pub else None
    if shape is None or not _proper(pub, shape):
        return reading(pub)
    return Said(shape.of, (_named(pub[slice(*shape.notice)]),) if shape.notice else ())


def reading(pub: bytes) -> Said:
    """What the body says; Invalid when it is not canonical, or no public body."""
    body = parsed(pub)
    try:
        return Said(class_of(body["kind"]).value, tuple(_notices(body)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Invalid("That is no public body.", reason="BODY_MALFORMED") from None


def _notices(body: Mapping[str, Any]) -> Iterator[Named]:
    """The notices that a body names with a hash: the one shown, or those of a registry's document."""
    if body["kind"] in SHOWN and "notice" in body:
        yield _name(body["notice"])
    document = body.get("document")
    if document is not None:
        yield from document_notices(body, document.encode())


def document_notices(body: Mapping[str, Any], document: bytes) -> Iterator[Named]:
    """The notices of a registry's document; ValueError when it is not the one that the entry's body names.

    A document's bytes are its own, so it need not be canonical; but it says each thing once.
    """
    if body["note"]["digest"] != f"sha256:{sha256(document).hexdigest()}":
        raise ValueError
    yield from map(_name, json.loads(document, object_pairs_hook=_once).get("notices", ()))


def _name(notice: Mapping[str, Any]) -> Named:
    return (notice["id"], notice["version"], notice["locale"]), notice["sha256"]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError
    return fields


@lru_cache(maxsize=1 << 14)
def _shape(ones: bytes) -> _Shape | None:
    """The shape of bodies that are this one but for digits; None when a body must be read by itself."""
    try:
        of, notices = reading(ones)
    except Invalid:
        return None
    numbers, names = [], []
    for token in _TOKENS.finditer(ones):
        if token[3]:
            numbers.append(token.span(3))
        elif token[2] and token[0] == _NAME:
            names.append(token.start())
        elif token[2] and b"1" in token[1]:
            return None
    found = _NOTICE.search(ones) if notices else None
    if len(notices) > 1 or (b'"kind":"' not in ones) or bool(notices) is not (found is not None):
        return None
    if found is not None and _named(found[1]) != notices[0]:
        return None
    return _Shape(of, tuple(numbers), tuple(names), found.span(1) if found is not None else None)


def _proper(pub: bytes, shape: _Shape) -> bool:
    for start in shape.names:
        if not pub.startswith(_NAME, start):
            return False
    for start, end in shape.numbers:
        if pub[start] == 0x30 and (end - start > 1 or pub[start - 1] == 0x2D):
            return False
        if end - start > 15 and pub[start:end] >= _TOO_LARGE:
            return False
    return True


@lru_cache(maxsize=1 << 12)
def _named(notice: bytes) -> Named:
    return _name(json.loads(notice))
