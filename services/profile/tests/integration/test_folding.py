"""The fold's transaction: fencing, positions, and partitions that share it."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from assent.events.v1.bank_pb2 import BankEvent
from profile_service.folding import Folding
from profile_service.handlers import recorded
from profile_service.store import PostgresProfiles
from servicekit import postgres
from servicekit.errors import Invalid
from servicekit.partitions import Fenced, partition_of

from .conftest import payment

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(database):
    async with postgres.pool((await database("profile")).settings) as opened:
        yield opened


@pytest.fixture
def folding(pool) -> Folding:
    return Folding(pool)


def subject_in(partition: int) -> str:
    return next(one for one in (str(uuid.uuid4()) for _ in range(10_000)) if partition_of(one) == partition)


def facts(subject: str, first: int, *events: BankEvent):
    return [(first + number, recorded(event, subject, 1)[1], 0) for number, event in enumerate(events)]


async def rows(pool, subject: str) -> dict[int, str]:
    async with postgres.connection(pool) as tx:
        return dict(await tx.fetch("select segment, body from fold where subject_id = $1::uuid", subject))


async def test_a_batch_that_is_applied_again_changes_nothing(pool, folding):
    subject = subject_in(3)
    batch = facts(subject, 10, payment("x", 1), payment("x", 2))

    await folding.apply(3, 1, batch)
    before = await rows(pool, subject)
    await folding.apply(3, 1, batch)
    await folding.apply(3, 1, batch[:1])

    assert await rows(pool, subject) == before
    assert await PostgresProfiles(pool).position(3) == 11


async def test_an_older_epoch_is_fenced_and_changes_nothing(pool, folding):
    subject = subject_in(4)
    await folding.apply(4, 7, facts(subject, 1, payment("x", 1)))
    before = await rows(pool, subject)

    with pytest.raises(Fenced):
        await folding.apply(4, 6, facts(subject, 2, payment("x", 2)))

    assert await rows(pool, subject) == before
    assert await PostgresProfiles(pool).position(4) == 1


async def test_a_fenced_partition_does_not_hold_up_those_that_share_its_transaction(pool, folding):
    one, two = subject_in(5), subject_in(6)
    await folding.apply(5, 7, facts(one, 1, payment("x", 1)))

    results = await asyncio.gather(
        folding.apply(5, 6, facts(one, 2, payment("x", 2))),
        folding.apply(6, 1, facts(two, 3, payment("x", 3))),
        return_exceptions=True,
    )

    assert isinstance(results[0], Fenced)
    assert results[1] is None
    assert await rows(pool, two)


async def test_an_event_that_cannot_be_read_leaves_nothing_half_done(pool, folding):
    subject = subject_in(7)
    strange = payment("x", 1)
    strange.ClearField("transaction")

    with pytest.raises(Invalid):
        await folding.apply(7, 1, facts(subject, 1, payment("x", 1), strange))

    assert await rows(pool, subject) == {}
    assert await PostgresProfiles(pool).position(7) == 0


async def add_subject(pool, subject: str, partition: int, survivor: str | None = None) -> None:
    async with postgres.connection(pool) as tx:
        await tx.execute(
            "insert into subject (subject_id, partition, survivor, created_at_us) values ($1::uuid, $2, $3::uuid, 1)",
            subject,
            partition,
            survivor,
        )


async def test_who_has_seen_rows_is_told_what_was_folded_since(pool, folding):
    subject = subject_in(8)
    await add_subject(pool, subject, 8)
    profiles = PostgresProfiles(pool)
    await folding.apply(8, 1, facts(subject, 1, payment("x", 1)))
    first = await profiles.held(subject, 0, 10_000)
    second = await profiles.held(subject, 0, 10_000, seen=first.positions)
    await folding.apply(8, 1, facts(subject, 2, payment("x", 2, days_ago=40)))

    third = await profiles.held(subject, 0, 10_000, seen=second.positions)

    assert (second.rows, second.position) == (None, 1)
    assert len(third.rows[subject]) == len(first.rows[subject]) + 1
    assert third == await profiles.held(subject, 0, 10_000)
    assert third.position == 2


async def test_who_has_seen_the_rows_of_several_members_is_told_of_each_and_of_new_ones(pool, folding):
    subject, absorbed, late = subject_in(9), subject_in(10), subject_in(9)
    await add_subject(pool, subject, 9)
    await add_subject(pool, absorbed, 10, survivor=subject)
    profiles = PostgresProfiles(pool)
    await folding.apply(9, 1, facts(subject, 50, payment("x", 1)))
    await folding.apply(10, 1, facts(absorbed, 3, payment("x", 1)))
    first = await profiles.held(subject, 0, 10_000)
    same = await profiles.held(absorbed, 0, 10_000, seen=first.positions)
    await folding.apply(10, 1, facts(absorbed, 4, payment("x", 2)))
    changed = await profiles.held(subject, 0, 10_000, seen=first.positions)
    await add_subject(pool, late, 9, survivor=subject)

    joined = await profiles.held(subject, 0, 10_000, seen=changed.positions)

    assert first.positions == {subject: 50, absorbed: 3}
    assert (same.rows, same.position) == (None, 50)
    assert changed.rows is not None
    assert joined.rows.keys() == {subject, absorbed, late}


async def test_who_has_seen_more_than_there_is_reads_again(pool):
    subject = subject_in(11)
    await add_subject(pool, subject, 11)

    found = await PostgresProfiles(pool).held(subject, 0, 10_000, seen={subject: 9})

    assert found.rows == {subject: {}}
