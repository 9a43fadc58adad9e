import asyncio
import os
import signal
import sys

import asyncpg
import pytest

from servicekit.errors import FailedPrecondition, Unavailable
from servicekit.migrate import migrate
from testkit.schema import assert_released_unchanged, assert_schema_matches, release, schema_dump, sql_folder
from testkit.waiting import until

pytestmark = pytest.mark.integration

RUN = """
import asyncio, sys
from servicekit.migrate import migrate
sys.path.insert(0, sys.argv[1])
asyncio.run(migrate(sys.argv[2], sys.argv[3], "post", package=sys.argv[4]))
"""
SLOW = "-- migrate:up\nSET LOCAL statement_timeout = '60s';\nSELECT pg_sleep({seconds});\n-- migrate:down\n"


async def process(packages, database) -> asyncio.subprocess.Process:
    arguments = (str(packages), database.owner_dsn, database.service, database.package)
    return await asyncio.create_subprocess_exec(sys.executable, "-c", RUN, *arguments, stderr=asyncio.subprocess.PIPE)


async def applied(database) -> list[str]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        rows = await connection.fetch(f"select version from {database.service}.schema_migrations order by version")
        return [row["version"] for row in rows]
    finally:
        await connection.close()


def write(packages, package, name, text):
    folder = packages / package / "sql" / "migrations" / "pre"
    folder.mkdir(parents=True, exist_ok=True)
    (packages / package / "__init__.py").touch()
    (folder / name).write_text(text)


async def test_pre_leaves_out_what_waits_for_old_replicas_to_be_gone(databases, sample):
    database = await databases.empty("sample")
    await migrate(database.owner_dsn, "sample", "pre")
    before = await applied(database)
    await migrate(database.owner_dsn, "sample", "post")

    assert (before, await applied(database)) == (["0001", "0002"], ["0001", "0002", "0003"])


async def test_migrating_twice_changes_nothing(databases, sample):
    database = await databases.empty("sample")
    await migrate(database.owner_dsn, "sample", "post")
    first = schema_dump(database.owner_dsn, "sample")
    await migrate(database.owner_dsn, "sample", "post")

    assert schema_dump(database.owner_dsn, "sample") == first


async def test_two_processes_at_once_migrate_once(databases, sample, packages):
    database = await databases.empty("sample")
    runs = [await process(packages, database) for _ in range(3)]
    ended = [await asyncio.wait_for(run.communicate(), 60) for run in runs]

    assert [run.returncode for run in runs] == [0, 0, 0], ended
    assert await applied(database) == ["0001", "0002", "0003"]


async def test_the_bookkeeping_is_in_the_schema_of_the_service(sample_database):
    connection = await asyncpg.connect(sample_database.admin_dsn)
    found = await connection.fetch("select schemaname from pg_tables where tablename = 'schema_migrations'")
    await connection.close()

    assert [row["schemaname"] for row in found] == ["sample"]


async def test_a_file_that_fails_is_an_error_with_its_reason_and_can_be_mended(databases, packages):
    write(packages, "broken_service", "0001_a.sql", "-- migrate:up\nCREATE TABLE a (n nonsense);\n-- migrate:down\n")
    database = await databases.empty("broken")
    with pytest.raises(FailedPrecondition, match="nonsense"):
        await migrate(database.owner_dsn, "broken")
    write(packages, "broken_service", "0001_a.sql", "-- migrate:up\nCREATE TABLE a (n int);\n-- migrate:down\n")
    await migrate(database.owner_dsn, "broken")

    assert await applied(database) == ["0001"]


async def test_limits_hold_for_files_that_set_none(databases, packages):
    write(
        packages,
        "limits_service",
        "0001_a.sql",
        """-- migrate:up
CREATE TABLE limits AS SELECT current_setting('lock_timeout') AS waits, current_setting('statement_timeout') AS runs;
-- migrate:down
""",
    )
    database = await databases.empty("limits")
    await migrate(database.owner_dsn, "limits")
    connection = await asyncpg.connect(database.owner_dsn)
    row = await connection.fetchrow("select waits, runs from limits.limits")
    await connection.close()

    assert tuple(row) == ("4s", "5s")


async def test_a_migration_behind_another_gives_up_when_its_patience_ends(databases, sample):
    database = await databases.empty("sample")
    holder = await asyncpg.connect(database.owner_dsn)
    await holder.fetchval("select pg_try_advisory_lock(hashtextextended('assent.migrate.sample', 0))")
    with pytest.raises(Unavailable, match="Another migration"):
        await migrate(database.owner_dsn, "sample", patience_s=0.3)
    await holder.close()
    await migrate(database.owner_dsn, "sample")


async def test_a_killed_run_leaves_nothing_stuck(databases, packages):
    write(packages, "slow_service", "0001_slow.sql", SLOW.format(seconds=3))
    database = await databases.empty("slow")
    admin = await asyncpg.connect(database.admin_dsn)
    run = await process(packages, database)
    await until(
        lambda: admin.fetchval(
            "select count(*) from pg_stat_activity where query like '%pg_sleep(3)%' and pid <> pg_backend_pid()"
        ),
        timeout=20,
    )
    os.kill(run.pid, signal.SIGKILL)
    await run.wait()
    await migrate(database.owner_dsn, "slow", patience_s=30)
    await admin.close()

    assert await applied(database) == ["0001"]


async def test_the_dump_that_people_read_is_compared(sample_database):
    path = sql_folder(sample_database.package) / "schema.sql"
    path.write_text(schema_dump(sample_database.owner_dsn, "sample"))
    assert_schema_matches(sample_database)
    path.write_text(path.read_text().replace("body jsonb", "body text"))
    with pytest.raises(AssertionError, match="body jsonb"):
        assert_schema_matches(sample_database)


async def test_a_released_migration_must_not_change(packages):
    write(packages, "released_service", "0001_a.sql", "-- migrate:up\n-- migrate:down\n")
    assert_released_unchanged("released_service")
    release("released_service")
    write(packages, "released_service", "0002_b.sql", "-- migrate:up\n-- migrate:down\n")
    assert_released_unchanged("released_service")
    write(packages, "released_service", "0001_a.sql", "-- migrate:up\nSELECT 1;\n-- migrate:down\n")
    with pytest.raises(AssertionError, match=r"pre/0001_a\.sql"):
        assert_released_unchanged("released_service")
