"""What may come in: exact types and ranges, and one encoding per value.

A verifier that reads two texts as one value can be shown one of them while another is signed. So base64 (RFC 4648
section 4) has its padding and no stray bits, decimals have no leading zero, and `True` is not 1.
"""

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error, a2b_base64
from collections.abc import Iterable
from typing import Final

from tlog.errors import Code, ProofError

HASH_SIZE: Final = 32
MAX_UINT64: Final = (1 << 64) - 1
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


def uint64(value: object, code: Code, what: str) -> int:
    """The value, when it is an integer from 0 to 2^64 - 1; booleans are not integers here."""
    if type(value) is not int or not 0 <= value <= MAX_UINT64:
        raise ProofError(code, f"{what} is not an integer from 0 to 2^64 - 1")
    return value


def octets(value: object, code: Code, what: str) -> bytes:
    """The value, when it is bytes."""
    if not isinstance(value, bytes):
        raise ProofError(code, f"{what} is not bytes")
    return value


def one_hash(value: object, what: str) -> bytes:
    """The value, when it is 32 bytes."""
    if not isinstance(value, bytes) or len(value) != HASH_SIZE:
        raise ProofError("BAD_INPUT", f"{what} is not {HASH_SIZE} bytes")
    return value


def many_hashes(values: Iterable[bytes], what: str) -> list[bytes]:
    """The values as a list, when each is 32 bytes."""
    found = many_octets(values, what)
    if set(map(len, found)) - {HASH_SIZE}:
        raise ProofError("BAD_INPUT", f"{what}: not all are {HASH_SIZE} bytes")
    return found


def many_octets(values: Iterable[bytes], what: str) -> list[bytes]:
    """The values as a list, when each is bytes. Sets of types and lengths keep the loop over them in C."""
    try:
        found = list(values)
    except TypeError:
        raise ProofError("BAD_INPUT", f"{what} is not a list") from None
    if set(map(type, found)) - {bytes}:
        raise ProofError("BAD_INPUT", f"{what}: not all are bytes")
    return found


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return b64encode(data).decode("ascii")


def decode_base64(text: str, code: Code, what: str) -> bytes:
    """The bytes whose one encoding this is."""
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Error, ValueError):
        data = None
    if data is None or encode_base64(data) != text:
        raise ProofError(code, f"{what} is not canonical base64")
    return data


def decode_decimal(text: str, code: Code, what: str) -> int:
    """The integer from 0 to 2^64 - 1 whose one decimal form this is."""
    if not _DECIMAL.fullmatch(text):
        raise ProofError(code, f"{what} is not a decimal number without leading zeros")
    return uint64(int(text), code, what)


def encode_utf8(text: object, code: Code, what: str) -> bytes:
    """The text's bytes; unpaired surrogates have none."""
    if not isinstance(text, str):
        raise ProofError(code, f"{what} is not a text")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ProofError(code, f"{what} has an unpaired surrogate") from None


def decode_utf8(data: bytes, code: Code, what: str) -> str:
    """The text of these bytes."""
    try:
        return octets(data, code, what).decode()
    except UnicodeDecodeError:
        raise ProofError(code, f"{what} is not UTF-8") from None


def no_control(text: str, code: Code, what: str, *, but: str = "") -> None:
    """Refuse characters below U+0020, except one."""
    if _CONTROL.search(text.replace(but, "") if but else text):
        raise ProofError(code, f"{what} has a control character")
