"""The ledger's contract, on the dictionaries and on PostgreSQL."""

import asyncio

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ranking_service.domain.counts import Count, Key, state_digest
from ranking_service.ports import Position
from ranking_service.store import PostgresLearner, PostgresSnapshots
from ranking_service.transactions import learn_outcomes, sql
from servicekit import postgres
from servicekit.errors import Unavailable
from servicekit.partitions import Fenced
from servicekit.postgres import transaction
from testkit.builders import unique

pytestmark = pytest.mark.integration
KEY = Key("m", "a", "mobile")


@pytest.fixture(params=["memory", "postgres"])
def ledger(request, memory_learner):
    return memory_learner() if request.param == "memory" else request.getfixturevalue("postgres_learner")


async def learn(ledger, *facts, now_ms=1):
    for fact in facts:
        learned = ledger.learn_outcomes if hasattr(fact, "outcome") else ledger.learn_decisions
        await learned([fact], None, now_ms)


async def test_an_impression_is_a_provisional_no(ledger, make):
    await learn(ledger, make.decision("d"), make.outcome("i", "d"))

    assert await ledger.counts() == {KEY: Count(1, 0)}


async def test_a_success_replaces_the_provisional_no(ledger, make):
    await learn(ledger, make.decision("d"), make.outcome("i", "d"), make.outcome("c", "d", "click"))

    assert await ledger.counts() == {KEY: Count(1, 1)}


async def test_a_correction_leaves_no_trace(ledger, make):
    corrected = make.outcome("x", "d", "dismiss", replaces="c")
    await learn(ledger, make.decision("d"), make.outcome("i", "d"), make.outcome("c", "d", "click"), corrected)

    assert await ledger.counts() == {KEY: Count(1, 0)}


async def test_outcomes_before_their_decision_wait_for_it(ledger, make):
    await learn(ledger, make.outcome("c", "d", "click"), make.outcome("i", "d"))
    assert await ledger.counts() == {}

    await learn(ledger, make.decision("d"))

    assert await ledger.counts() == {KEY: Count(1, 1)}


async def test_nothing_is_learned_without_an_impression(ledger, make):
    await learn(ledger, make.decision("d"), make.outcome("c", "d", "click"))

    assert await ledger.counts() == {}


async def test_duplicates_count_once(ledger, make):
    facts = [make.decision("d"), make.outcome("i", "d"), make.outcome("c", "d", "click")]
    await learn(ledger, *facts, *facts, *facts[::-1])

    assert await ledger.counts() == {KEY: Count(1, 1)}


async def test_an_outcome_of_something_else_is_nobodys(ledger, make):
    await learn(ledger, make.outcome("w", "d", action="z"), make.decision("d"), make.outcome("i", "d", action="z"))

    assert await ledger.counts() == {}


async def test_a_decision_that_may_not_be_learned_from_stays_closed(ledger, make):
    closed = make.decision("d", items=())
    await learn(ledger, make.outcome("i", "d"), closed, make.outcome("c", "d", "click"), make.decision("d"))

    assert await ledger.counts() == {}


async def test_a_forgotten_subject_leaves_what_others_taught(ledger, make):
    await learn(ledger, make.decision("d"), make.outcome("i", "d"), make.outcome("c", "d", "click"))
    await learn(ledger, make.decision("e", subject="t"), make.outcome("j", "e", subject="t"))

    removed = await ledger.forget("s", ledger_index=0, now_ms=make.NOW)

    assert removed == 3
    assert await ledger.counts() == {KEY: Count(1, 0)}


async def test_a_forgotten_decision_cannot_be_learned_again(ledger, make):
    facts = [make.decision("d"), make.outcome("i", "d")]
    await learn(ledger, *facts)
    await ledger.forget("s", ledger_index=0, now_ms=make.NOW)
    await learn(ledger, *facts, make.outcome("c", "d", "click"))

    assert await ledger.counts() == {}


