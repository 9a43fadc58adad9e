"""Checks against writes, crashes and absence of PostgreSQL: no acknowledged write is lost, no old answer is given."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from consent_fakes import a_request, grant
from writing_fakes import writing_bench

from servicekit.clock import SystemClock
from servicekit.errors import Unavailable
from testkit.builders import a_subject
from testkit.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture
async def used(database):
    return await database("consent")


@pytest.fixture
async def bench(used):
    async with writing_bench(used, clock=SystemClock()) as made:
        await made.publish()
        yield made


async def test_a_check_that_starts_after_a_write_returned_sees_it(bench):
    """Each subject is granted and withdrawn in turn by one task, and checked by three others all the time."""
    rounds = 15

    async def write(subject, done):
        for number in range(rounds):
            result = await bench.choose(subject, grant())
            done.append(("GRANTED", result.position.index))
            result = await bench.withdraw(subject)
            done.append(("WITHDRAWN", result.position.index))
            del number

    async def watch(subject, done, writer):
        while not writer.done():
            before = len(done)
            found = await bench.check(subject)
            possible = {"NO_RECORD"} if not before else {done[before - 1][0]}
            # A write that was running during the check may be seen or not; those that returned before it must be.
            possible |= {"GRANTED", "WITHDRAWN"} if len(done) > before else {("GRANTED", "WITHDRAWN")[before % 2]}
            assert found.verdicts[0].reason.value in possible
            if before:
                assert found.position.index >= done[before - 1][1]

    async def one(subject):
        done = []
        writer = asyncio.create_task(write(subject, done))
        await asyncio.gather(writer, *(watch(subject, done, writer) for _ in range(3)))
        assert len(done) == 2 * rounds

    await asyncio.gather(*(one(a_subject()) for _ in range(3)))


async def test_no_check_that_starts_after_a_withdrawal_is_allowed(bench):
    async def one():
        subject = a_subject()
        await bench.choose(subject, grant())
        assert await bench.reason(subject) == "GRANTED"
        await bench.withdraw(subject)
        found = await asyncio.gather(*(bench.reason(subject) for _ in range(4)))
        assert set(found) == {"WITHDRAWN"}

    await asyncio.gather(*(one() for _ in range(25)))


async def test_a_crash_of_the_database_loses_and_doubles_no_write_and_leaves_no_gap(bench, used, platform):
    acknowledged: dict[str, int] = {}
    stop = asyncio.Event()

    async def write():
        while not stop.is_set():
            subject, request = a_subject(), a_request()
            while subject not in acknowledged:
                try:
                    result = await bench.choose(subject, grant(), request=request)
                except Unavailable:  # perhaps it was stored all the same: the same request again
                    await asyncio.sleep(0.01)
                else:
                    acknowledged[subject] = result.position.index

    writers = [asyncio.create_task(write()) for _ in range(4)]
    await until(lambda: len(acknowledged) > 40)
    platform.postgres.kill()
    with pytest.raises(Unavailable) as caught:
        await bench.check(a_subject())
    assert caught.value.code == "CONSENT_UNAVAILABLE"
    before = len(acknowledged)
    platform.postgres.restart()
    await until(lambda: len(acknowledged) > before + 20)
    stop.set()
    await asyncio.gather(*writers)

    connection = await asyncpg.connect(used.dsn, server_settings={"search_path": "consent"})
    try:
        rows = await connection.fetch("select idx, subject_id from event order by idx")
        size = await connection.fetchval("select size from log_head")
    finally:
        await connection.close()
    stored = [(row["subject_id"], row["idx"]) for row in rows if row["subject_id"]]
    assert [row["idx"] for row in rows] == list(range(size))
    assert sorted(stored) == sorted(acknowledged.items())
    reasons = await asyncio.gather(*(bench.reason(subject) for subject in list(acknowledged)[:10]))
    assert set(reasons) == {"GRANTED"}


async def test_a_stopped_database_is_never_answered_for_and_comes_back_by_itself(bench, platform):
    subject = a_subject()
    await bench.choose(subject, grant())
    platform.postgres.stop()

    for ask in (bench.check, bench.basis, bench.withdraw, bench.look):
        with pytest.raises(Unavailable) as caught:
            await ask(subject)
        assert caught.value.code == "CONSENT_UNAVAILABLE"
    platform.postgres.restart()

    async def answered():
        try:
            return await bench.reason(subject)
        except Unavailable:
            return ""

    assert await until(answered) == "GRANTED"


async def test_a_primary_that_was_left_behind_is_not_believed(bench):
    ledger = bench.ledger
    ledger._epoch = 2

    with pytest.raises(Unavailable):
        await bench.check(a_subject())
