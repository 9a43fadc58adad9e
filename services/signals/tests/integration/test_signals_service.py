"""The service on real servers: from an event to a live signal, and what consent allows."""

from __future__ import annotations

import grpc
import pytest

from assent.signals.v1 import signals_service_pb2 as pb
from testkit.waiting import until

from .conftest import App, withdraw

pytestmark = pytest.mark.integration


async def active(stub, ledger, app: App, position=None, **changed):
    request = pb.GetActiveSignalsRequest(
        basis=ledger.proof(app.subject), subject_id=app.subject, channel="mobile", max_wait_ms=50
    )
    if position is not None:
        request.wait_for.CopyFrom(position)
    for name, value in changed.items():
        setattr(request, name, value)
    return await stub.GetActiveSignals(request)


async def names(stub, ledger, app: App) -> list[str]:
    return [signal.definition for signal in (await active(stub, ledger, app)).signals]


def statuses(answer) -> list[str]:
    return [pb.EventStatus.Name(result.status).removeprefix("EVENT_STATUS_") for result in answer.results]


async def test_failed_uploads_become_a_live_signal(stub, ledger, app, live):
    events = [app.failed_upload(), app.failed_upload(after_ms=5000), app.failed_upload(after_ms=5000)]

    answer = await stub.IngestSessionEvents(app.batch(*events))

    assert statuses(answer) == ["ACCEPTED"] * 3
    heard = await until(lambda: [one for one in live if one.signal_changed.subject_id == app.subject])
    assert [one.signal_changed.signal.definition for one in heard] == ["kyc_upload_frustration"]
    seen = await until(lambda: active(stub, ledger, app, answer.position))
    assert [signal.definition for signal in seen.signals] == ["kyc_upload_frustration"]
    assert (seen.caught_up, seen.fresh) == (True, True)
    (signal,) = seen.signals
    assert list(signal.evidence) == [events[0].id, events[1].id]


async def test_without_consent_nothing_is_stored(stub, ledger, bus, signals_database):
    app = App()
    reader = await bus("signals")
    before = (await reader.js.stream_info("SESSION_EVENTS")).state.last_seq

    answer = await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))

    assert statuses(answer) == ["NOT_ALLOWED"] * 2
    assert not answer.HasField("position")
    assert (await reader.js.stream_info("SESSION_EVENTS")).state.last_seq == before


async def test_consent_down_stores_nothing_and_says_so(stub, ledger, app, bus):
    ledger.down = True
    reader = await bus("signals")
    before = (await reader.js.stream_info("SESSION_EVENTS")).state.last_seq

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))

    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (await reader.js.stream_info("SESSION_EVENTS")).state.last_seq == before


async def test_a_withdrawal_ends_the_signals_it_covers(stub, ledger, app, bus, stored):
    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))
    await until(lambda: names(stub, ledger, app))
    wide = pb.GetActiveSignalsRequest(basis=ledger.proof(app.subject), subject_id=app.subject, channel="mobile")

    await withdraw(bus, ledger, app.subject)

    async def ended() -> bool:
        return not (await stub.GetActiveSignals(wide)).signals

    await until(ended)
    rows = await stored("select reason, revision from signals where subject = $1", app.subject)
    assert [tuple(row) for row in rows] == [("CONSENT", 1)]
    states = "select count(*) from session_state where subject = $1 and convert_from(state, 'utf8') like '%blurry%'"
    assert (await stored(states, app.subject))[0][0] == 0


async def test_a_basis_without_the_purpose_shows_nothing(stub, ledger, app):
    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))
    await until(lambda: names(stub, ledger, app))

    ledger.grant(app.subject, assistance=["behaviour"])

    assert await names(stub, ledger, app) == []


