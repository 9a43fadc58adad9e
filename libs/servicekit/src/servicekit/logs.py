"""Logs: one JSON object per line on stderr, with the trace's id. Messages are constant text.

What varies goes into `extra`, whose names are an allow-list; anything else is left out, and its name kept, so that a
careless line shows up without leaking. An exception leaves its class, reason and frames: its text may hold a person's data.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, TextIO

from servicekit import telemetry
from servicekit.errors import AssentError

FIELDS: Final = frozenset(
    {"method", "status", "reason", "trace_id", "task", "check", "stream", "consumer", "partition", "epoch", "sequence"}
    | {"deliveries", "verdict", "event_body", "duration_ms", "count", "port", "phase", "version", "bundle", "snapshot"}
    | {
        "decision_id",
        "subject_hash",
        "stage",
        "degradation",
        "attempt",
        "retry_in_s",
        "names",
        "table",
        "size",
        "limit",
    }
)
_STANDARD: Final = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One line of JSON per record."""

    def __init__(self, service: str, instance: str) -> None:
        super().__init__()
        self._constant = {"service": service, "instance": instance}

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self._constant,
        }
        found = telemetry.trace_id()
        if found:
            line["trace_id"] = found
        line.update(_extra(record))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(_exception(record.exc_info[1]))
        return json.dumps(line, default=str)


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    given = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    allowed = {name: value for name, value in given.items() if name in FIELDS}
    left_out = sorted(given.keys() - allowed.keys())
    return {**allowed, "left_out": left_out} if left_out else allowed


def _exception(error: BaseException) -> dict[str, Any]:
    found: dict[str, Any] = {"error": " < ".join(_chain(error)), "frames": _frames(error.__traceback__)}
    if isinstance(error, AssentError):
        found.setdefault("reason", error.code)
    return found


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield type(error).__qualname__
        error = error.__cause__


def _frames(found: TracebackType | None) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(found)]


def configure(*, service: str, instance: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of the process through one JSON handler."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service, instance))
    logging.basicConfig(level=level, handlers=[handler], force=True)
