"""What a look at the store says, and how well that is known."""

from __future__ import annotations

import secrets
import time

import pytest

from servicekit import postgres
from servicekit.partitions import PARTITIONS
from signals_service import translation
from signals_service.ports import Position
from signals_service.store import PostgresSignals
from signals_service.streams import StreamEvents

from .conftest import a_uuid

pytestmark = pytest.mark.integration

NOW_MS = 1_800_000_000_000
SIGNAL = """
INSERT INTO signals (id, revision, definition, version, hash, kind, strength, warrants, internal, shadow, purpose, categories, pp, session,
    subject, channel, per, fields, evidence, first_at, at, expires_at, known_at, ledger_index, bundle)
VALUES ($1, 0, 'd', 1, 'h', 'friction', 1, true, false, false, 'p', '{c}', 3, $2, $3, 'mobile', '[]', '{}', '{}', $4, $4, $4::bigint + 1000, $4, 1, 'b')
"""
SESSION = "INSERT INTO session_state VALUES ($1, $2, 'v', $3, 'mobile', '', 1)"
PARTITION = "INSERT INTO partitions (pp, epoch, position, seen_at) VALUES ($1, 1, $2, now() - $3::integer * interval '1 second')"


@pytest.fixture
async def pool(signals_database):
    async with postgres.pool(signals_database.settings) as opened:
        yield opened


async def a_session(pool, subject: str, pp: int) -> str:
    session = f"session-{secrets.token_hex(8)}"
    await pool.execute(SESSION, session, pp, subject)
    await pool.execute(SIGNAL, a_uuid(), session, subject, NOW_MS)
    return session


async def test_linked_subjects_are_looked_at_together(pool):
    one, other = a_uuid(), a_uuid()
    sessions = {await a_session(pool, one, 3), await a_session(pool, other, 4), await a_session(pool, other, 3)}
    for pp in range(PARTITIONS):
        await pool.execute(PARTITION, pp, 100 + pp, 0)

    looked = await PostgresSignals(pool).look([one, other], "", [], NOW_MS)

    assert {signal.session for signal in looked.signals} == sessions
    assert {pp: at.position for pp, at in looked.progress.items()} == {3: 103, 4: 104}


async def test_a_look_at_a_session_shows_no_other_and_says_where_the_asked_partitions_stand(pool):
    subject = a_uuid()
    wanted, _ = await a_session(pool, subject, 3), await a_session(pool, subject, 3)
    for pp in (3, 9):
        await pool.execute(PARTITION, pp, 100 + pp, 0)

    looked = await PostgresSignals(pool).look([subject], wanted, [9, 10], NOW_MS)

    assert [signal.session for signal in looked.signals] == [wanted]
    assert {pp: at.position for pp, at in looked.progress.items()} == {3: 103, 9: 109}


async def test_all_partitions_together_are_as_silent_as_the_most_silent_one(pool):
    await pool.execute(PARTITION, 0, 0, 0)
    await pool.execute(PARTITION, 1, 0, 100)

    found = await PostgresSignals(pool).everything()

    assert found.partitions == 2
    assert 100_000 <= found.silent_ms < 160_000


async def test_an_answer_about_all_partitions_grows_more_silent_with_its_age(pool, monkeypatch):
    monkeypatch.setattr("signals_service.store.KNOWN_FOR_S", 60)
    await pool.execute(PARTITION, 0, 0, 100)
    signals = PostgresSignals(pool)
    first = await signals.everything()

    await pool.execute("UPDATE partitions SET seen_at = now()")
    repeated = await signals.everything()

    assert repeated.silent_ms >= first.silent_ms


async def test_the_first_message_behind_a_position_says_how_long_it_waits(bus):
    events = StreamEvents(await bus("signals"))
    now_ms = time.time_ns() // 1_000_000
    stored = await events.publish(translation.tick(7, now_ms, secrets.token_bytes(10)))

    behind = await events.behind_ms(Position(stored.partition, stored.sequence - 1), now_ms + 60_000)

    assert 50_000 < behind <= 61_000
    assert await events.behind_ms(stored, now_ms + 60_000) == 0
