"""The service when things break: killed in the middle, the bus gone for a while, hostile input."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager

import grpc
import pytest

from assent.catalog.v1.value_pb2 import Attribute, Value
from assent.signals.v1 import signals_service_pb2 as pb
from servicekit import grpc_client
from servicekit.ids import new_id
from signals_service.app import build
from testkit.apps import serving
from testkit.waiting import until

from .conftest import App, process, stub_of
from .test_signals_service import active, names, statuses

pytestmark = pytest.mark.integration
CANARY = "canary 4111 1111 1111 1111 <b>free text</b>"


async def ids(stub, ledger, app: App) -> list[str]:
    return [signal.id for signal in (await active(stub, ledger, app)).signals]


async def test_a_restart_in_the_middle_of_a_session_continues_and_fires_once(
    settings, streams, bundle, ledger, profiles, app, tokens, stored
):
    async with serving(build, settings) as address, stub_of(address, tokens) as stub:
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))

    async with serving(build, settings) as address, stub_of(address, tokens) as stub:
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))
        assert await until(lambda: names(stub, ledger, app)) == ["kyc_upload_frustration"]
        await stub.IngestSessionEvents(app.batch(app.failed_upload()))

    async with serving(build, settings) as address, stub_of(address, tokens) as stub:
        assert await names(stub, ledger, app) == ["kyc_upload_frustration"]
    rows = await stored("select change from signal_changes natural join signals where subject = $1", app.subject)
    assert [row["change"] for row in rows] in ([], ["detected"])
    assert len(await stored("select id from signals where subject = $1", app.subject)) == 1


@asynccontextmanager
async def a_process(settings, tokens):
    running = process(settings)
    try:

        def announced():
            assert running.poll() is None
            return settings.ready_file.exists() and json.loads(settings.ready_file.read_text())

        found = await until(announced, timeout=30)
        async with stub_of(f"127.0.0.1:{found['grpc_port']}", tokens) as stub:
            yield stub, running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        await asyncio.to_thread(running.wait, 20)


async def test_kill_9_in_the_middle_of_batches_loses_and_doubles_nothing(
    settings, streams, bundle, ledger, profiles, tokens, stored
):
    apps = [App() for _ in range(40)]
    for app in apps:
        ledger.grant(app.subject)
    first = {app.session: app.batch(app.failed_upload()) for app in apps}
    second = {app.session: app.batch(app.failed_upload()) for app in apps}

    async with a_process(settings, tokens) as (stub, running):
        await asyncio.gather(*(stub.IngestSessionEvents(first[app.session]) for app in apps))
        sent = [asyncio.create_task(_try(stub, second[app.session])) for app in apps]
        await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED)
        running.kill()
        await asyncio.gather(*sent)

    async with a_process(settings, tokens) as (stub, _):
        await asyncio.gather(*(_again(stub, second[app.session]) for app in apps))
        for app in apps:
            assert await until(lambda app=app: names(stub, ledger, app), timeout=30) == ["kyc_upload_frustration"]
    rows = await stored("select subject, count(*) from signals group by subject having count(*) <> 1")
    assert list(rows) == []


async def _try(stub, batch) -> bool:
    try:
        await stub.IngestSessionEvents(batch)
    except grpc.aio.AioRpcError:
        return False
    return True


async def _again(stub, batch) -> None:
    async def sent() -> bool:
        return await _try(stub, batch)

    await until(sent, timeout=20)


async def test_a_restart_of_the_bus_is_survived(stub, ledger, app, platform):
    await stub.IngestSessionEvents(app.batch(app.failed_upload()))

    await asyncio.to_thread(platform.nats.restart)

    await _again(stub, app.batch(app.failed_upload()))
    assert await until(lambda: names(stub, ledger, app), timeout=30) == ["kyc_upload_frustration"]


HOSTILE = ["\x00", "<script>", "a" * 65, "é", "4111-1111-1111-1111", "12345678", CANARY, "\u202e", "' or 1=1 --"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_refused_and_never_stored(stub, ledger, app, bus, stored, text):
    canary = app.failed_upload(screen=text)
    attribute = app.failed_upload()
    attribute.attributes.append(Attribute(name="note", value=Value(text=text)))
    typed = app.event("tap")
    typed.type = text

    answer = await stub.IngestSessionEvents(app.batch(canary, attribute, typed))

    assert statuses(answer)[0] in {"BAD_FIELD", "SENSITIVE_VALUE"}
    assert statuses(answer)[1:] == ["ACCEPTED_REDACTED", "UNKNOWN_TYPE"]
    assert list(answer.results[1].fields) == ["attributes[0]"]
    reader = (await bus("cli")).js
    message = await reader.get_msg("SESSION_EVENTS", answer.position.sequence)
    assert text.encode() not in (message.data or b"")
    letters = (await reader.stream_info("DEAD_LETTERS")).state
    for sequence in range(max(1, letters.last_seq - 1), letters.last_seq + 1):
        assert text.encode() not in ((await reader.get_msg("DEAD_LETTERS", sequence)).data or b"").replace(b"\x00", b"")
    everything = "select string_agg(t::text, '') from (select state::text as t from session_state union all select signals::text from signals) x"
    assert text not in ((await stored(everything))[0][0] or "")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"session": "x y"}, "session"),
        ({"session": "4111111111111111"}, "session"),
        ({"batch_id": "1"}, "batch_id"),
        ({"channel": CANARY}, "channel"),
        ({"app": CANARY}, "app"),
        ({"subject_id": "me"}, "subject_id"),
        ({"sent_at_ms": -1}, "sent_at_ms"),
        ({"events": []}, "events"),
    ],
)
async def test_a_malformed_batch_is_refused_by_the_name_of_its_field(stub, app, changed, field):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.IngestSessionEvents(app.batch(*changed.pop("events", [app.failed_upload()]), **changed))

    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in error.value.details()
    assert "4111" not in error.value.details()


async def test_ten_megabytes_are_refused_and_the_service_goes_on(stub, ledger, app, address, tokens):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.IngestSessionEvents(app.batch(app.failed_upload(), visitor="v" * 10_000_000))

    assert error.value.code() in {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
    assert statuses(await stub.IngestSessionEvents(app.batch(app.event("ping")))) == ["ACCEPTED"]


async def test_a_large_event_and_an_unknown_type_do_not_stop_the_batch(stub, app):
    large = app.failed_upload()
    large.attributes.extend(Attribute(name=f"a{number}", value=Value(text="x" * 60)) for number in range(40))
    old = app.failed_upload()
    old.occurred_at_ms -= 25 * 3_600_000

    answer = await stub.IngestSessionEvents(app.batch(large, app.event("dance"), old, app.event("ping")))

    assert statuses(answer) == ["TOO_LARGE", "UNKNOWN_TYPE", "TOO_OLD", "ACCEPTED"]


async def test_a_session_that_sends_too_fast_is_slowed_down(stub, app):
    quick = [app.event("ping") for _ in range(200)]
    await stub.IngestSessionEvents(app.batch(*quick))

    answer = await stub.IngestSessionEvents(app.batch(*[app.event("ping") for _ in range(150)]))

    assert set(statuses(answer)) == {"ACCEPTED", "RATE_LIMITED"} or set(statuses(answer)) == {"RATE_LIMITED"}
    assert answer.retry_after_ms > 0


async def test_bytes_that_are_no_message_are_refused(address, tokens):
    async with grpc_client.channel(address, token=lambda: tokens("signals.ingest")) as channel:
        call = channel.unary_unary("/assent.signals.v1.SignalsService/IngestSessionEvents")
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"\xff\xff\xff")


async def test_a_message_on_the_stream_that_is_no_envelope_stops_nobody(stub, ledger, app, bus):
    speaker = await bus("signals")
    for partition in range(64):
        await speaker.nc.publish(f"evt.session.{partition:02d}", b"\xff\xff" + new_id().encode())

    await stub.IngestSessionEvents(app.batch(app.failed_upload(), app.failed_upload()))

    assert await until(lambda: names(stub, ledger, app), timeout=20) == ["kyc_upload_frustration"]


async def test_a_query_with_strange_values_is_refused(stub, ledger, app):
    for field, value in (("session", "x" * 65), ("session", "\x00" * 8), ("channel", "m" * 65), ("now_ms", -1)):
        request = pb.GetActiveSignalsRequest(
            basis=ledger.proof(app.subject), subject_id=app.subject, channel="mobile", now_ms=app.now_ms
        )
        setattr(request, field, value)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetActiveSignals(request)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
