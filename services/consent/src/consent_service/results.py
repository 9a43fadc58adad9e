"""The answer to a request that was answered before, from what is stored: the same as the first one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from consent_service.domain import acceptance
from consent_service.domain.entries import Entry
from consent_service.domain.position import Position
from consent_service.domain.registry import Registry
from consent_service.planning import carried
from consent_service.ports import Opened, Result, Written
from tlog import leaf_hash


class Stored(NamedTuple):
    """An entry as it is stored, and what a receipt shows of it."""

    entry: Entry
    opened: Opened


def again(ledger: str, stored: Sequence[Stored], registry: Registry) -> Result:
    """What was answered when these entries were written; `registry` is the one in force before them."""
    entries = [found.entry for found in stored]
    last = entries[-1]
    denials = [entry.statement for entry in entries if entry.statement is not None and entry.statement.denial]
    return Result(
        position=Position(ledger, last.epoch, last.index),
        recorded_us=last.recorded_us,
        entries=tuple(_written(found) for found in stored),
        subject=last.subject or "",
        denied=acceptance.denied_purposes(registry, denials) if denials else (),
        digest=last.note.get("digest", ""),
        display_status=last.note.get("display_status", ""),
        carried=carried(entries),
        opened=tuple(found.opened for found in stored),
        replayed=True,
    )


def _written(stored: Stored) -> Written:
    entry = stored.entry
    return Written(entry.index, entry.kind.value, entry.effective, entry.reason, leaf_hash(stored.opened.leaf))
