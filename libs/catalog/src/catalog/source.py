"""YAML with positions: plain data, and for every part of it the file and line it came from.

Only whole numbers, booleans and text are data. A fraction, a date or a time of day stays the text that was written,
for the model to read; YAML's own idea of them would lose digits or a time zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from catalog.findings import Finding, Position

Path = tuple[str | int, ...]
MAX_BYTES = 1 << 20
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = "tag:yaml.org,2002:int"
_BOOL = "tag:yaml.org,2002:bool"
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(slots=True)
class Sources:
    """Where each part of the merged data was written."""

    positions: dict[Path, Position] = field(default_factory=dict)

    def position(self, path: Path) -> Position:
        """The line of the part, or of the nearest part around it that was written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.positions:
                return self.positions[path[:length]]
        return Position(".", 0)


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file: its data, and positions by path inside it."""

    data: object
    positions: dict[Path, Position]
    findings: tuple[Finding, ...]


def read(text: str, file: str) -> Document:
    """The file's data; what cannot be read is a finding, not an exception."""
    if len(text.encode()) > MAX_BYTES:
        return _unreadable("TOO_LARGE", f"more than {MAX_BYTES} bytes", "split the file", Position(file, 0))
    try:
        node = yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError as error:
        return _unreadable("YAML", str(getattr(error, "problem", error)), "write valid YAML", _mark(error, file))
    reader = _Reader(file)
    data = reader.build(node, ()) if node is not None else {}
    return Document(data, reader.positions, tuple(reader.findings))


def _mark(error: yaml.YAMLError, file: str) -> Position:
    mark = getattr(error, "problem_mark", None)
    return Position(file, mark.line + 1 if mark else 0)


def _unreadable(code: str, message: str, fix: str, position: Position) -> Document:
    return Document({}, {}, (Finding(code, "error", message, fix, position),))


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file
        self.positions: dict[Path, Position] = {}
        self.findings: list[Finding] = []

    def build(self, node: yaml.Node, path: Path) -> object:
        self.positions.setdefault(path, self._position(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.build(part, (*path, index)) for index, part in enumerate(node.value)]
        return self._scalar(node)

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, object]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key_node.tag == _MERGE or not isinstance(key_node, yaml.ScalarNode):
                self._find("YAML_KEY", f"{key} cannot be a key", "write plain keys; merge keys are not used", key_node)
            elif key in seen:
                self._find("DUPLICATE_KEY", f"{key} is given twice", "keep one of them", key_node)
            else:
                seen.add(key)
                self.positions[*path, key] = self._position(key_node)
                yield key, self.build(value_node, (*path, key))

    def _scalar(self, node: yaml.Node) -> object:
        if node.tag in {_INT, _BOOL}:
            return self._plain(node)
        if node.tag == _NULL:
            self._find("NULL", "nothing is written here", "write a value, or leave the key out", node)
        return str(node.value)

    def _plain(self, node: yaml.Node) -> object:
        text = str(node.value)
        if node.tag == _BOOL:
            return text if text.lower() not in {"true", "false"} else text.lower() == "true"
        digits = text.lstrip("+-").replace("_", "")
        if not digits.isdecimal() or (digits[0] == "0" and digits != "0"):
            return text
        return int(text.replace("_", ""))

    def _position(self, node: yaml.Node) -> Position:
        return Position(self._file, node.start_mark.line + 1)

    def _find(self, code: str, message: str, fix: str, node: yaml.Node) -> None:
        self.findings.append(Finding(code, "error", message, fix, self._position(node)))
