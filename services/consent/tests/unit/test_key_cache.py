"""The writer's memory of keys: bounded in size and time, and empty of what was destroyed."""

from __future__ import annotations

import pytest

from consent_service.domain.commitments import SubjectKey
from consent_service.keys import CachedSubjectKeys, Found
from consent_service.keys.cache import LONGEST_S


class Counting:
    """Keys that say how often they were asked for."""

    def __init__(self):
        self.asked = []
        self.destroyed = set()
        self.meanwhile = None

    async def get(self, subjects):
        self.asked.append(sorted(subjects))
        live = {
            subject: SubjectKey(subject.encode().ljust(32)) for subject in subjects if subject not in self.destroyed
        }
        gone = frozenset(self.destroyed & set(subjects))
        if self.meanwhile:
            self.meanwhile()
        return Found(live, gone)

    create = get

    async def rewrap(self, most):
        return most


@pytest.fixture
def time():
    return [0.0]


@pytest.fixture
def store():
    return Counting()


@pytest.fixture
def cache(store, time):
    return CachedSubjectKeys(store, size=3, now=lambda: time[0])


async def test_a_key_is_asked_for_once_in_five_minutes(cache, store, time):
    for time[0] in (0.0, 10.0, LONGEST_S - 0.001):
        await cache.get(["a"])
    assert store.asked == [["a"]]
    time[0] = LONGEST_S
    await cache.get(["a"])

    assert store.asked == [["a"], ["a"]]


async def test_using_a_key_does_not_keep_it_longer(cache, time):
    await cache.get(["a"])
    for time[0] in (100.0, 200.0, 299.0):
        await cache.get(["a"])
    time[0] = LONGEST_S
    cache.expire()

    assert not cache._kept


async def test_only_what_is_missing_is_asked_for(cache, store):
    await cache.get(["a", "b"])
    found = await cache.create(["a", "b", "c"])

    assert store.asked == [["a", "b"], ["c"]]
    assert set(found.live) == {"a", "b", "c"}


async def test_the_least_recently_used_leaves_first(cache, store):
    for subjects in (["a"], ["b"], ["c"], ["a"], ["d"], ["a"], ["b"]):
        await cache.get(subjects)

    assert store.asked == [["a"], ["b"], ["c"], ["d"], ["b"]]


async def test_a_destroyed_key_is_not_remembered(cache, store):
    await cache.get(["a"])
    cache.forget(["a"])
    store.destroyed.add("a")

    assert (await cache.get(["a"])).destroyed == {"a"}
    assert not cache._kept


async def test_a_key_read_while_it_is_being_destroyed_is_not_remembered(cache, store):
    store.meanwhile = lambda: cache.forget(["a"])
    await cache.get(["a"])

    assert not cache._kept


async def test_a_writer_that_steps_down_forgets_everything(cache):
    await cache.get(["a", "b"])
    cache.clear()

    assert (len(cache._kept), len(cache._since)) == (0, 0)
