"""Leases and folds over a real NATS server, with stores that fence as PostgreSQL would."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections import Counter, defaultdict
from contextlib import asynccontextmanager

import pytest

from assent.events.v1.consent_pb2 import ConsentNarrowed
from assent.events.v1.envelope_pb2 import DeadLetter, Envelope
from servicekit import errors, leases
from servicekit.cancelling import ended
from servicekit.folds import FoldSettings, fold
from servicekit.leases import own
from servicekit.nats import connect
from servicekit.partitions import PARTITIONS, Fenced, partition_of
from servicekit.streams import STREAMS, ensure_streams, subject

pytestmark = pytest.mark.integration

FAST = FoldSettings(attempts=2, first_backoff_s=0.01)
numbers = itertools.count()


class Store:
    """State, position and epoch of each partition, changed together, as a transaction would; keeps what was committed."""

    def __init__(self):
        self.positions: defaultdict[int, int] = defaultdict(int)
        self.epochs: defaultdict[int, int] = defaultdict(int)
        self.committed: list[str] = []
        self.batches: list[int] = []
        self.history: defaultdict[int, list[int]] = defaultdict(list)

    async def load_position(self, partition):
        return self.positions[partition]

    async def apply(self, partition, epoch, facts):
        if epoch < self.epochs[partition]:
            raise Fenced
        assert facts[0][0] > self.positions[partition], "a fact was applied twice or out of order"
        self.positions[partition], self.epochs[partition] = facts[-1][0], epoch
        self.committed += [envelope.event_id for _, envelope, _ in facts]
        self.batches.append(len(facts))
        if self.history[partition][-1:] != [epoch]:
            self.history[partition].append(epoch)


@pytest.fixture(scope="module", autouse=True)
async def streams(server):
    async with connect(server.settings, "admin") as bus:
        await ensure_streams(bus)


@pytest.fixture
async def clean(bus):
    for stream in STREAMS:
        await bus.js.purge_stream(stream.name)


@pytest.fixture
def service():
    return f"service{next(numbers)}"


@asynccontextmanager
async def folding(bus, held, store, settings=FAST):
    task = asyncio.ensure_future(
        fold(bus, held, "CONSENT", apply=store.apply, load_position=store.load_position, settings=settings)
    )
    try:
        yield
    finally:
        await ended(task)


async def publish(bus, count, key=None):
    sent = [
        Envelope(event_id=f"f{next(numbers)}", key=key or f"k{number}", consent_narrowed=ConsentNarrowed())
        for number in range(count)
    ]
    for result in await bus.publish_many((subject("consent", envelope.key), envelope) for envelope in sent):
        assert not isinstance(result, errors.AssentError)
    return [envelope.event_id for envelope in sent]


def holds(held, count=PARTITIONS):
    return lambda: len(held.held) == count


async def test_one_replica_holds_everything(bus, service, until):
    async with own(bus, service, "one") as one:
        await until(holds(one))


async def test_two_replicas_share_evenly_and_epochs_grow(bus, other_bus, service, until):
    async with own(bus, service, "one") as one:
        await until(holds(one))
        before = dict(one.held)
        async with own(other_bus, service, "two") as two:
            await until(lambda: len(one.held) == len(two.held) == PARTITIONS // 2)

            assert set(one.held) | set(two.held) == set(range(PARTITIONS))
            assert all(epoch > before[partition] for partition, epoch in two.held.items())
            assert all(epoch == before[partition] for partition, epoch in one.held.items())
        left = time.monotonic()
        await until(holds(one))
    assert time.monotonic() - left < 1.5


async def test_services_do_not_share_with_each_other(bus, other_bus, service, until):
    async with own(bus, service, "one") as one, own(other_bus, f"{service}b", "one") as other:
        await until(holds(one))
        await until(holds(other))


async def test_each_change_is_told(bus, service, until):
    told = []

    async with own(bus, service, "one", told.append) as one:
        await until(holds(one))

        assert told[-1] == one.held
    assert told[-1] == {}


REPLICA = """
import asyncio, sys
from servicekit.leases import own
from servicekit.nats import connect
from servicekit.settings import NatsSettings

