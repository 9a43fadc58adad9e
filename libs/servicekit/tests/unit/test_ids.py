"""Ids are UUIDs of version 7 and sort by time."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicekit.clock import FixedClock
from servicekit.ids import new_id, uuid7

times = st.integers(0, (1 << 48) - 1)
randoms = st.binary(min_size=10, max_size=10)


def test_the_rfcs_example_comes_out():
    # RFC 9562, appendix A.6: rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    random = ((0xCC3 << 68) | 0x18C4DC0C0C07398F).to_bytes(10, "big")

    assert uuid7(0x017F22E279B0, random) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(times, randoms)
def test_an_id_is_a_uuid_of_version_7_with_its_time_in_front(now_ms, random):
    found = uuid.UUID(uuid7(now_ms, random))

    assert (found.version, found.variant, found.int >> 80) == (7, uuid.RFC_4122, now_ms)


@given(times, times, randoms, randoms)
def test_ids_sort_by_time(one, two, random_one, random_two):
    if one < two:
        assert uuid7(one, random_one) < uuid7(two, random_two)


def test_other_amounts_of_randomness_are_refused():
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(0, b"short")


def test_fresh_ids_differ():
    clock = FixedClock(1_000_000)

    assert len({new_id(clock) for _ in range(1000)}) == 1000
    assert uuid.UUID(new_id()).version == 7
