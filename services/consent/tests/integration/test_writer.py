"""The one writer on a real database: batches, retries, takeover, and a process that dies at any step of a write."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from consent_fakes import DAY, NOW, a_request, grant, refuse, screen
from key_fakes import MemoryKeys
from writing_fakes import Agreeing, candidate, writing_bench

from consent_service.commands import RecordChoice, Withdraw
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.choices import Scope
from consent_service.domain.leaf import parse
from consent_service.domain.words import ActorType
from consent_service.lanes import Lanes
from consent_service.storage import PostgresLog
from servicekit.clock import FixedClock, SystemClock
from servicekit.errors import AlreadyExists, Exhausted, Invalid, NotFound, Unavailable
from testkit.builders import a_subject
from testkit.waiting import until
from tlog import CompactRange, extend_tiles, leaf_hashes

pytestmark = pytest.mark.integration
TESTS = Path(__file__).resolve().parent.parent
STEPS = ("taken", "recalled", "sealed", "begun", "appended", "moved", "committed")


@pytest.fixture
async def used(database):
    return await database("consent")


@pytest.fixture
async def bench(used):
    async with writing_bench(used, clock=SystemClock()) as made:
        await made.publish()
        yield made


async def assert_whole(bench) -> int:
    """Invariants 1, 2 and 8: gapless indices, a tree that is a function of the leaves, times that never decrease. How many entries there are."""
    [head] = await bench.fetch("select * from log_head")
    rows = await bench.fetch("select idx, leaf from log_entry order by idx")
    events = await bench.fetch("select idx, recorded_us, epoch, subject_id, subject_seq from event order by idx")
    tiles = await bench.fetch("select level, n, hashes from log_tile")
    hashes = leaf_hashes([row["leaf"] for row in rows])
    leaves = [parse(row["leaf"]) for row in rows]

    assert [row["idx"] for row in rows] == [row["idx"] for row in events] == list(range(head["size"]))
    assert CompactRange.empty().extend(hashes).root() == head["root"]
    assert {(row["level"], row["n"]): row["hashes"] for row in tiles} == extend_tiles(0, {}, hashes)
    assert [leaf.recorded_us for leaf in leaves] == sorted(leaf.recorded_us for leaf in leaves)
    assert [(leaf.recorded_us, leaf.epoch) for leaf in leaves] == [(e["recorded_us"], e["epoch"]) for e in events]
    chains: dict[str, list[int]] = {}
    for event in events:
        if event["subject_id"] is not None:
            chains.setdefault(event["subject_id"], []).append(event["subject_seq"])
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in chains.values())
    return head["size"]


def a_choice(subject, *items, request=None, **changed):
    return RecordChoice(request or a_request(), subject, screen(*(items or (grant(),)), **changed))


async def test_many_at_once_are_one_log(bench):
    before = await assert_whole(bench)
    subjects = [a_subject() for _ in range(40)]

    results = await asyncio.gather(*(bench.writer.append(a_choice(who)) for who in subjects * 5))

    assert sorted(result.position.index for result in results) == list(range(before, before + 200))
    assert await assert_whole(bench) == before + 200


async def test_two_items_about_one_subject_see_each_other_in_a_batch(bench):
    subject = a_subject()
    results = await asyncio.gather(
        bench.writer.append(Withdraw(a_request(), subject, (Scope("offers"),))), bench.writer.append(a_choice(subject))
    )

    assert [result.entries[0].reason for result in results] == ["", "LATE_GRANT"]
    assert await bench.reason(subject) == "WITHDRAWN"


async def test_a_bad_item_fails_alone(bench):
    good = [a_subject() for _ in range(5)]
    answers = await asyncio.gather(
        *(bench.writer.append(a_choice(who)) for who in good),
        bench.writer.append(a_choice(a_subject(), grant("unheard_of"))),
        bench.writer.append(a_choice(a_subject(), grant(to_us=NOW - 400 * DAY))),
        return_exceptions=True,
    )

    assert [type(answer) for answer in answers[5:]] == [NotFound, Invalid]
    assert {await bench.reason(who) for who in good} == {"GRANTED"}


async def test_64_callers_with_one_request_id_make_one_set_of_entries(bench):
    subject, request = a_subject(), a_request()
    command = a_choice(subject, grant(), refuse("advice"), request=request)
    results = await asyncio.gather(*(bench.writer.append(command) for _ in range(64)))
    later = await asyncio.gather(*(bench.writer.append(command) for _ in range(64)))

    first = next(result for result in results if not result.replayed)
    assert [result.replayed for result in results].count(False) == 1
    assert all(result.replayed for result in later)
    for result in (*results, *later):
        assert (result.position, result.entries, result.denied, result.opened, result.recorded_us, result.subject) == (
            first.position,
            first.entries,
            first.denied,
            first.opened,
            first.recorded_us,
            first.subject,
        )
    with pytest.raises(AlreadyExists):
        await bench.writer.append(a_choice(subject, request=a_request(b"other", request.id)))
    assert len(await bench.fetch("select from event where subject_id = $1", subject)) == 2


async def test_every_kind_of_write_is_answered_again_as_it_was(bench):
    survivor, absorbed = a_subject(), a_subject()
    requests = [a_request() for _ in range(5)]
    await bench.choose(absorbed, refuse("advice"), grant())

    async def everything():
        return [
            await bench.choose(survivor, grant(), refuse("offers.credit"), request=requests[0]),
            await bench.withdraw(survivor, Scope("offers"), request=requests[1]),
            await bench.link(survivor, absorbed, request=requests[2]),
            await bench.link(survivor, absorbed, linked=False, request=requests[3]),
            await bench.publish(request=requests[4], default_regimes=["au_cdr", "gdpr"]),
        ]

    first, again = await everything(), await everything()
    for one, other in zip(first[:4], again[:4], strict=True):
        assert other.replayed
        for field in ("position", "recorded_us", "entries", "subject", "denied", "carried", "opened", "display_status"):
            assert getattr(one, field) == getattr(other, field), field
    assert (again[4].digest, again[4].entries) == (first[4].digest, ())


async def test_while_the_keys_are_away_nothing_is_written_and_checks_go_on(used):
    keys = MemoryKeys()
    async with writing_bench(used, keys=keys) as bench:
        await bench.publish()
        subject = a_subject()
        await bench.choose(subject, grant())
        keys.away = True

        with pytest.raises(Unavailable) as caught:
            await bench.withdraw(a_subject())
        assert caught.value.code == "KEYS_UNAVAILABLE"
        assert await bench.reason(subject) == "GRANTED"
        keys.away = False
        await bench.withdraw(subject)
        assert await bench.reason(subject) == "WITHDRAWN"


async def test_a_clock_that_was_set_back_does_not_keep_a_grant_from_being_later(used):
    clock = FixedClock(NOW)
    async with writing_bench(used, clock=clock) as bench:
        await bench.publish()
        subject = a_subject()
        await bench.withdraw(subject)
        clock.advance(-DAY)
        await bench.choose(subject, grant())

        [state] = await bench.fetch("select statements from subject_state where subject_id = $1", subject)
        assert [s["kind"] for s in json.loads(state["statements"])] == ["WITHDRAW", "GRANT"]
        await assert_whole(bench)


async def test_nothing_is_appended_before_the_signer_confirms(used):
    signer = Agreeing(away=True)
    async with candidate(used, signer=signer) as writer:
        await until(lambda: len(signer.asked) > 2)
        with pytest.raises(Unavailable) as caught:
            await writer.append(a_choice(a_subject()))
        assert caught.value.code == "NO_WRITER"
        assert {epoch for _, _, epoch in signer.asked} == {1}
        signer.away, signer.forked = False, True
        asked = len(signer.asked)
        await until(lambda: len(signer.asked) > asked + 1)
        assert not writer.gate.is_open
        signer.forked = False
        await writer.gate.opened()


async def test_a_second_candidate_waits_and_takes_over_with_a_new_epoch(used):
    keys = MemoryKeys()
    async with AsyncExitStack() as opened:
        async with writing_bench(used, keys=keys, name="first") as first:
            await first.publish()
            second = await opened.enter_async_context(candidate(used, keys=keys, name="second"))
            await second.settled.wait()
            with pytest.raises(Unavailable) as caught:
                await second.append(a_choice(a_subject()))
            assert caught.value.code == "NO_WRITER"
        await second.gate.opened()
        result = await second.append(a_choice(a_subject()))

        assert result.position.epoch == 2
        epochs = await first.fetch("select epoch, start_size, writer from ledger_epoch order by epoch")
        assert [tuple(row) for row in epochs] == [(1, 0, "first"), (2, 2, "second")]
        await assert_whole(first)


class Unlocked(PostgresLog):
    """A log whose lock holds nobody back: two writers both believe that they are the one."""

    @asynccontextmanager
    async def session(self):
        async with super().session() as session:
            session.lead = _yes
            yield session


async def _yes():
    return True


async def test_two_writers_at_once_never_make_two_histories(used):
    """Each takes the other's place over and over; whoever appends to a head that has moved stores nothing."""
    keys = MemoryKeys()
    async with writing_bench(used, keys=keys, clock=SystemClock(), log=Unlocked, name="one") as bench:
        await bench.publish()
        async with candidate(used, keys=keys, clock=SystemClock(), log=Unlocked, name="two") as other:
            acknowledged = {}

            async def one(writer):
                command = a_choice(a_subject())
                while command.request.id not in acknowledged:
                    await asyncio.wait_for(writer.gate.opened(), 20)
                    with suppress(Unavailable):
                        result = await writer.append(command)
                        acknowledged[command.request.id] = result.position.index

            await asyncio.gather(*(one(writer) for writer in (bench.writer, other) for _ in range(20)))

        rows = await bench.fetch("select request_id, idx from event where kind = 'GRANT'")
        assert {row["request_id"]: row["idx"] for row in rows} == acknowledged
        assert len(rows) == 40
        await assert_whole(bench)


