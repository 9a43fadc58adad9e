"""The hops of one decision and the messages that travel on them, taken from a recorded decision and kept in a file."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass


@dataclass(frozen=True, slots=True)
class Hop:
    """A call of a sibling: `stage` names it in the pipeline."""

    stage: str
    service: str
    method: str
    request: bytes
    response: bytes

    @property
    def path(self) -> str:
        """The method as gRPC addresses it."""
        return f"/{_full_name(self.service)}/{self.method}"

    def types(self) -> tuple[type[Message], type[Message]]:
        """The generated classes of request and response; the service's stubs must have been imported."""
        found: Any = descriptor_pool.Default()
        method = found.FindServiceByName(_full_name(self.service)).methods_by_name[self.method]
        return GetMessageClass(method.input_type), GetMessageClass(method.output_type)


def _full_name(service: str) -> str:
    return f"assent.{service}.v1.{service.capitalize()}Service"


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows of hops, of which those of one row travel side by side; then what is recorded and what is answered."""

    rows: Sequence[Sequence[Hop]]
    record: bytes
    answer: bytes

    def hops(self) -> list[Hop]:
        """All of them, in order."""
        return [hop for row in self.rows for hop in row]

    def write(self, path: Path) -> None:
        """Keep it where the processes of the floor find it."""
        rows = [[_written(hop) for hop in row] for row in self.rows]
        text = {"rows": rows, "record": _text(self.record), "answer": _text(self.answer)}
        path.write_text(json.dumps(text))

    @staticmethod
    def read(path: Path) -> Prepared:
        """What `write` kept."""
        found = json.loads(path.read_text())
        rows = [[_read(hop) for hop in row] for row in found["rows"]]
        return Prepared(rows, b64decode(found["record"]), b64decode(found["answer"]))


def _written(hop: Hop) -> dict[str, str]:
    names = {"stage": hop.stage, "service": hop.service, "method": hop.method}
    return {**names, "request": _text(hop.request), "response": _text(hop.response)}


def _read(told: dict[str, str]) -> Hop:
    messages = {name: b64decode(told[name]) for name in ("request", "response")}
    return Hop(told["stage"], told["service"], told["method"], **messages)


def _text(data: bytes) -> str:
    return b64encode(data).decode()
