"""What is printed: messages as tables, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import click
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

_WIDE: Final = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def said(message: Message) -> dict[str, Any]:
    """A message's fields; numbers of 64 bits are numbers, and times stay microseconds."""
    found: dict[str, Any] = MessageToDict(message, preserving_proto_field_name=True)
    wide = {field.name for field in message.DESCRIPTOR.fields if field.cpp_type in _WIDE}
    return {name: int(value) if name in wide and isinstance(value, str) else value for name, value in found.items()}


def show(rows: Iterable[Message], columns: tuple[str, ...], *, as_json: bool) -> None:
    """A table of these columns, or everything as JSON."""
    found = list(map(said, rows))
    if as_json:
        for row in found:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    table = Table(*columns)
    for row in found:
        table.add_row(*[_cell(column, row.get(column, "")) for column in columns])
    Console(width=None if Console().is_terminal else 200).print(table)


def _cell(column: str, value: Any) -> str:
    if column.endswith("_us") and isinstance(value, int) and value:
        return datetime.fromtimestamp(value / 1_000_000, UTC).isoformat()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
