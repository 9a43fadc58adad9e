"""Events to handlers: what each does, and what becomes of a record that is not one."""

from __future__ import annotations

import hashlib

import pytest
from orchestration_fakes import SUBJECT, MemoryArchive, a_request, pb

from assent.events.v1.consent_pb2 import ConsentNarrowed, ConsentWidened, LedgerChange, SubjectErased
from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from orchestration_service.remembering import Remembered
from orchestration_service.subscribers import readable, subscriptions
from orchestration_service.watching import CONSENT, Watches
from servicekit.errors import Invalid
from servicekit.jetstream import handle
from servicekit.pull import Delivered


class Bench:
    def __init__(self, world) -> None:
        self.archive, self.watches, self.remembered = MemoryArchive(), Watches(), Remembered(world.clock)
        self.subscriptions = subscriptions(self.archive, self.watches, self.remembered)

    async def deliver(self, stream, envelope, sequence=1):
        ack = f"$JS.ACK.{stream}.consumer.1.{sequence}.1.1700000000000000000.0".encode()
        message = Delivered(b"evt", ack, envelope.SerializeToString(), None)
        for subscription in self.subscriptions:
            if subscription.stream == stream:
                await handle(dict(subscription.handlers), subscription, message)


@pytest.fixture
def bench(world):
    return Bench(world)


@pytest.fixture
async def recorded(world):
    await world.decider().decide(a_request(), caller="app")
    data = world.recorder.records[-1]
    record = world.recorder.last()
    return DecisionRecorded(decision_id=record.decision_id, record=data, record_digest=hashlib.sha256(data).digest())


async def test_a_decision_is_archived_with_its_place_in_the_stream(bench, recorded):
    await bench.deliver("DECISIONS", Envelope(decision_recorded=recorded), sequence=4711)
    kept = bench.archive.kept[recorded.decision_id]

    assert (kept.record, kept.digest, kept.sequence) == (recorded.record, recorded.record_digest, 4711)


@pytest.mark.parametrize("change", [{"record": b"x"}, {"record_digest": b"x"}, {"decision_id": "another"}])
async def test_a_record_that_is_not_what_it_says_becomes_a_dead_letter(bench, recorded, change):
    for name, value in change.items():
        setattr(recorded, name, value)

    with pytest.raises(Invalid):
        await bench.deliver("DECISIONS", Envelope(decision_recorded=recorded))


def test_bytes_that_are_no_record_are_invalid():
    with pytest.raises(Invalid):
        readable(DecisionRecorded(record=b"\xff", record_digest=hashlib.sha256(b"\xff").digest()))


@pytest.mark.parametrize(
    "envelope",
    [
        Envelope(consent_narrowed=ConsentNarrowed(change=LedgerChange(subject_id=SUBJECT))),
        Envelope(consent_widened=ConsentWidened(change=LedgerChange(subject_id=SUBJECT))),
    ],
)
async def test_a_change_of_consent_wakes_the_streams_of_its_subject(bench, envelope):
    with bench.watches.open(SUBJECT) as watch, bench.watches.open("another") as other:
        await bench.deliver("CONSENT", envelope)

        assert watch.causes == [CONSENT]
        assert not other.causes


async def test_an_erasure_forgets_ends_and_is_repeatable(bench, recorded):
    await bench.deliver("DECISIONS", Envelope(decision_recorded=recorded))
    erased = Envelope(subject_erased=SubjectErased(change=LedgerChange(subject_id=SUBJECT)))
    with bench.watches.open(SUBJECT) as watch:
        await bench.deliver("CONSENT", erased)
        await bench.deliver("CONSENT", erased)

        assert watch.end == pb.END_REASON_SUBJECT_ERASED
    kept = bench.archive.kept[recorded.decision_id]
    assert (kept.record, kept.digest) == (b"", recorded.record_digest)
