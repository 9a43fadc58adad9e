"""The JSON object that a command of `assent tlog` is given: read strictly, each field once, none left over.

Two readers of one JSON text must see one value, so what parsers differ about is refused: a key that occurs twice, NaN,
numbers with a fraction or an exponent, a minus before 0, unpaired surrogates.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

from tlog.errors import ProofError
from tlog.hashing import leaf_hash
from tlog.strict import HASH_SIZE, MAX_UINT64, decode_base64, decode_utf8, encode_utf8, uint64

MAX_REQUEST: Final = 16 << 20
BASE64_SIZE: Final = 44
LONGEST_INTEGER: Final = len(str(MAX_UINT64))


class Request:
    """The fields of one JSON object, taken out one by one."""

    __slots__ = ("_fields",)

    def __init__(self, data: bytes) -> None:
        self._fields = _object(data)

    def has(self, name: str) -> bool:
        """Whether the field is there and not yet taken."""
        return name in self._fields

    def integer(self, name: str) -> int:
        """An integer from 0 to 2^64 - 1."""
        return uint64(self._take(name), "BAD_INPUT", name)

    def text(self, name: str) -> str:
        """A string without unpaired surrogates."""
        return _text(self._take(name), name)

    def hash(self, name: str) -> bytes:
        """A hash in hexadecimal or base64."""
        return _hash(self._take(name), name)

    def texts(self, name: str) -> list[str]:
        """An array of strings."""
        return [_text(value, name) for value in self._array(name)]

    def hashes(self, name: str) -> list[bytes]:
        """An array of hashes."""
        return [_hash(value, name) for value in self._array(name)]

    def octets(self, name: str) -> bytes:
        """A string's bytes, in the encoding that the field `encoding` names."""
        return self._decoder()(self._take(name), name)

    def many_octets(self, name: str) -> list[bytes]:
        """The bytes of each string of an array, in the encoding that the field `encoding` names."""
        decode = self._decoder()
        return [decode(value, name) for value in self._array(name)]

    def leaf_hash(self) -> bytes:
        """The field `leaf_hash`, or the hash of the field `leaf`."""
        return leaf_hash(self.octets("leaf")) if self.has("leaf") else self.hash("leaf_hash")

    def end(self) -> None:
        """Refuse what is left."""
        for name in self._fields:
            _refuse(f"{json.dumps(name)[:40]} is no field of this command, or not beside the others")

    def _take(self, name: str) -> object:
        value = self._fields.pop(name, None)
        return _refuse(f"{name} is missing or null") if value is None else value

    def _array(self, name: str) -> list[object]:
        value = self._take(name)
        return value if isinstance(value, list) else _refuse(f"{name} is not an array")

    def _decoder(self) -> Callable[[object, str], bytes]:
        return DECODERS.get(self.text("encoding")) or _refuse("encoding is none of hex, base64, utf8")


def _object(data: bytes) -> dict[str, object]:
    if len(data) > MAX_REQUEST:
        _refuse("the input is over 16 MiB")
    text = decode_utf8(data, "BAD_INPUT", "the input")
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_int=_integer, **NO_NUMBERS)
    except (ValueError, RecursionError):
        _refuse("the input is not one JSON object")
    return found if isinstance(found, dict) else _refuse("the input is not one JSON object")


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            _refuse(f"{json.dumps(name)[:40]} occurs twice")
        fields[name] = value
    return fields


def _integer(digits: str) -> int:
    """Long numbers are not even computed: that takes time quadratic in their length."""
    if digits.startswith("-") or len(digits) > LONGEST_INTEGER:
        _refuse("an integer is not from 0 to 2^64 - 1")
    return int(digits)


def _no_number(_text: str) -> NoReturn:
    _refuse("a number is not an integer")


def _text(value: object, name: str) -> str:
    encode_utf8(value, "BAD_INPUT", name)
    assert isinstance(value, str)
    return value


def _hash(value: object, name: str) -> bytes:
    text = _text(value, name)
    if len(text) == 2 * HASH_SIZE:
        return _hexadecimal(text, name)
    data = decode_base64(text, "BAD_INPUT", name) if len(text) == BASE64_SIZE else b""
    return data if len(data) == HASH_SIZE else _refuse(f"{name}: a hash is 64 hexadecimal digits or 44 of base64")


def _hexadecimal(value: object, name: str) -> bytes:
    text = _text(value, name)
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    # fromhex skips blanks, so the length is compared too.
    return data if 2 * len(data) == len(text) else _refuse(f"{name} is not hexadecimal")


def _base64(value: object, name: str) -> bytes:
    return decode_base64(_text(value, name), "BAD_INPUT", name)


def _utf8(value: object, name: str) -> bytes:
    return encode_utf8(value, "BAD_INPUT", name)


def _refuse(text: str) -> NoReturn:
    raise ProofError("BAD_INPUT", text)


NO_NUMBERS: Final[dict[str, Any]] = {"parse_float": _no_number, "parse_constant": _no_number}
DECODERS: Final = {"hex": _hexadecimal, "base64": _base64, "utf8": _utf8}