async def test_when_the_epoch_moves_under_it_a_writer_steps_down_and_stores_nothing(used):
    async with writing_bench(used) as bench:
        await bench.publish()
        before = await assert_whole(bench)
        await bench.execute("update log_head set epoch = epoch + 1")
        with pytest.raises(Unavailable):
            await bench.choose(a_subject(), grant())

        await bench.writer.gate.opened()
        result = await bench.choose(a_subject(), grant())
        assert result.position.epoch == 3
        assert result.position.index == before + 1
        notes = await bench.fetch("select pub from event where kind = 'LEDGER' order by idx")
        assert [json.loads(row["pub"])["note"]["event"] for row in notes] == ["CREATED", "EPOCH_STARTED"]
        await assert_whole(bench)


@pytest.mark.parametrize("step", STEPS)
async def test_a_connection_lost_at_any_step_is_resolved_and_each_request_is_stored_once(used, step):
    async with writing_bench(used, clock=SystemClock()) as bench:
        await bench.publish()
        writer, subject, request = bench.writer, a_subject(), a_request()
        backend = "select pid from pg_locks where locktype = 'advisory' and granted and database = "
        backend += "(select oid from pg_database where datname = current_database())"
        [[pid]] = await bench.fetch(backend)
        killing: list[asyncio.Task] = []

        def kill(found):
            if found == step and not killing:
                killing.append(asyncio.ensure_future(bench.fetch("select pg_terminate_backend($1)", pid)))

        object.__setattr__(writer._with, "at", kill)
        try:
            result = await bench.choose(subject, grant(), request=request)
        except Unavailable:
            await writer.gate.opened()
            result = await bench.choose(subject, grant(), request=request)
        await asyncio.gather(*killing)
        await writer.gate.opened()
        again = await bench.choose(subject, grant(), request=request)

        assert (again.position, again.replayed) == (result.position, True)
        assert len(await bench.fetch("select from event where subject_id = $1", subject)) == 1
        await assert_whole(bench)


