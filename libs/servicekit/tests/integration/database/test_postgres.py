import asyncio

import asyncpg
import pytest

from servicekit import postgres, queries
from servicekit.errors import Conflict, Invalid, Unavailable
from servicekit.settings import DatabaseSettings
from testkit.builders import unique
from testkit.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
def sql(sample):
    return queries.load(sample)


async def test_a_transaction_that_fails_leaves_nothing(pool, sql):
    note = unique("note")
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with postgres.transaction(pool) as connection:
            await sql.add_note(connection, id=note, body={})
            raise ZeroDivisionError

    assert await sql.note_of(pool, id=note) is None


async def test_the_second_of_two_equal_keys_is_a_conflict(pool, sql):
    note = unique("note")
    with pytest.raises(Conflict):  # noqa: PT012
        for _ in range(2):
            async with postgres.transaction(pool) as connection:
                await sql.add_note(connection, id=note, body={})


async def test_a_lost_serializable_race_is_a_conflict(pool, sql):
    note = unique("note")
    await sql.add_note(pool, id=note, body=0)
    with pytest.raises(Conflict):  # noqa: PT012
        async with postgres.transaction(pool, isolation="serializable") as one:
            await one.fetchval("select body from note where id = $1", note)
            async with postgres.transaction(pool, isolation="serializable") as two:
                await two.execute("update note set body = '2' where id = $1", note)
            await one.execute("update note set body = '1' where id = $1", note)


async def test_a_statement_that_runs_too_long_is_unavailable(sample_database):
    impatient = DatabaseSettings(dsn=sample_database.dsn, statement_timeout_ms=50)
    async with postgres.pool(impatient) as pool:
        with pytest.raises(Unavailable):
            async with postgres.transaction(pool) as connection:
                await connection.execute("select pg_sleep(30)")


async def test_our_own_mistakes_stay_what_they_are(pool):
    with pytest.raises(asyncpg.UndefinedTableError):
        async with postgres.transaction(pool) as connection:
            await connection.execute("select * from nowhere")
    with pytest.raises(asyncpg.InterfaceError):
        async with postgres.transaction(pool) as connection:
            await connection.fetchval("select $1::int", 1, 2)


async def test_a_decorated_function_raises_our_errors(pool, sql):
    note = unique("note")

    @postgres.translated()
    async def store() -> None:
        await sql.add_note(pool, id=note, body={})

    await store()
    with pytest.raises(Conflict):
        await store()


@pytest.mark.parametrize(("operation", "raised"), [(2, Unavailable), (11, asyncpg.InternalClientError)])
async def test_a_connection_on_which_the_server_is_dying_is_away(operation, raised):
    with pytest.raises(raised):
        async with postgres.translated():
            raise asyncpg.InternalClientError(
                f"cannot switch to state 15; another operation ({operation}) is in progress"
            )


async def test_a_wrong_password_is_said_at_once(sample_database):
    wrong = DatabaseSettings(dsn=sample_database.dsn.replace("sample:", "sample:x"))
    with pytest.raises(Invalid):
        async with postgres.pool(wrong):
            pass


async def test_the_session_says_who_it_is_and_looks_only_at_its_schema(pool):
    row = await pool.fetchrow("select current_setting('application_name'), current_setting('search_path')")

    assert tuple(row) == ("sample", "sample")


async def test_the_pool_outlives_a_crash_of_the_server(platform, pool, sql):
    note = unique("note")
    await sql.add_note(pool, id=note, body={})
    platform.postgres.kill()
    with pytest.raises(Unavailable):
        await postgres.check(pool)
    platform.postgres.restart()
    await postgres.check(pool)

    assert await sql.note_of(pool, id=note) is not None


async def test_a_transaction_under_a_crash_is_unavailable(platform, pool):
    try:
        with pytest.raises(Unavailable):  # noqa: PT012
            async with postgres.transaction(pool) as connection:
                await connection.fetchval("select 1")
                platform.postgres.kill()
                await connection.fetchval("select 1")
    finally:
        platform.postgres.restart()


async def test_a_pool_waits_for_a_server_that_starts_later(platform, sample_database):
    platform.postgres.stop()

    async def first_answer() -> int:
        async with postgres.pool(sample_database.settings) as pool:
            return int(await pool.fetchval("select 1"))

    waiting = asyncio.create_task(first_answer())
    await asyncio.sleep(0)
    platform.postgres.restart()

    assert await asyncio.wait_for(waiting, 10) == 1


async def test_a_full_server_is_unavailable(sample_database):
    admin = await asyncpg.connect(sample_database.admin_dsn)
    await admin.execute("alter role sample connection limit 1")
    try:
        async with postgres.pool(sample_database.settings) as pool:
            async with pool.acquire():
                with pytest.raises(Unavailable):
                    await postgres.check(pool)
            await until(lambda: _answers(pool))
    finally:
        await admin.execute("alter role sample connection limit -1")
        await admin.close()


async def _answers(pool) -> bool:
    await postgres.check(pool)
    return True


async def test_a_session_leaves_nothing_behind(pool):
    async with postgres.session(pool) as first:
        await first.execute("select pg_advisory_lock(7); set statement_timeout = 1234; listen somebody")
        process = first.get_server_pid()

    async with postgres.connection(pool) as again:
        held = await again.fetchval("select count(*) from pg_locks where locktype = 'advisory' and pid = $1", process)
        assert (held, await again.fetchval("show statement_timeout")) == (0, "5s")
