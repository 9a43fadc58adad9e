"""An export of the ledger: JSON Lines that a third party verifies offline, with nothing but the log's key.

    {"type":"header","v":1,"ledger":hex,"origin":text,"from":n,"to":n,"frontier":[b64],"filtered":bool}
    {"type":"entry","index":n,"leaf":b64,"pub"?:text,"salt_pub"?:b64}
    {"type":"notice","id":text,"version":n,"locale":text,"bytes":b64}
    {"type":"checkpoint","note":text}
    {"type":"chain","key":b64,"indices":[n]}

The header comes first and entries are in order; `to` is the index after the last. `frontier` are the hashes of the compact range of size
`from`. `pub` is the canonical text itself, so that what is verified is what was received, and nothing is encoded again; a subject's comes
with its salt, an open one without. A chain discloses HMAC(K, "chain") of one subject and claims that exactly these entries are theirs.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from servicekit.errors import Invalid

VERSION: Final = 1
ENTRY: Final = b'"type":"entry"'
"""Part of each line that `encode_line` writes for an entry, and of no other."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the export is of. A filtered one cannot be verified as a whole."""

    ledger: str
    origin: str
    first: int
    end: int
    frontier: tuple[bytes, ...] = ()
    filtered: bool = False


class EntryLine(NamedTuple):
    """One leaf, and its public body when it is opened."""

    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    leaf: bytes
    pub: bytes | None = None
    salt_pub: bytes | None = None


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """The exact words shown."""

    id: str
    version: int
    locale: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CheckpointLine:
    """A signed note."""

    note: bytes


@dataclass(frozen=True, slots=True)
class ChainLine:
    """One subject's chain key, and all the entries of theirs."""

    key: bytes
    indices: tuple[int, ...]


Line: TypeAlias = Header | EntryLine | NoticeLine | CheckpointLine | ChainLine


def export_lines(header: Header, lines: Iterable[Line]) -> Iterator[bytes]:
    """The lines of an export, each with its end."""
    yield encode_line(header)
    for line in lines:
        yield encode_line(line)