@pytest.mark.parametrize("step", STEPS)
async def test_a_process_killed_at_any_step_leaves_a_whole_log_and_the_retry_is_stored_once(used, step):
    """The process kills itself with signal 9 as the third write reaches the step."""
    command = [sys.executable, str(TESTS / "dying_writer.py"), used.dsn_of("consent_writer"), step, "3"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(TESTS)}
    )
    out, _ = await process.communicate()
    answered = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == -9
    assert len(answered) == 3  # the registry, and two choices

    async with writing_bench(used, clock=SystemClock(), name="next", keys=MemoryKeys()) as bench:
        size = await assert_whole(bench)
        rows = await bench.fetch("select request_id, idx from event where request_id is not null order by idx")
        stored = {row["request_id"]: row["idx"] for row in rows}
        for answer in answered:
            assert stored[answer["request"]] == answer["index"]
        assert len(stored) == 3 + (step == "committed")
        assert size == 1 + len(stored) + 1


async def test_a_flood_of_grants_does_not_keep_a_withdrawal_waiting(used):
    async with writing_bench(used, clock=SystemClock()) as bench:
        await bench.publish()
        writer = bench.writer
        writer._lanes = Lanes(room=256, own=64)
        subject = a_subject()
        await bench.choose(subject, grant())
        flood = [asyncio.create_task(writer.append(a_choice(a_subject()))) for _ in range(2000)]
        await asyncio.sleep(0)
        taken = await writer.append(Withdraw(a_request(), subject, (Scope("*"),)))
        answers = await asyncio.gather(*flood, return_exceptions=True)

        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert {type(error) for error in refused} == {Exhausted}
        assert len(refused) >= 2000 - 256
        assert taken.entries
        assert await bench.reason(subject) == "WITHDRAWN"
        await assert_whole(bench)


async def test_who_acted_and_how_is_nowhere_in_clear(bench):
    """What the private body says is stored sealed: nobody finds the actor, the session or the power in the database."""
    canary = "canary-7b1d"
    actor = Actor(ActorType.AGENT, f"{canary}-agent", "strong", f"{canary}-power")
    evidence = Evidence("toggle", "", "", f"{canary}-session", (), (f"{canary}-file",), f"call {canary} on 0151 23")
    await bench.choose(a_subject(), grant(), actor=actor, evidence=evidence)

    for table in ("event", "subject_state", "log_entry"):
        assert await bench.fetch(f"select from {table} as t where t::text like $1", f"%{canary}%") == []
