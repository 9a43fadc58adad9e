"""When the next decision of a stream is due: in a loop whose time passes only while nothing else happens."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
import virtual_time
from hypothesis import given, settings
from hypothesis import strategies as st

from assent.orchestration.v1 import orchestration_service_pb2 as pb
from orchestration_service.watching import BETWEEN_PUSHES_S, CONSENT, STREAM, Watches

SUBJECT = "s1"


class Follower:
    """A stream's reader: notes the cause and the time of each push; a push takes `busy_s`."""

    def __init__(self, watches: Watches, busy_s: float = 0.0) -> None:
        self.watches = watches
        self.busy_s = busy_s
        self.pushed: list[tuple[float, str]] = []
        self.end = None

    async def follow(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with self.watches.open(SUBJECT) as watch:
            watch.wake("stream")
            async for cause in watch.due():
                self.pushed.append((round(loop.time() - began, 6), cause))
                await asyncio.sleep(self.busy_s)
            self.end = watch.end
            self.ended_at = round(loop.time() - began, 6)


async def play(script, *, busy_s=0.0, until=60.0) -> Follower:
    """Does what the script says at its times: (seconds, call of the watches)."""
    watches = Watches()
    follower = Follower(watches, busy_s)
    following = asyncio.create_task(follower.follow())
    began = asyncio.get_running_loop().time()
    for at, act in script:
        await asyncio.sleep(max(0.0, began + at - asyncio.get_running_loop().time()))
        act(watches)
    await asyncio.sleep(max(0.0, began + until - asyncio.get_running_loop().time()))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    return follower


def wake(cause):
    return lambda watches: watches.wake(SUBJECT, cause)


def finish(reason):
    return lambda watches: watches.finish(SUBJECT, reason)


def drain(watches):
    watches.drain()


@pytest.fixture
def played(in_virtual_time):
    return lambda *script, **options: in_virtual_time(play(script, **options))


def test_the_first_decision_is_due_at_once(played):
    assert played().pushed == [(0.0, "stream")]


def test_a_signal_after_a_quiet_time_is_answered_at_once(played):
    assert played((5.0, wake("signal:a"))).pushed == [(0.0, "stream"), (5.0, "signal:a")]


def test_the_answer_that_opens_the_stream_delays_no_push(played):
    assert played((0.1, wake("signal:a"))).pushed == [(0.0, "stream"), (0.1, "signal:a")]


def test_signals_within_the_distance_are_answered_together_at_its_end(played):
    found = played((0.5, wake("signal:a")), (1.0, wake("signal:b")), (1.5, wake("signal:c")), (2.0, wake("signal:b")))

    assert found.pushed == [(0.0, "stream"), (0.5, "signal:a"), (0.5 + BETWEEN_PUSHES_S, "signal:b")]


def test_the_distance_counts_from_the_end_of_a_push(played):
    found = played((1.0, wake("signal:a")), (1.1, wake("signal:b")), busy_s=0.4)

    assert found.pushed == [(0.0, "stream"), (1.0, "signal:a"), (3.4, "signal:b")]


def test_a_signal_during_a_push_is_not_lost(played):
    found = played((0.05, wake("signal:a")), (2.45, wake("signal:b")), busy_s=0.1)

    assert found.pushed == [(0.0, "stream"), (0.1, "signal:a"), (2.45, "signal:b")]


def test_a_signal_during_a_later_push_is_not_lost(played):
    found = played((1.0, wake("signal:a")), (1.05, wake("signal:b")), busy_s=0.1)

    assert found.pushed == [(0.0, "stream"), (1.0, "signal:a"), (3.1, "signal:b")]


def test_a_change_of_consent_does_not_wait(played):
    found = played((0.5, wake(CONSENT)))

    assert found.pushed == [(0.0, "stream"), (0.5, CONSENT)]


def test_a_change_of_consent_goes_before_signals_that_wait(played):
    found = played((0.5, wake("signal:a")), (0.6, wake("signal:b")), (0.7, wake(CONSENT)))

    assert found.pushed == [(0.0, "stream"), (0.5, "signal:a"), (0.7, CONSENT)]


def test_after_a_change_of_consent_signals_keep_their_distance(played):
    found = played((0.5, wake(CONSENT)), (0.6, wake("signal:a")))

    assert found.pushed == [(0.0, "stream"), (0.5, CONSENT), (2.5, "signal:a")]


@pytest.mark.parametrize("at", [0.5, 5.0])
def test_an_end_does_not_wait_and_nothing_is_pushed_after_it(played, at):
    found = played(
        (0.1, wake("signal:a")),
        (at - 0.1, wake("signal:b")),
        (at, finish(pb.END_REASON_SUBJECT_ERASED)),
        (at, wake("signal:c")),
    )

    assert found.end == pb.END_REASON_SUBJECT_ERASED
    assert found.ended_at == at
    assert found.pushed[-1][0] < at


def test_the_first_reason_to_end_counts(played):
    found = played((1.0, finish(pb.END_REASON_SUBJECT_ERASED)), (1.0, drain))

    assert found.end == pb.END_REASON_SUBJECT_ERASED


def test_an_end_during_a_push_ends_the_stream_after_it(played):
    found = played((0.2, drain), busy_s=0.5)

    assert found.pushed == [(0.0, "stream")]
    assert (found.end, found.ended_at) == (pb.END_REASON_SERVER_DRAINING, 0.5)


def test_a_stream_that_opens_while_draining_ends_at_once(in_virtual_time):
    async def late():
        watches = Watches()
        watches.drain()
        follower = Follower(watches)
        await follower.follow()
        return follower, len(watches)

    follower, left = in_virtual_time(late())
    assert follower.end == pb.END_REASON_SERVER_DRAINING
    assert not follower.pushed
    assert left == 0


def test_the_second_copy_of_a_signal_wakes_nobody(played):
    def once(watches):
        watches.wake(SUBJECT, "signal:a", once="id-1:0")

    def corrected(watches):
        watches.wake(SUBJECT, "signal:a", once="id-1:1")

    found = played((5.0, once), (5.01, once), (20.0, once), (30.0, corrected))

    assert found.pushed == [(0.0, "stream"), (5.0, "signal:a"), (30.0, "signal:a")]


def test_others_are_not_woken_and_a_closed_stream_is_forgotten(in_virtual_time):
    async def two():
        watches = Watches()
        with watches.open("s1") as one, watches.open("s2") as other:
            watches.wake("s1", "signal:a")
            watches.finish("s2", pb.END_REASON_SUBJECT_ERASED)
            state = one.causes, one.ended, other.causes, other.ended
        watches.wake("s1", "signal:a")
        return state, len(watches), dict(watches._by_subject)

    assert in_virtual_time(two()) == ((["signal:a"], False, [], True), 0, {})


class Patch:
    """What `virtual_time.run` needs of a monkeypatch, where hypothesis runs many in one test."""

    def context(self):
        return pytest.MonkeyPatch.context()


ACTS = {"a": wake("signal:a"), "b": wake("signal:b"), "consent": wake(CONSENT)}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from(sorted(ACTS))), max_size=12),
    st.sampled_from([0.0, 0.15, 3.0]),
)
def test_whatever_happens_pushes_keep_their_distance_and_nothing_is_lost(happened, busy_s):
    script = [(at / 10, ACTS[name]) for at, name in sorted(happened)]
    found = virtual_time.run(play(script, busy_s=busy_s, until=100), Patch())

    for (one, first), (two, cause) in pairwise(found.pushed):
        assert two - one >= busy_s - 1e-6
        assert CONSENT == cause or first == STREAM or two - one >= BETWEEN_PUSHES_S + busy_s - 1e-6
    last = max((at / 10 for at, _ in happened), default=0.0)
    assert found.pushed[-1][0] >= last
    assert found.pushed[-1][0] <= last + BETWEEN_PUSHES_S + busy_s + 1e-6