async def test_no_basis_is_refused(stub, app):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.GetActiveSignals(pb.GetActiveSignalsRequest(subject_id=app.subject, channel="mobile"))

    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_another_subjects_basis_is_refused(stub, ledger, app):
    other = App()
    ledger.grant(other.subject)

    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.GetActiveSignals(
            pb.GetActiveSignalsRequest(basis=ledger.proof(other.subject), subject_id=app.subject, channel="mobile")
        )

    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_fields_of_other_categories_are_removed_before_storing(stub, ledger, app, bus):
    ledger.grant(app.subject, assistance=["interaction"])
    event = app.failed_upload(screen="upload", target="shutter")

    answer = await stub.IngestSessionEvents(app.batch(event, app.event("tap", x=1, y=2)))

    assert statuses(answer) == ["ACCEPTED", "NOT_ALLOWED"]
    message = await (await bus("signals")).js.get_msg("SESSION_EVENTS", answer.position.sequence)
    assert message.data is not None
    assert b"shutter" not in message.data
    assert b"blurry" in message.data


async def test_a_batch_sent_twice_counts_once(stub, ledger, app, live):
    batch = app.batch(app.failed_upload())

    first = await stub.IngestSessionEvents(batch)
    again = await stub.IngestSessionEvents(batch)
    other_id = app.batch(*batch.events)
    await stub.IngestSessionEvents(other_id)
    end = await stub.IngestSessionEvents(app.batch(app.event("ping")))

    assert first.position == again.position
    assert await until(lambda: _caught_up(stub, ledger, app, end.position))
    assert await names(stub, ledger, app) == []


async def _caught_up(stub, ledger, app, position) -> bool:
    return bool((await active(stub, ledger, app, position)).caught_up)


async def test_events_that_arrive_in_the_wrong_order_are_put_right(stub, ledger, app):
    failed, worked, again = app.failed_upload(), app.event("upload_ok", step="document_upload"), app.failed_upload()

    await stub.IngestSessionEvents(app.batch(failed))
    await stub.IngestSessionEvents(app.batch(again))
    end = await stub.IngestSessionEvents(app.batch(worked))

    assert await until(lambda: _caught_up(stub, ledger, app, end.position))
    assert await names(stub, ledger, app) == []


async def test_one_sequence_with_two_ids_is_a_dead_letter(stub, app, bus):
    first = app.event("ping")
    other = app.event("ping")
    other.seq = first.seq
    await stub.IngestSessionEvents(app.batch(first))
    await stub.IngestSessionEvents(app.batch(other))

    reader = (await bus("cli")).js

    async def letter() -> bool:
        last = (await reader.stream_info("DEAD_LETTERS")).state.last_seq
        return last > 0 and b"SEQ_CONFLICT" in ((await reader.get_msg("DEAD_LETTERS", last)).data or b"")

    assert await until(letter)


async def test_a_gap_that_stays_is_given_up_after_a_moment(stub, ledger, app):
    app.event("ping")  # is never sent
    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))

    assert await until(lambda: names(stub, ledger, app)) == ["kyc_upload_frustration"]


async def test_a_visitor_gets_a_subject(stub, ledger, profiles):
    app = App()
    profiles.subjects[app.visitor] = app.subject
    ledger.grant(app.subject)

    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload(), subject_id=""))

    assert await until(lambda: names(stub, ledger, app)) == ["kyc_upload_frustration"]


async def test_a_forgotten_subject_leaves_nothing(stub, ledger, app, signals_database):
    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))
    await until(lambda: names(stub, ledger, app))
    request = pb.ForgetSubjectRequest(subject_id=app.subject, request_id=f"forget-{app.subject}"[:64])

    removed = (await stub.ForgetSubject(request)).rows_removed

    assert removed >= 2
    assert (await stub.ForgetSubject(request)).rows_removed == removed
    assert await names(stub, ledger, app) == []


async def test_the_basis_is_asked_for_once_and_again_after_a_change(stub, ledger, app, bus):
    for _ in range(3):
        await stub.IngestSessionEvents(app.batch(app.event("ping")))
    assert ledger.asked == 1

    await withdraw(bus, ledger, app.subject)

    await until(lambda: _refused(stub, app))


async def _refused(stub, app) -> bool:
    return statuses(await stub.IngestSessionEvents(app.batch(app.event("ping")))) == ["NOT_ALLOWED"]


async def test_a_rerun_over_rpc_is_not_built_yet(address, tokens):
    from .conftest import SignalsServiceStub, grpc_client  # noqa: PLC0415

    async with grpc_client.channel(address, token=lambda: tokens("signals.operate")) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            async for _ in SignalsServiceStub(channel).Rerun(pb.RerunRequest()):
                pass

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
