"""The service as the kit serves it: calls over gRPC, siblings over NATS, records in JetStream and PostgreSQL."""

from __future__ import annotations

import asyncio
import hashlib
import time

import grpc
import pytest
from orchestration_fakes import SERVICE_ONLY, SUBJECT, Identifier, a_request, a_signal, codes, pb, shown

from assent.events.v1.consent_pb2 import ConsentNarrowed, LedgerChange, SubjectErased
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OUTCOME_TYPE_CLICK
from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_DETECTED, SignalChanged
from assent.orchestration.v1 import explanation_pb2
from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from assent.orchestration.v1.record_pb2 import DecisionRecord
from servicekit.errors import Forbidden
from servicekit.streams import subject
from testkit.builders import unique
from testkit.waiting import until

pytestmark = pytest.mark.integration

AUDIT = ("orchestration.audit", "orchestration.explain")
DEFAULTS = {"branch_hours"}


def refused(call) -> grpc.StatusCode:
    assert isinstance(call.value, grpc.aio.AioRpcError)
    return call.value.code()


async def a_decision(suite, **changed):
    async with suite.client() as client:
        return await client.Decide(a_request(**changed), timeout=5)


async def test_a_decision_is_in_the_stream_before_it_is_answered(suite, bus):
    answer = await a_decision(suite)
    message = await (await bus("orchestration")).js.get_msg("DECISIONS", answer.receipt.sequence)
    recorded = Envelope.FromString(message.data).decision_recorded

    assert shown(answer)
    assert not codes(answer)
    assert recorded.decision_id == answer.decision_id
    assert hashlib.sha256(recorded.record).digest() == answer.receipt.record_digest == recorded.record_digest


async def test_the_archive_fills_and_gives_the_record_with_its_place(suite):
    answer = await a_decision(suite)
    async with suite.client(*AUDIT, "orchestration.audit.personal") as auditor:
        found = await auditor.GetDecision(pb.GetDecisionRequest(decision_id=answer.decision_id), timeout=5)

    assert found.receipt == answer.receipt
    assert hashlib.sha256(found.record).digest() == answer.receipt.record_digest
    assert DecisionRecord.FromString(found.record).subject_id == SUBJECT
    assert not found.redacted


async def test_without_the_second_scope_the_record_is_redacted(suite):
    answer = await a_decision(suite)
    async with suite.client(*AUDIT) as auditor:
        found = await auditor.GetDecision(pb.GetDecisionRequest(decision_id=answer.decision_id), timeout=5)

    assert found.redacted
    assert SUBJECT.encode() not in found.record


async def test_without_the_scope_every_method_is_refused(suite):
    decision = "0" * 32
    calls = {
        "Decide": a_request(),
        "RecordOutcomes": pb.RecordOutcomesRequest(),
        "GetDecision": pb.GetDecisionRequest(decision_id=decision),
        "ExplainDecision": pb.ExplainDecisionRequest(decision_id=decision),
        "ReplayDecision": pb.ReplayDecisionRequest(decision_id=decision),
    }
    async with suite.client("profile.read") as client:
        for name, request in calls.items():
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await getattr(client, name)(request, timeout=5)
            assert refused(caught) == grpc.StatusCode.PERMISSION_DENIED, name
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.WatchDecisions(pb.WatchDecisionsRequest(), timeout=5).read()
        assert refused(caught) == grpc.StatusCode.PERMISSION_DENIED


async def test_an_explanation_for_staff_needs_its_own_scope(suite):
    answer = await a_decision(suite)
    request = pb.ExplainDecisionRequest(decision_id=answer.decision_id, audience=explanation_pb2.AUDIENCE_AUDITOR)
    async with suite.client("orchestration.explain") as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ExplainDecision(request, timeout=5)
        request.audience = explanation_pb2.AUDIENCE_CUSTOMER
        told = (await client.ExplainDecision(request, timeout=5)).explanation
    async with suite.client("orchestration.explain", "orchestration.explain.auditor") as auditor:
        request.audience = explanation_pb2.AUDIENCE_AUDITOR
        everything = (await auditor.ExplainDecision(request, timeout=5)).explanation

    assert refused(caught) == grpc.StatusCode.PERMISSION_DENIED
    assert len(told.candidates) < len(everything.candidates)


