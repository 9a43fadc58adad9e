"""The pool lends a connection again as it came back, and what is not in good order goes the driver's way."""

import asyncio

import pytest

from servicekit import postgres
from servicekit.settings import DatabaseSettings
from testkit.waiting import until

pytestmark = pytest.mark.integration

PID = "select pg_backend_pid()"


@pytest.fixture
async def narrow(sample_database):
    async with postgres.pool(DatabaseSettings(dsn=sample_database.dsn, max_size=1)) as pool:
        yield pool


async def pid(pool) -> int:
    async with postgres.connection(pool) as borrowed:
        return await borrowed.fetchval(PID)


async def test_what_came_back_is_lent_again(narrow):
    assert await pid(narrow) == await pid(narrow)


async def test_whoever_waits_gets_the_connection_that_comes_back(narrow):
    async with postgres.connection(narrow) as borrowed:
        first = await borrowed.fetchval(PID)
        waiting = [asyncio.create_task(pid(narrow)) for _ in range(5)]
        await asyncio.sleep(0)

    assert await asyncio.gather(*waiting) == [first] * 5


async def test_a_connection_in_hand_serves_those_who_ask_the_pool_itself(narrow):
    first = await pid(narrow)

    assert await narrow.fetchval(PID) == first
    assert await pid(narrow) == first


async def test_a_connection_whose_statement_failed_is_wiped_by_the_driver(narrow):
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with postgres.connection(narrow) as borrowed:
            await borrowed.execute("begin")
            raise ZeroDivisionError

    async with postgres.connection(narrow) as borrowed:
        assert not borrowed.is_in_transaction()


async def test_a_transaction_that_was_left_open_does_not_reach_the_next(narrow):
    async with postgres.connection(narrow) as borrowed:
        await borrowed.execute("begin")

    async with postgres.connection(narrow) as borrowed:
        assert not borrowed.is_in_transaction()


async def test_a_connection_that_died_in_hand_is_not_lent(narrow, sample_database):
    died = await pid(narrow)
    async with postgres.pool(DatabaseSettings(dsn=sample_database.dsn)) as other, postgres.connection(other) as killer:
        await killer.execute("select pg_terminate_backend($1)", died)
    await until(lambda: postgres.is_lost(narrow._in_hand[0][0]) if narrow._in_hand else True)

    assert await pid(narrow) != died


async def test_a_session_leaves_nothing_to_whoever_borrows_next(narrow):
    async with postgres.session(narrow) as borrowed:
        await borrowed.execute("select pg_advisory_lock(4711)")
        await borrowed.execute("set statement_timeout = 4711")

    async with postgres.connection(narrow) as borrowed:
        assert (
            await borrowed.fetchval(
                "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
            )
            == 0
        )
        assert await borrowed.fetchval("show statement_timeout") != "4711ms"


async def test_closing_gives_back_what_is_in_hand(sample_database):
    async with postgres.pool(DatabaseSettings(dsn=sample_database.dsn)) as pool:
        await pid(pool)

    assert pool.is_closing()
