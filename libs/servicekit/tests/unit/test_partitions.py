"""Sharing partitions, as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.partitions import NOBODY, PARTITIONS, Lease, next_epoch, partition_of, plan, share

NAMES = st.sets(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1)


def test_the_partition_of_a_key_never_changes():
    assert [partition_of(key) for key in ("", "session-1", "subject-é")] == [20, 8, 1]


@given(st.text())
def test_every_key_has_a_partition(key):
    assert partition_of(key) in range(PARTITIONS)


@given(NAMES)
def test_shares_are_even_and_add_up(live):
    shares = [share(name, live) for name in live]

    assert sum(shares) == PARTITIONS
    assert max(shares) - min(shares) <= 1


@given(st.lists(NAMES, min_size=1, max_size=6))
def test_replicas_that_come_and_go_always_end_up_sharing_all(generations):
    leases: dict[int, Lease] = {}
    for live in generations:
        for _ in range(3):
            for me in sorted(live):
                held = {partition for partition, lease in leases.items() if lease.owner == me}
                todo = plan(leases, held, live, me)
                leases |= {p: Lease(NOBODY, leases[p].epoch) for p in todo.release}
                leases |= {p: Lease(me, next_epoch(leases.get(p, Lease()), 0)) for p in todo.take}

        owners = [leases[partition].owner for partition in range(PARTITIONS)]
        assert set(owners) == live
        assert {owners.count(name) for name in live} == {share(name, live) for name in live}


@given(st.sampled_from(["a", "b"]), st.dictionaries(st.integers(0, 63), st.sampled_from(["a", "b", "c", NOBODY])))
def test_nobody_takes_what_a_live_replica_has(me, owners):
    leases = {partition: Lease(owner, 1, 1) for partition, owner in owners.items()}
    held = {partition for partition, owner in owners.items() if owner == me}

    todo = plan(leases, held, {"a", "b"}, me)

    assert all(owners.get(partition, NOBODY) in {NOBODY, "c"} for partition in todo.take)
    assert set(todo.release) <= held


@pytest.mark.parametrize(("epoch", "now_ms", "expected"), [(0, 1000, 1000), (1000, 1000, 1001), (2000, 1000, 2001)])
def test_an_epoch_is_newer_than_the_last_and_not_older_than_the_time(epoch, now_ms, expected):
    assert next_epoch(Lease("a", epoch, 1), now_ms) == expected