async def test_a_replay_asks_the_siblings_again_and_is_identical(suite):
    answer = await a_decision(suite)
    async with suite.client(*AUDIT) as auditor:
        found = await auditor.ReplayDecision(pb.ReplayDecisionRequest(decision_id=answer.decision_id), timeout=5)

    assert found.identical
    assert list(found.stages) == ["evaluate", "rank", "render"]


@pytest.mark.parametrize("name", ["", "x", "nul\x00", "0" * 33, "'; DROP TABLE decision; --", "x" * 100_000])
async def test_a_hostile_decision_id_is_invalid(suite, name):
    async with suite.client(*AUDIT) as auditor:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await auditor.GetDecision(pb.GetDecisionRequest(decision_id=name), timeout=5)

    assert refused(caught) == grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unknown_decision_is_not_found(suite):
    async with suite.client(*AUDIT) as auditor:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await auditor.GetDecision(pb.GetDecisionRequest(decision_id="0" * 32), timeout=5)

    assert refused(caught) == grpc.StatusCode.NOT_FOUND


async def test_thirty_two_concurrent_retries_are_one_decision_in_the_stream(suite):
    request = a_request()
    async with suite.client() as client:
        answers = await asyncio.gather(*(client.Decide(request, timeout=5) for _ in range(32)))
        request.locale = "de-DE"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.Decide(request, timeout=5)

    assert len({answer.receipt.sequence for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert refused(caught) == grpc.StatusCode.ALREADY_EXISTS


async def test_outcomes_are_published_with_what_the_decision_says(suite, bus):
    answer = await a_decision(suite)
    treatment = answer.placements[0].treatments[0]
    outcome = pb.Outcome(
        outcome_id=unique("outcome"),
        decision_id=answer.decision_id,
        action=treatment.action,
        type=OUTCOME_TYPE_CLICK,
        occurred_at_ms=int(time.time() * 1000),
        tracking_token=treatment.tracking_token,
    )
    forged = pb.Outcome()
    forged.CopyFrom(outcome)
    forged.outcome_id, forged.tracking_token = unique("outcome"), "x" * 24
    async with suite.client("orchestration.outcomes") as client:
        first = await client.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=[outcome, forged]), timeout=5)
        second = await client.RecordOutcomes(pb.RecordOutcomesRequest(outcomes=[outcome]), timeout=5)
    found = await (await bus("cli")).js.get_last_msg("OUTCOMES", subject("outcome", SUBJECT))

    statuses = [result.status for result in (*first.results, *second.results)]
    assert statuses == [pb.OUTCOME_STATUS_ACCEPTED, pb.OUTCOME_STATUS_REJECTED, pb.OUTCOME_STATUS_DUPLICATE]
    assert Envelope.FromString(found.data).outcome_recorded.outcome_id == outcome.outcome_id


