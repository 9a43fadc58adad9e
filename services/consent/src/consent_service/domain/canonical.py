"""Canonical JSON by parts, and the strict way back.

What is canonical is said once, in `servicekit.basis.canonical`; most bodies repeat the same scopes, notices and regimes, so the writer
joins texts that were encoded before, and a test holds both to the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

from servicekit import basis
from servicekit.errors import Invalid

SAFE_INTEGER: Final = 1 << 53


def text(value: str) -> str:
    """A string in canonical form; Invalid when it holds a NUL or an unpaired surrogate."""
    if not is_text(value):
        raise Invalid("A canonical body's text holds no NUL and no unpaired surrogates.", reason="TEXT_REFUSED")
    return encode_basestring(value)


def is_text(value: str) -> bool:
    """Whether a canonical body may hold it."""
    return "\x00" not in value and (value.isascii() or _encodable(value))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def number(value: int) -> str:
    """An integer in canonical form; Invalid from 2^53 on."""
    if not -SAFE_INTEGER < value < SAFE_INTEGER:
        raise Invalid("A canonical body's integers are below 2^53.", reason="NUMBER_REFUSED")
    return str(int(value))


def flag(value: bool) -> str:
    """A boolean in canonical form."""
    return "true" if value else "false"


def unique(values: Iterable[str]) -> str:
    """A set in canonical form: an array, sorted, each once."""
    return f"[{','.join(map(text, sorted(set(values))))}]"


def joined(parts: Mapping[str, str]) -> str:
    """The object of these fields, whose values are in canonical form; names are ours, so ASCII without escapes."""
    return "{" + ",".join([f'"{name}":{parts[name]}' for name in sorted(parts)]) + "}"


def whole(value: Any) -> str:
    """Any value in canonical form."""
    return basis.canonical(value).decode()


def parsed(data: bytes) -> Any:
    """The value of these bytes; Invalid unless they are its canonical form: one value, one text, one commitment."""
    try:
        shown = data.decode()
        value = _READER.decode(shown)
        same = (_ENCODER.encode(value) if _is_plain(shown) else basis.canonical(value).decode()) == shown
    except (ValueError, RecursionError, Invalid):
        same = False
    if not same:
        raise Invalid("The body is not canonical JSON.", reason="BODY_NOT_CANONICAL")
    return value


def _is_plain(shown: str) -> bool:
    """Whether nothing in the text could be what canonical JSON refuses, so that encoding it again is check enough."""
    return shown.isascii() and "\\u" not in shown and "null" not in shown


def _integer(digits: str) -> int:
    value = int(digits)
    if not -SAFE_INTEGER < value < SAFE_INTEGER:
        raise ValueError
    return value


def _refused(_: str) -> Any:
    raise ValueError


_READER: Final = json.JSONDecoder(parse_int=_integer, parse_float=_refused, parse_constant=_refused)
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
