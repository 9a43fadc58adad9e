"""A writer's process that kills itself with signal 9 at a step of its n-th choice: `python dying_writer.py DSN STEP N`.

Prints a line for each write that was acknowledged. Run by test_writer.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys

from consent_fakes import LEDGER, WORDS, WORDS_DE, a_document, a_request, grant, ref, screen
from key_fakes import MemoryKeys
from writing_fakes import SCHEMA, Agreeing

from consent_service.commands import Publish, RecordChoice
from consent_service.keys import CachedSubjectKeys
from consent_service.ports import NoticeBytes
from consent_service.registries import Registries
from consent_service.storage import PostgresLog
from consent_service.writer import LedgerWriter, With
from servicekit import postgres
from servicekit.basis import canonical
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings
from testkit.builders import a_subject


async def main(dsn: str, step: str, number: int) -> None:
    """Write until it dies."""
    written = 0

    def at(found: str) -> None:
        if found == step and written == number:
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    async with postgres.pool(DatabaseSettings(dsn=dsn, max_size=3), schema=SCHEMA) as pool:
        given = With(
            log=PostgresLog(pool, LEDGER),
            keys=CachedSubjectKeys(MemoryKeys()),
            registries=Registries(),
            clock=SystemClock(),
            confirmations=Agreeing(),
            name="dying",
            at=at,
        )
        writer = LedgerWriter(given)
        running = asyncio.create_task(writer.run())
        await writer.gate.opened()
        words = (NoticeBytes(ref("en"), WORDS), NoticeBytes(ref("de"), WORDS_DE))
        command: Publish | RecordChoice = Publish(a_request(), canonical(a_document()), words, ("one", "two"))
        while not running.done():
            result = await writer.append(command)
            written += 1
            sys.stdout.write(json.dumps({"request": command.request.id, "index": result.position.index}) + "\n")
            command = RecordChoice(a_request(), a_subject(), screen(grant()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
