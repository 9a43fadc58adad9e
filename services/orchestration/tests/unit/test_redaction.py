"""A record for those who may not read people's data."""

from __future__ import annotations

from orchestration_fakes import CANARY, SUBJECT, a_request, a_signal

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.redaction import KEPT, redacted

PERSONAL = {"subject_id", "members", "basis", "view", "signals", "contact", "reserved", "cause"}


async def a_record(world) -> DecisionRecord:
    world.live = [a_signal("home_loan_reading")]
    request = a_request()
    request.subject.value = CANARY
    request.session_id = CANARY
    request.context.screen = CANARY
    await world.decider().decide(request, caller="app", cause="signal:home_loan_reading")
    return world.recorder.last()


async def test_nothing_personal_is_left(world):
    plain = redacted(await a_record(world))
    data = plain.SerializeToString()

    assert not any(word.encode() in data for word in (CANARY, SUBJECT, "personal words", "123456", "home_loan_reading"))
    assert not any(t.tracking_token for p in plain.placements for t in p.treatments)


async def test_stages_actions_and_digests_are_left(world):
    record = await a_record(world)
    plain = redacted(record)

    assert plain.stages == record.stages
    assert [t.action for p in plain.placements for t in p.treatments] == [
        t.action for p in record.placements for t in p.treatments
    ]
    assert [r.action for r in plain.evaluated.rejected] == [r.action for r in record.evaluated.rejected]
    assert plain.bundle_digest == record.bundle_digest


async def test_the_record_itself_is_untouched(world):
    record = await a_record(world)
    before = record.SerializeToString(deterministic=True)
    redacted(record)

    assert record.SerializeToString(deterministic=True) == before


async def test_what_a_newer_contract_adds_is_left_out(world):
    record = await a_record(world)
    newer = DecisionRecord.FromString(record.SerializeToString() + b"\xfa\x3e" + bytes([len(CANARY)]) + CANARY.encode())

    assert CANARY.encode() not in redacted(newer).SerializeToString()


def test_every_field_of_the_contract_is_either_kept_or_personal():
    assert {field.name for field in DecisionRecord.DESCRIPTOR.fields} == set(KEPT) | PERSONAL
