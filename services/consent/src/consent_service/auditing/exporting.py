"""An export of the log, line by line: whole, or what a filter lets through."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from consent_service.auditing.checking import range_before
from consent_service.auditing.entries_store import Picked
from consent_service.auditing.openings import Opening
from consent_service.auditing.proofs import TreeStore
from consent_service.auditing.proving import Audit, origin_of
from consent_service.domain.export import CheckpointLine, Header, encode_line
from consent_service.domain.shapes import NoticeKey, said
from servicekit.errors import Invalid

LARGEST: Final = 256 * 1024
"""Bytes of lines that travel together, about."""


EVERYTHING: Final = Picked()


@dataclass(frozen=True, slots=True)
class Export:
    """Which part, and what of it. `actor_id` and `method` are said by private bodies."""

    first: int = 0
    last: int = 0
    picked: Picked = EVERYTHING
    actor_id: str = ""
    method: str = ""

    @property
    def private(self) -> bool:
        """Whether private bodies are needed."""
        return bool(self.actor_id or self.method)

    @property
    def filtered(self) -> bool:
        """Whether something may be left out."""
        return self.private or not self.picked.everything


async def export(query: Export, audit: Audit, tree: TreeStore) -> AsyncIterator[bytes]:
    """The lines, some at a time. Up to the size of a checkpoint, so that all of it is signed."""
    signed = await audit.proofs.checkpoint(at_least=query.last)
    if query.first > signed.size:
        raise Invalid("It is behind the end.", field="from")
    end = await audit.entries.end()
    frontier = (await range_before(query.first, tree)).hashes
    header = Header(end.ledger, origin_of(signed.note), query.first, signed.size, frontier, query.filtered)
    named: dict[NoticeKey, None] = {}
    lines, size = [encode_line(header)], 0
    async for stored in audit.entries.between(query.first, signed.size, query.picked):
        openings = await audit.opened(stored, bytes.fromhex(end.ledger), private=query.private)
        for opening in (each for each in openings if _passes(query, each)):
            named |= dict.fromkeys(_notices(opening))
            lines.append(encode_line(opening.line))
            size += len(lines[-1])
        if size > LARGEST:
            yield b"".join(lines)
            lines, size = [], 0
    lines += [encode_line(notice) for notice in await audit.entries.words(list(named))]
    yield b"".join([*lines, encode_line(CheckpointLine(signed.note))])


def _notices(opening: Opening) -> Sequence[NoticeKey]:
    """The words that an entry vouches for."""
    return [key for key, _ in said(opening.pub).notices] if opening.pub is not None else ()


def _passes(query: Export, opening: Opening) -> bool:
    """Whether what is said in private is what was asked for; of whom nothing opens, nothing is known."""
    if not query.private:
        return True
    body = json.loads(opening.priv) if opening.priv is not None else {}
    actor = body.get("actor", {}).get("id", "")
    method = body.get("evidence", {}).get("method", "")
    return query.actor_id in ("", actor) and query.method in ("", method)
