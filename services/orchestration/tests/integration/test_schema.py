"""The SQL: the dump that people read, every query, and the store on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib

import pytest
from orchestration_fakes import NOW_MS, SUBJECT, MemoryArchive

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.store import OutcomeIds, PostgresArchive
from servicekit import postgres
from servicekit.errors import Invalid
from testkit import schema
from testkit.builders import a_subject, unique

pytestmark = pytest.mark.integration
MONTH_MS = 31 * 86_400_000


async def test_the_schema_is_the_dump_that_people_read(database):
    schema.assert_schema_matches(await database("orchestration"))


async def test_every_query_prepares(database):
    await schema.assert_queries_prepare(await database("orchestration"))


def test_released_migrations_are_unchanged():
    schema.assert_released_unchanged("orchestration_service")


@pytest.fixture(scope="module")
async def pool(database):
    async with postgres.pool((await database("orchestration")).settings) as opened:
        yield opened


@pytest.fixture(params=["memory", "postgres"])
def shelf(request, pool):
    return MemoryArchive() if request.param == "memory" else PostgresArchive(pool)


def a_record(**changed) -> DecisionRecord:
    made = DecisionRecord(decision_id=hashlib.md5(unique("d").encode()).hexdigest(), now_ms=NOW_MS, subject_id=SUBJECT)
    made.request.channel = "mobile"
    made.MergeFrom(DecisionRecord(**changed))
    return made


async def keep(shelf, record, sequence=7):
    data = record.SerializeToString()
    await shelf.add(record, data, hashlib.sha256(data).digest(), sequence)
    return data


async def test_what_is_kept_is_found_whole(shelf):
    record = a_record()
    data = await keep(shelf, record)
    found = (await shelf.find([record.decision_id, "0" * 32]))[record.decision_id]

    assert (found.record, found.digest, found.sequence) == (data, hashlib.sha256(data).digest(), 7)


async def test_a_repeat_changes_nothing(shelf):
    record = a_record()
    await keep(shelf, record)
    await keep(shelf, record, sequence=8)

    assert (await shelf.find([record.decision_id]))[record.decision_id].sequence == 7


async def test_of_a_forgotten_subject_only_digests_are_kept_also_of_what_comes_late(shelf):
    subject, other = a_subject(), a_record(subject_id=a_subject())
    early, late = a_record(subject_id=subject), a_record(subject_id=subject)
    await keep(shelf, early)
    await keep(shelf, other)
    await shelf.forget(subject)
    await shelf.forget(subject)
    data = await keep(shelf, late)
    found = await shelf.find([early.decision_id, late.decision_id, other.decision_id])

    assert [bool(found[r.decision_id].record) for r in (early, late, other)] == [False, False, True]
    assert found[late.decision_id].digest == hashlib.sha256(data).digest()


async def test_decisions_without_a_subject_are_kept_when_somebody_is_forgotten(shelf):
    record = a_record()
    record.subject_id = ""
    await keep(shelf, record)
    await shelf.forget(a_subject())

    assert (await shelf.find([record.decision_id]))[record.decision_id].record


async def test_decisions_that_come_together_are_kept_each_as_if_it_came_alone(shelf):
    erased = a_subject()
    await shelf.forget(erased)
    known, late, nobodys = a_record(), a_record(subject_id=erased), a_record()
    nobodys.subject_id = ""
    others = [a_record(subject_id=a_subject()) for _ in range(20)]
    together = [known, late, nobodys, *others, known]
    await asyncio.gather(*(keep(shelf, record, n) for n, record in enumerate(together)))
    found = await shelf.find([record.decision_id for record in together])

    assert [found[record.decision_id].sequence for record in together[:-1]] == list(range(len(together) - 1))
    assert [name for name, kept in found.items() if not kept.record] == [late.decision_id]


async def test_a_decision_that_cannot_be_stored_takes_no_other_with_it(pool):
    shelf, good, bad = PostgresArchive(pool), a_record(), a_record()
    bad.request.channel = "no\0channel"
    ended = await asyncio.gather(keep(shelf, bad), keep(shelf, good), return_exceptions=True)

    assert isinstance(ended[0], Invalid)
    assert list(await shelf.find([good.decision_id, bad.decision_id])) == [good.decision_id]


async def test_each_month_has_a_partition(pool):
    shelf, records = PostgresArchive(pool), [a_record(now_ms=NOW_MS + n * MONTH_MS) for n in (3, 4, 5)]
    for record in records:
        await keep(shelf, record)
    tables = await pool.fetch(
        "SELECT tableoid::regclass::text AS name, now_ms FROM decision WHERE now_ms > $1", NOW_MS + 2 * MONTH_MS
    )

    assert len({row["name"] for row in tables}) == 3
    assert not any("other" in row["name"] for row in tables)


async def test_outcomes_are_remembered_once(pool):
    ids, name = OutcomeIds(pool), unique("outcome")
    await ids.add([name], NOW_MS)
    await ids.add([name], NOW_MS)

    assert await ids.known([name, unique("outcome")]) == {name}