async def test_malformed_bytes_and_ten_megabytes_are_refused_and_the_service_goes_on(suite):
    async with suite.channel("orchestration.decide") as channel:
        raw = channel.unary_unary("/assent.orchestration.v1.OrchestrationService/Decide")
        for data, codes_of in (
            (b"\xff\xff\xff", {grpc.StatusCode.INVALID_ARGUMENT}),
            (b"\x0a" + b"\xff" * 10, {grpc.StatusCode.INVALID_ARGUMENT}),
            (b"\x00" * 10_000_000, {grpc.StatusCode.RESOURCE_EXHAUSTED}),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await raw(data, timeout=5)
            assert refused(caught) in codes_of

    assert shown(await a_decision(suite))


async def test_a_subject_value_of_three_megabytes_is_invalid(suite):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await a_decision(suite, subject=Identifier(type="customer_number", value="4" * 3_000_000))

    assert refused(caught) == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_deadline_that_has_passed_is_deadline_exceeded(suite):
    async with suite.client() as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.Decide(a_request(), timeout=-1)

    assert refused(caught) == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_sibling_that_never_answers_is_left_out_within_the_clients_deadline(suite):
    suite.world.ranking.rank = lambda _request: asyncio.Event().wait()
    started = time.monotonic()
    async with suite.client() as client:
        answer = await client.Decide(a_request(), timeout=1.0)

    assert time.monotonic() - started < 1.0
    assert codes(answer) == {"RANKING_UNAVAILABLE"}
    assert answer.HasField("receipt")


async def test_a_request_to_decide_over_the_bus_is_refused_to_every_sibling(suite, bus, keys):
    stub = OrchestrationServiceStub((await bus("cli")).channel("orchestration", identity=keys.identity("signals")))

    with pytest.raises(Forbidden):
        await stub.Decide(a_request())


class Watching:
    """An open stream and what came over it."""

    def __init__(self, client) -> None:
        request = pb.WatchDecisionsRequest(session_id="session-1", channel="mobile", locale="en-GB")
        request.subject.CopyFrom(Identifier(type="customer_number", value="4711"))
        request.placements.add(id="journey.inline")
        self.messages: list[pb.WatchDecisionsResponse] = []
        self._call = client.WatchDecisions(request)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._call:
            self.messages.append(message)

    async def has(self, count: int):
        await until(lambda: len(self.messages) >= count, timeout=8)
        return self.messages[count - 1]


def live(signal, subject_id=SUBJECT) -> Envelope:
    changed = SignalChanged(change=SIGNAL_CHANGE_DETECTED, signal=signal, subject_id=subject_id)
    return Envelope(event_id=unique("signal"), key=subject_id, signal_changed=changed)


def rage(suite):
    signal = a_signal("rage_click", expires_at_ms=int(time.time() * 1000) + 60_000)
    suite.world.live = [signal]
    return signal


async def test_a_stream_pushes_on_a_live_signal(suite, bus):
    async with suite.client() as client:
        watching = Watching(client)
        await watching.has(1)
        envelope = live(rage(suite))
        await (await bus("signals")).nc.publish(f"live.signal.{SUBJECT}", envelope.SerializeToString())
        pushed = await watching.has(2)

    assert pushed.cause == "signal:rage_click"
    assert "something_not_working" in shown(pushed.decision)
    assert pushed.decision.HasField("receipt")


async def test_a_stream_pushes_on_the_stream_of_signals_and_not_twice(suite, bus):
    signals = await bus("signals")
    async with suite.client() as client:
        watching = Watching(client)
        await watching.has(1)
        envelope = live(rage(suite))
        await signals.publish(subject("signal", SUBJECT), envelope)
        await watching.has(2)
        await signals.nc.publish(f"live.signal.{SUBJECT}", envelope.SerializeToString())
        await signals.nc.publish(f"live.signal.{SUBJECT}", b"\xff not an envelope")
        await signals.publish(subject("signal", SUBJECT), live(a_signal("hesitation")))
        third = await watching.has(3)

    assert [message.cause for message in watching.messages] == ["stream", "signal:rage_click", "signal:hesitation"]
    assert third.decision.decision_id != watching.messages[1].decision.decision_id


async def test_a_withdrawal_ends_the_stream_within_a_second(suite, bus):
    async with suite.client() as client:
        watching = Watching(client)
        await watching.has(1)
        suite.world.allowed = SERVICE_ONLY[:1]
        narrowed = ConsentNarrowed(change=LedgerChange(subject_id=SUBJECT))
        started = time.monotonic()
        envelope = Envelope(event_id=unique("consent"), key=SUBJECT, consent_narrowed=narrowed)
        await (await bus("consent")).publish(subject("consent", SUBJECT), envelope)
        last = await watching.has(3)

    assert time.monotonic() - started < 1.0
    assert last.end == pb.END_REASON_CONSENT_WITHDRAWN
    assert not watching.messages[1].decision.consent.personal


async def test_an_erasure_ends_the_stream_and_makes_records_unreadable(suite, bus):
    answer = await a_decision(suite)
    async with suite.client(*AUDIT) as auditor, suite.client() as client:
        request = pb.GetDecisionRequest(decision_id=answer.decision_id)
        await auditor.GetDecision(request, timeout=5)
        watching = Watching(client)
        await watching.has(1)
        erased = SubjectErased(change=LedgerChange(subject_id=SUBJECT))
        envelope = Envelope(event_id=unique("erased"), key=SUBJECT, subject_erased=erased)
        await (await bus("consent")).publish(subject("consent", SUBJECT), envelope)
        last = await watching.has(2)

        async def gone() -> bool:
            try:
                await auditor.GetDecision(request, timeout=5)
            except grpc.aio.AioRpcError as error:
                return error.code() == grpc.StatusCode.NOT_FOUND
            return False

        await until(gone)

    assert last.end == pb.END_REASON_SUBJECT_ERASED


async def test_draining_ends_open_streams_and_then_the_service(suite):
    async with suite.client() as client:
        watching = Watching(client)
        await watching.has(1)
        started = time.monotonic()
        suite.stop.set()
        last = await watching.has(2)
        await suite.running

    assert last.end == pb.END_REASON_SERVER_DRAINING
    assert time.monotonic() - started < 3
