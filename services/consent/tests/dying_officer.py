"""A process that erases somebody and kills itself with signal 9 at a step: `python dying_officer.py ARGUMENTS`, a JSON object.

Prints the subject once it has a grant. Run by test_erasure_killed.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from consent_fakes import NOW, grant
from rights_fakes import rights_bench

from consent_service.keys import KekFolder, PostgresKeyShredder, PostgresSubjectKeys
from servicekit import postgres
from servicekit.clock import FixedClock
from servicekit.settings import DatabaseSettings
from testkit.builders import a_subject
from testkit.databases import Database


class BothKeys:
    """Both roles of the keys' database as one, as the fake in memory is."""

    def __init__(self, user, shredder):
        self.get, self.create, self.rewrap = user.get, user.create, user.rewrap
        self.destroy, self.destroyed, self.destroy_keks = shredder.destroy, shredder.destroyed, shredder.destroy_keks


@asynccontextmanager
async def stored_keys(user_dsn, shredder_dsn, folder):
    user, shredder = (DatabaseSettings(dsn=dsn, max_size=2) for dsn in (user_dsn, shredder_dsn))
    keks, clock = KekFolder(Path(folder)), FixedClock(NOW)
    async with postgres.pool(user, schema="keys") as using, postgres.pool(shredder, schema="keys") as ending:
        yield BothKeys(PostgresSubjectKeys(using, keks, clock), PostgresKeyShredder(ending, keks, clock))


async def main(given) -> None:
    """Erase until it dies."""
    async with stored_keys(**given["keys"]) as keys, rights_bench(Database(**given["database"]), keys=keys) as office:
        await office.publish()
        subject = a_subject()
        await office.choose(subject, grant())
        sys.stdout.write(subject + "\n")
        sys.stdout.flush()
        office.restarted(given["step"], die=lambda: os.kill(os.getpid(), signal.SIGKILL))
        await office.erase(subject)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