async def test_a_decision_on_its_way_when_its_subject_was_forgotten_is_not_learned(ledger, make):
    await ledger.forget("s", ledger_index=0, now_ms=make.NOW)
    await learn(ledger, make.outcome("i", "d"), make.decision("d"))
    await learn(ledger, make.decision("later", at_ms=make.NOW + 1), make.outcome("j", "later"))

    assert await ledger.counts() == {KEY: Count(1, 0)}


async def test_a_narrowed_channel_is_unlearned_and_the_others_are_not(ledger, make):
    web = make.decision("w", channel="web")
    await learn(ledger, make.decision("d"), make.outcome("i", "d"), web, make.outcome("j", "w"))
    assert list(await ledger.channels("s")) == ["mobile", "web"]

    await ledger.unlearn("s", ["mobile"], ledger_index=11, now_ms=make.NOW)
    await learn(ledger, make.decision("old", ledger_index=10), make.outcome("k", "old"))
    await learn(ledger, make.decision("new", ledger_index=11), make.outcome("l", "new"))

    assert list(await ledger.channels("s")) == ["mobile", "web"]
    assert await ledger.counts() == {KEY: Count(2, 0)}  # the item of `web` and of `new`


FACTS = st.lists(
    st.tuples(
        st.integers(0, 4), st.sampled_from(["impression", "click", "dismiss"]), st.integers(0, 5), st.integers(-1, 9)
    ),
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(FACTS, st.randoms(use_true_random=False))
async def test_any_order_sharding_and_repetition_gives_one_state(
    pool, postgres_learner, memory_learner, make, facts, random
):
    prefix = unique("history")
    decisions = [make.decision(f"{prefix}{n}", subject=f"{prefix}s{n % 2}") for n in range(5)]
    outcomes = [
        make.outcome(
            f"{prefix}o{n}", f"{prefix}{decision}", kind, subject=f"{prefix}s{decision % 2}", at=make.NOW + at,
            replaces=f"{prefix}o{replaced}" if replaced >= 0 else "",
        )
        for n, (decision, kind, at, replaced) in enumerate(facts)
    ]  # fmt: skip
    before = await postgres_learner.counts()
    told = memory_learner()
    await learn(told, *decisions, *[each for each in outcomes if each.subject_id.endswith("s0")])
    steps = [*decisions, *outcomes, *random.choices([*decisions, *outcomes], k=5)]
    random.shuffle(steps)
    shards = [steps[shard::3] for shard in range(3)]
    await asyncio.gather(*(learn(postgres_learner, *shard) for shard in shards))

    removed = await postgres_learner.forget(f"{prefix}s1", ledger_index=0, now_ms=make.NOW)

    after = await postgres_learner.counts()
    expected = await told.counts()
    gained = Count(*(now - then for now, then in zip(after.get(KEY, (0, 0)), before.get(KEY, (0, 0)), strict=True)))
    assert removed >= 2
    assert gained == expected.get(KEY, Count(0, 0))


async def test_a_batch_with_repeats_counts_each_once(postgres_learner, make):
    outcomes = [make.outcome("i", "d"), make.outcome("c", "d", "click"), make.outcome("i", "d")]
    await postgres_learner.learn_decisions([make.decision("d"), make.decision("d")], None, 1)
    await postgres_learner.learn_outcomes(outcomes, None, 1)

    assert await postgres_learner.counts() == {KEY: Count(1, 1)}


async def test_a_decision_and_its_outcomes_find_each_other_whoever_commits_first(postgres_learner, make):
    names = [f"d{number}" for number in range(60)]
    decisions = [make.decision(name) for name in names]
    outcomes = [make.outcome(f"i{name}", name) for name in names]
    batches = [
        *(postgres_learner.learn_decisions(decisions[start : start + 20], None, 1) for start in (0, 20, 40)),
        *(postgres_learner.learn_outcomes(outcomes[start : start + 15], None, 1) for start in (45, 30, 15, 0)),
    ]
    await asyncio.gather(*batches)

    assert await postgres_learner.counts() == {KEY: Count(60, 0)}


async def test_forgetting_while_learning_misses_nothing(postgres_learner, make):
    decisions = [make.decision(f"d{number}") for number in range(100)]
    outcomes = [make.outcome(f"i{number}", f"d{number}") for number in range(100)]
    await asyncio.gather(
        *(postgres_learner.learn_decisions([each], None, 1) for each in decisions),
        postgres_learner.forget("s", ledger_index=0, now_ms=make.NOW),
        *(postgres_learner.learn_outcomes([each], None, 1) for each in outcomes),
    )

    assert await postgres_learner.counts() == {}
    assert await postgres_learner.known_rows() == ([0, 0], [])


async def learn_and_die(pool, outcome):
    async with transaction(pool) as tx:
        await learn_outcomes(tx, [outcome], 1)
        await tx.execute("select pg_terminate_backend(pg_backend_pid())")


async def test_a_learner_killed_in_its_transaction_leaves_nothing_and_repeats(pool, postgres_learner, make):
    at = Position("OUTCOMES", 3, 7, 1)
    await postgres_learner.learn_decisions([make.decision("d")], None, 1)
    with pytest.raises((asyncpg.PostgresError, Unavailable)):
        await learn_and_die(pool, make.outcome("i", "d"))
    assert await postgres_learner.counts() == {}

    await postgres_learner.learn_outcomes([make.outcome("i", "d")], at, 1)
    await postgres_learner.learn_outcomes([make.outcome("i", "d")], at, 1)

    assert await postgres_learner.counts() == {KEY: Count(1, 0)}
    assert await postgres_learner.position("OUTCOMES", 3) == 7


async def test_an_older_lease_changes_nothing(postgres_learner, make):
    await postgres_learner.learn_decisions([make.decision("d")], Position("DECISIONS", 1, 5, 9), 1)
    with pytest.raises(Fenced):
        await postgres_learner.learn_decisions([make.decision("e")], Position("DECISIONS", 1, 6, 8), 1)

    await learn(postgres_learner, make.outcome("i", "e"))
    assert await postgres_learner.counts() == {}
    assert await postgres_learner.position("DECISIONS", 1) == 5


async def test_what_waits_longer_than_a_stream_keeps_is_dropped(pool, postgres_learner, make):
    await learn(postgres_learner, make.outcome("i", "never"), make.decision("closed", items=()), now_ms=10)
    await learn(postgres_learner, make.decision("d"), make.outcome("j", "d"), now_ms=10)
    await postgres_learner.tidy(11)

    async with transaction(pool) as tx:
        left = await sql.lock_decisions(tx, decisions=["never", "closed", "d"])
    assert [row["decision_id"] for row in left] == ["d"]
    assert await postgres_learner.counts() == {KEY: Count(1, 0)}


async def test_unlearning_leaves_the_bytes_of_a_state_that_never_learned(database, make):
    digests = []
    for forgets in (True, False):
        made = await database("ranking")
        async with postgres.pool(made.settings) as pool:
            learner, snapshots = PostgresLearner(pool), PostgresSnapshots(pool)
            await snapshots.build(1)
            await learn(learner, make.decision("d", subject="t"), make.outcome("i", "d", subject="t"))
            if forgets:
                await learn(learner, make.decision("e"), make.outcome("j", "e"), make.outcome("c", "e", "click"))
                await learner.forget("s", ledger_index=0, now_ms=make.NOW)
            snapshot = await snapshots.build(2, force=True)
            digests.append((snapshot.digest, state_digest(snapshot.counts)))

    assert digests[0] == digests[1]


async def test_partitions_that_share_a_transaction_are_fenced_one_by_one(postgres_learner, make):
    learner = postgres_learner
    await learner.learn_decisions([], Position("DECISIONS", 1, 5, 9), 1)

    old, new = await asyncio.gather(
        learner.learn_decisions([make.decision("lost")], Position("DECISIONS", 1, 6, 8), 1),
        learner.learn_decisions([make.decision("kept")], Position("DECISIONS", 2, 7, 1), 1),
        return_exceptions=True,
    )
    await learn(learner, make.outcome("i", "lost"), make.outcome("j", "kept"))

    assert isinstance(old, Fenced)
    assert new is None
    assert [await learner.position("DECISIONS", partition) for partition in (1, 2)] == [5, 7]
    assert await learner.counts() == {KEY: Count(1, 0)}