def encode_line(line: Line) -> bytes:
    """One line with its end, for whoever streams."""
    kind, fields = _FIELDS_OF[type(line)](line)
    return json.dumps({"type": kind, **fields}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _header(line: Header) -> tuple[str, dict[str, Any]]:
    span = {"from": line.first, "to": line.end}
    frontier = list(map(_to_b64, line.frontier))
    named = {"v": VERSION, "ledger": line.ledger, "origin": line.origin}
    return "header", {**named, **span, "frontier": frontier, "filtered": line.filtered}


def _entry(line: EntryLine) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = {"index": line.index, "leaf": _to_b64(line.leaf)}
    if line.pub is not None:
        fields["pub"] = line.pub.decode()
    if line.salt_pub is not None:
        fields["salt_pub"] = _to_b64(line.salt_pub)
    return "entry", fields


def _notice(line: NoticeLine) -> tuple[str, dict[str, Any]]:
    return "notice", {"id": line.id, "version": line.version, "locale": line.locale, "bytes": _to_b64(line.data)}


def _checkpoint(line: CheckpointLine) -> tuple[str, dict[str, Any]]:
    return "checkpoint", {"note": line.note.decode()}


def _chain(line: ChainLine) -> tuple[str, dict[str, Any]]:
    return "chain", {"key": _to_b64(line.key), "indices": list(line.indices)}


_FIELDS_OF: Final[Mapping[type, Callable[[Any], tuple[str, dict[str, Any]]]]] = {
    Header: _header,
    EntryLine: _entry,
    NoticeLine: _notice,
    CheckpointLine: _checkpoint,
    ChainLine: _chain,
}


def parse_line(data: bytes) -> Line:
    """The line that was written so; Invalid when a field is unknown, missing, repeated, null or of another type."""
    return _quickly(data) or _carefully(data)


_START: Final = re.compile(rb'\{"type":"entry","index":(0|[1-9][0-9]{0,15}),"leaf":"')
_LEAF_SIZE: Final = 216
"""The base64 of 162 bytes, which needs no padding and so has one form."""
_SALTED: Final = re.compile(rb'","salt_pub":"([A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)"\}\n')
"""The base64 of 32 bytes: the last digit has two bits that are not used, and zero."""
_SALTED_SIZE: Final = len(b'","salt_pub":""}\n') + 44
_PRINTABLE: Final = bytes(range(0x20, 0x7F))


def _quickly(data: bytes) -> EntryLine | None:
    """An entry's line exactly as `encode_line` writes it, or None: most lines of an export are this one, so it is worth a way of its own."""
    start = _START.match(data)
    if start is None:
        return None
    body = start.end() + _LEAF_SIZE + 1
    index, leaf = int(start[1]), _plain(data[start.end() : body - 1])
    if leaf is None or data[body - 1 : body] != b'"':
        return None
    if data[body:] == b"}\n":
        return EntryLine(index, leaf)
    salted = _SALTED.fullmatch(data, len(data) - _SALTED_SIZE)
    if salted is None or not data.startswith(b',"pub":"', body):
        return None
    pub = data[body + 8 : -_SALTED_SIZE]
    plain = pub.replace(b'\\"', b'"')
    quotes = len(pub) - len(plain)
    # Every quote is escaped and nothing else is: then taking the escapes away is all that JSON would do.
    if pub.count(b'"') != quotes or pub.count(b"\\") != quotes or pub.translate(None, _PRINTABLE):
        return None
    return EntryLine(index, leaf, plain, binascii.a2b_base64(salted[1]))


def _plain(leaf: bytes) -> bytes | None:
    try:
        found = binascii.a2b_base64(leaf, strict_mode=True)
    except ValueError:
        return None
    return found if len(found) * 4 == _LEAF_SIZE * 3 else None


def _carefully(data: bytes) -> Line:
    try:
        fields = _DECODER.decode(data.decode())
        read = _READERS[fields.pop("type")] if isinstance(fields, dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        read = None
    if read is None:
        raise _malformed("A line is no JSON object of a known type.")
    try:
        line = read(fields)
    except KeyError as error:
        raise _malformed("A field of a line is missing.") from error
    if fields:
        raise _malformed("A line has a field that is not known.")
    return line


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _malformed("A field of a line is repeated.")
    return fields


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique)


def _read_header(fields: dict[str, Any]) -> Header:
    if _number(fields.pop("v")) != VERSION:
        raise _malformed("The version of the export is not known.")
    ledger = _text(fields.pop("ledger"))
    if len(ledger) != 32 or ledger.strip("0123456789abcdef"):
        raise _malformed("The id of a ledger is 32 hexadecimal digits.")
    first, end = _number(fields.pop("from")), _number(fields.pop("to"))
    filtered = fields.pop("filtered")
    if first > end or not isinstance(filtered, bool):
        raise _malformed("The header's range is not one.")
    frontier = tuple(map(_from_b64, _list(fields.pop("frontier"))))
    return Header(ledger, _text(fields.pop("origin")), first, end, frontier, filtered)


def _read_entry(fields: dict[str, Any]) -> EntryLine:
    index, leaf = _number(fields.pop("index")), _from_b64(fields.pop("leaf"))
    pub = _text(fields.pop("pub")).encode(errors="surrogatepass") if "pub" in fields else None
    salt = _from_b64(fields.pop("salt_pub")) if "salt_pub" in fields else None
    return EntryLine(index, leaf, pub, salt)


def _read_notice(fields: dict[str, Any]) -> NoticeLine:
    name, version, locale = _text(fields.pop("id")), _number(fields.pop("version")), _text(fields.pop("locale"))
    return NoticeLine(name, version, locale, _from_b64(fields.pop("bytes")))


def _read_checkpoint(fields: dict[str, Any]) -> CheckpointLine:
    return CheckpointLine(_text(fields.pop("note")).encode(errors="surrogatepass"))


def _read_chain(fields: dict[str, Any]) -> ChainLine:
    return ChainLine(_from_b64(fields.pop("key")), tuple(map(_number, _list(fields.pop("indices")))))


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], Line]]] = {
    "header": _read_header,
    "entry": _read_entry,
    "notice": _read_notice,
    "checkpoint": _read_checkpoint,
    "chain": _read_chain,
}


def _to_b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_b64(value: Any) -> bytes:
    try:
        data = binascii.a2b_base64(_text(value), strict_mode=True)
    except ValueError:
        raise _malformed("A field of a line is not base64.") from None
    if binascii.b2a_base64(data, newline=False).decode() != value:
        raise _malformed("A field of a line is not the base64 of its bytes.")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _malformed("A field of a line is not text.")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise _malformed("A field of a line is no number from 0 to 2^64 - 1.")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _malformed("A field of a line is no list.")
    return value


def _malformed(text: str) -> Invalid:
    return Invalid(text, reason="FORMAT")