async def main(server, service):
    async with connect(NatsSettings(servers=(server,)), "callee") as bus, own(bus, service, "two"):
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_killed_owners_partitions_are_taken_within_five_seconds(server, bus, service, until):
    async with own(bus, service, "one") as one:
        await until(holds(one))
        before = dict(one.held)
        replica = await asyncio.create_subprocess_exec(
            sys.executable, "-c", REPLICA, server.settings.servers[0], service
        )
        await until(holds(one, PARTITIONS // 2), 30)
        replica.kill()
        await replica.wait()
        died = time.monotonic()

        await until(holds(one))
        assert time.monotonic() - died < 5
        assert Counter(epoch > before[partition] for partition, epoch in one.held.items())[True] == PARTITIONS // 2


async def test_a_replica_that_cannot_confirm_its_heartbeat_holds_nothing(frail_server, service, until):
    async with connect(frail_server.settings, "caller") as here:
        await ensure_streams(here)
        async with own(here, service, "one") as one:
            await until(holds(one))
            frail_server.stall()
            stalled = time.monotonic()
            await until(holds(one, 0))
            lost_after = time.monotonic() - stalled
            frail_server.go_on()
            await until(holds(one))
    assert lost_after < leases.DEAD_AFTER_S


async def test_leases_come_back_with_newer_epochs_after_the_server_was_killed(frail_server, service, until):
    async with connect(frail_server.settings, "caller") as here:
        await ensure_streams(here)
        async with own(here, service, "one") as one:
            await until(holds(one))
            before = dict(one.held)
            await frail_server.kill()
            await until(holds(one, 0))
            await frail_server.start()
            await until(holds(one))

            assert all(epoch > before[partition] for partition, epoch in one.held.items())


async def test_a_fold_applies_everything_once_and_in_batches(bus, service, clean, until):
    store = Store()

    sent = await publish(bus, 3000)
    async with own(bus, service, "one") as one, folding(bus, one, store):
        await until(lambda: len(store.committed) == 3000)
        sent += await publish(bus, 500, key="k")
        await until(lambda: len(store.committed) == 3500)

    assert sorted(store.committed) == sorted(sent)
    assert max(store.batches) > 5


async def test_a_fold_goes_on_behind_its_position(bus, service, clean, until):
    store = Store()

    for _ in range(3):
        sent = await publish(bus, 100)
        async with own(bus, service, "one") as one, folding(bus, one, store):
            await until(lambda sent=sent: sent[-1] in store.committed)

    await until(lambda: len(store.committed) == 300)
    assert max(Counter(store.committed).values()) == 1


async def test_facts_reach_exactly_one_of_the_replicas_over_joins_and_leaves(bus, other_bus, service, clean, until):
    store = Store()
    sent = []

    async with own(bus, service, "one") as one, folding(bus, one, store):
        await until(holds(one))
        for _ in range(2):
            async with own(other_bus, service, "two") as two, folding(other_bus, two, store):
                sent += await publish(bus, 500)
                await until(holds(two, PARTITIONS // 2))
                sent += await publish(bus, 500)
        await until(lambda: len(store.committed) == len(sent))

    assert sorted(store.committed) == sorted(sent)
    assert all(epochs == sorted(set(epochs)) for epochs in store.history.values())


async def test_a_poisonous_message_is_a_dead_letter_and_the_rest_goes_on(bus, service, clean, until):
    class Picky(Store):
        async def apply(self, partition, epoch, facts):
            if any(envelope.event_id == "poison" for _, envelope, _ in facts):
                raise errors.Invalid(reason="POISON")
            await super().apply(partition, epoch, facts)

    store = Picky()
    sent = await publish(bus, 20, key="k")
    await bus.publish(subject("consent", "k"), Envelope(event_id="poison", key="k"))
    await bus.js.publish(subject("consent", "k"), b"\xff\xff\xff")
    sent += await publish(bus, 20, key="k")
    async with own(bus, service, "one") as one, folding(bus, one, store):
        await until(lambda: len(store.committed) == 40)

    letters = [DeadLetter.FromString((await bus.js.get_msg("DEAD_LETTERS", seq)).data) for seq in await _sequences(bus)]
    assert store.committed == sent
    assert {letter.reason for letter in letters} == {"POISON", "MALFORMED"}


async def _sequences(bus):
    state = (await bus.js.stream_info("DEAD_LETTERS")).state
    return range(state.first_seq, state.last_seq + 1)


async def test_what_is_away_is_waited_for(bus, service, clean, until):
    class Away(Store):
        tries = 0

        async def apply(self, partition, epoch, facts):
            self.tries += 1
            if self.tries < 6:
                raise errors.Unavailable
            await super().apply(partition, epoch, facts)

    store = Away()
    sent = await publish(bus, 5, key="k")
    async with own(bus, service, "one") as one, folding(bus, one, store):
        await until(lambda: store.committed == sent)

    assert list(await _sequences(bus)) == []


async def test_two_owners_at_once_are_never_both_valid(bus, service, clean, until):
    """The store has seen a newer epoch than the lease has: the old owner changes nothing, and comes back with a newer one."""
    store = Store()
    partition = partition_of("k")

    async with own(bus, service, "one") as one:
        await until(holds(one))
        newer = one.held[partition] + 1
        store.epochs[partition] = newer
        async with folding(bus, one, store):
            sent = await publish(bus, 10, key="k")
            await until(lambda: store.committed == sent)

    assert all(epoch > newer for epoch in store.history[partition])


async def test_a_fold_goes_on_after_the_server_was_killed(frail_server, service, until):
    store = Store()

    async with connect(frail_server.settings, "caller") as here:
        await ensure_streams(here)
        async with own(here, service, "one") as one, folding(here, one, store):
            sent = await publish(here, 100)
            await until(lambda: len(store.committed) == 100)
            await frail_server.kill()
            await until(lambda: not here.connected)
            await frail_server.start()
            await until(lambda: here.connected)

            async def published():
                try:
                    return await here.publish(subject("consent", "z"), Envelope(event_id="after", key="z"))
                except errors.Unavailable:
                    return False

            await until(published)
            await until(lambda: "after" in store.committed)

    assert sorted(store.committed) == sorted([*sent, "after"])
