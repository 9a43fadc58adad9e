"""Reading archived decisions: the archiver is milliseconds behind the stream, so whoever asks for a fresh one waits a little."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Final

from orchestration_service.ports import Archive, Archived
from servicekit.errors import Invalid, NotFound

WAIT_S: Final = 2.0
FIRST_PAUSE_S: Final = 0.01
LONGEST_PAUSE_S: Final = 0.2
_ID: Final = re.compile(r"[0-9a-f]{32}")


def is_decision_id(name: str) -> bool:
    """Whether it can be the id of a decision; nothing else reaches a query."""
    return _ID.fullmatch(name) is not None


async def find(
    archive: Archive, decision_ids: Iterable[str], *, wait_for: Iterable[str] = ()
) -> Mapping[str, Archived]:
    """Those that are archived; the ones to `wait_for` get two seconds to appear."""
    wanted, awaited = sorted(set(decision_ids)), set(wait_for)
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + WAIT_S, FIRST_PAUSE_S
    while True:
        found = await archive.find(wanted)
        if awaited <= found.keys() or loop.time() >= until:
            return found
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def one(archive: Archive, decision_id: str) -> Archived:
    """The archived decision. Raises Invalid, NotFound UNKNOWN_DECISION, and DECISION_FORGOTTEN once its subject is erased."""
    if not is_decision_id(decision_id):
        raise Invalid("32 hexadecimal digits", reason="BAD_TEXT", field="decision_id")
    found = (await find(archive, [decision_id], wait_for=[decision_id])).get(decision_id)
    if found is None:
        raise NotFound("There is no such decision", reason="UNKNOWN_DECISION", field="decision_id")
    if not found.record:
        raise NotFound("The decision's subject is erased", reason="DECISION_FORGOTTEN", field="decision_id")
    return found
