"""WatchDecisions: what is pushed, and why the stream ends."""

from __future__ import annotations

import asyncio

import pytest
from orchestration_fakes import SERVICE_ONLY, SUBJECT, Identifier, a_signal, bundle, down, forever, pb, shown

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_ENDED, SignalChanged
from orchestration_service.streaming import PUSH_S, watch_decisions
from orchestration_service.subscribers import wake_on_signal
from orchestration_service.watching import CONSENT, Watches
from servicekit.errors import NotFound, Unavailable


def a_watch(kind="customer_number", value="4711"):
    request = pb.WatchDecisionsRequest(session_id="session-1", channel="mobile", locale="en-GB")
    request.subject.CopyFrom(Identifier(type=kind, value=value))
    request.placements.add(id="home.hero")
    return request


class Bench:
    """One open stream over the fakes; `happens` acts once the pushes so far are out."""

    def __init__(self, world, request=None) -> None:
        self.world = world
        self.watches = Watches()
        self.messages: list[pb.WatchDecisionsResponse] = []
        self.stream = watch_decisions(
            request or a_watch(),
            caller="app",
            decider=world.decider(),
            profiles=world.profiles,
            watches=self.watches,
        )

    async def play(self, *acts, quiet_s=10.0):
        reading = asyncio.create_task(self._read())
        for act in acts:
            await asyncio.sleep(quiet_s)
            act(self.watches)
        await asyncio.sleep(quiet_s)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return self.messages

    async def _read(self):
        async for message in self.stream:
            self.messages.append(message)

    @property
    def causes(self):
        return [message.cause for message in self.messages if message.cause]

    @property
    def end(self):
        return self.messages[-1].end


def changed(definition="rage_click", change=SIGNAL_CHANGE_DETECTED, subject=SUBJECT, **more):
    return Envelope(
        signal_changed=SignalChanged(change=change, signal=a_signal(definition), subject_id=subject, **more)
    )


def test_the_first_decision_comes_at_once_and_every_one_is_recorded(world, in_virtual_time):
    bench = Bench(world)
    in_virtual_time(bench.play(lambda w: wake_on_signal(changed(), w)))

    assert bench.causes == ["stream", "signal:rage_click"]
    assert all(message.decision.HasField("receipt") for message in bench.messages)
    assert world.recorder.last().cause == "signal:rage_click"
    assert len({message.decision.decision_id for message in bench.messages}) == 2


@pytest.mark.parametrize(
    "envelope",
    [
        changed(change=SIGNAL_CHANGE_ENDED),
        changed(internal=True),
        changed(subject="somebody-else"),
        changed(subject=""),
        Envelope(signal_changed=SignalChanged(change=SIGNAL_CHANGE_DETECTED, subject_id=SUBJECT)),
    ],
)
def test_what_warrants_no_decision_pushes_nothing(world, in_virtual_time, envelope):
    bench = Bench(world)
    in_virtual_time(bench.play(lambda w: wake_on_signal(envelope, w)))

    assert bench.causes == ["stream"]


def test_a_withdrawal_ends_the_stream_after_a_decision_without_anything_personal(world, in_virtual_time):
    bench = Bench(world)

    def withdraw(watches):
        world.allowed = SERVICE_ONLY
        world.live = [a_signal("rage_click")]
        wake_on_signal(changed(), watches)
        watches.wake(SUBJECT, CONSENT)

    in_virtual_time(bench.play(withdraw))
    last = bench.messages[-2].decision

    assert bench.end == pb.END_REASON_CONSENT_WITHDRAWN
    assert bench.causes[-1] == CONSENT
    assert all(not bundle().purpose[bundle().action[name].purpose].needs_consent for name in shown(last))


def test_a_narrowing_that_leaves_something_does_not_end_the_stream(world, in_virtual_time):
    bench = Bench(world)

    def narrow(watches):
        world.allowed = (*SERVICE_ONLY, "assistance")
        watches.wake(SUBJECT, CONSENT)

    in_virtual_time(bench.play(narrow))

    assert bench.causes == ["stream", CONSENT]
    assert bench.end == pb.END_REASON_UNSPECIFIED


def test_who_never_consented_is_not_told_that_consent_was_withdrawn(world, in_virtual_time):
    world.allowed = SERVICE_ONLY
    bench = Bench(world)
    in_virtual_time(bench.play(lambda w: w.wake(SUBJECT, CONSENT)))

    assert bench.causes == ["stream", CONSENT]
    assert bench.end == pb.END_REASON_UNSPECIFIED


def test_a_ledger_that_is_away_is_no_withdrawal_and_shows_nothing_personal(world, in_virtual_time):
    bench = Bench(world)

    def away(watches):
        world.ledger.basis = down
        watches.wake(SUBJECT, CONSENT)

    in_virtual_time(bench.play(away))

    assert bench.end == pb.END_REASON_UNSPECIFIED
    assert not bench.messages[-1].decision.consent.personal


def test_an_erasure_ends_the_stream(world, in_virtual_time):
    bench = Bench(world)
    in_virtual_time(bench.play(lambda w: w.finish(SUBJECT, pb.END_REASON_SUBJECT_ERASED)))

    assert bench.end == pb.END_REASON_SUBJECT_ERASED


def test_draining_ends_the_stream(world, in_virtual_time):
    bench = Bench(world)
    in_virtual_time(bench.play(lambda w: w.drain()))

    assert bench.end == pb.END_REASON_SERVER_DRAINING
    assert len(bench.watches) == 0


def test_a_reader_that_goes_away_leaves_no_stream_behind(world, in_virtual_time):
    bench = Bench(world)

    async def leave():
        first = await anext(bench.stream)
        await bench.stream.aclose()
        return first

    assert in_virtual_time(leave()).cause == "stream"
    assert len(bench.watches) == 0


def test_a_subject_that_nobody_knows_is_not_found(world, in_virtual_time):
    async def unknown(_request):
        raise NotFound(reason="UNKNOWN_IDENTIFIER")

    world.profiles.resolve = unknown
    bench = Bench(world)

    with pytest.raises(NotFound):
        in_virtual_time(anext(bench.stream))


def test_while_profile_is_away_our_own_id_is_watched_and_no_other(world, in_virtual_time):
    world.profiles.resolve = down
    bench = Bench(world, a_watch("subject_id", SUBJECT))
    in_virtual_time(bench.play(lambda w: wake_on_signal(changed(), w)))

    assert bench.causes == ["stream", "signal:rage_click"]
    with pytest.raises(Unavailable):
        in_virtual_time(anext(Bench(world).stream))


def test_each_push_has_its_budget_whatever_hangs(world, in_virtual_time):
    world.signals.active = forever
    bench = Bench(world)

    async def timed():
        started = asyncio.get_running_loop().time()
        await anext(bench.stream)
        return asyncio.get_running_loop().time() - started

    assert in_virtual_time(timed()) <= PUSH_S
