"""Facts on a real JetStream: published once, handled at least once, and never lost silently."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from assent.events.v1.consent_pb2 import ConsentNarrowed
from assent.events.v1.envelope_pb2 import DeadLetter, Envelope
from servicekit import errors
from servicekit.app import Subscription
from servicekit.jetstream import ConsumerSettings, consume, position
from servicekit.nats import connect
from servicekit.streams import STREAMS, ensure_streams, subject

pytestmark = pytest.mark.integration

FAST = ConsumerSettings(max_deliver=3, first_backoff_s=0.02, delay_s=0.02, ack_wait_s=1)
numbers = itertools.count()


def an_envelope(key="k"):
    return Envelope(event_id=f"e{next(numbers)}-{id(object())}", key=key, consent_narrowed=ConsentNarrowed())


@pytest.fixture(scope="module", autouse=True)
async def streams(server):
    async with connect(server.settings, "admin") as bus:
        await ensure_streams(bus)


@pytest.fixture
async def clean(bus):
    """No message of another test."""
    for stream in STREAMS:
        await bus.js.purge_stream(stream.name)


def subscribed(handler, **options):
    return [Subscription("CONSENT", f"d{next(numbers)}", {"consent_narrowed": handler}, **options)]


async def dead_letters(bus):
    info = await bus.js.stream_info("DEAD_LETTERS")
    return [
        DeadLetter.FromString((await bus.js.get_msg("DEAD_LETTERS", seq)).data)
        for seq in range(info.state.first_seq, info.state.last_seq + 1)
    ]


def unsettled(info):
    return info.num_pending + info.num_ack_pending


async def settled(bus, subscriptions):
    """Whether the consumer has nothing left to do."""
    return unsettled(await bus.js.consumer_info("CONSENT", subscriptions[0].durable)) == 0


async def test_streams_may_be_ensured_again(bus):
    await ensure_streams(bus)

    names = {info.config.name for info in await bus.js.streams_info()}
    assert {stream.name for stream in STREAMS} <= names


async def test_a_duplicate_publish_is_stored_once(bus, clean):
    envelope = an_envelope()

    first = await bus.publish(subject("consent", "k"), envelope)
    second = await bus.publish(subject("consent", "k"), envelope)

    assert (first.duplicate, second.duplicate, first.sequence) == (False, True, second.sequence)


async def test_a_subject_that_no_stream_takes_is_unavailable(bus):
    with pytest.raises(errors.Unavailable) as caught:
        await bus.publish("evt.nothing.00", an_envelope())

    assert caught.value.code == "NO_STREAM"


async def test_a_full_stream_is_unavailable_and_drops_nothing(bus, clean):
    config = (await bus.js.stream_info("OUTCOMES")).config
    await bus.js.update_stream(config.evolve(max_msgs=1))
    await bus.publish(subject("outcome", "k"), an_envelope())
    with pytest.raises(errors.Unavailable) as caught:
        await bus.publish(subject("outcome", "k"), an_envelope())
    await bus.js.update_stream(config)

    assert caught.value.code == "STREAM_REFUSED"
    assert (await bus.js.stream_info("OUTCOMES")).state.messages == 1


async def test_a_fact_that_is_too_large_is_refused_before_it_is_sent(bus):
    with pytest.raises(errors.Exhausted):
        await bus.publish(subject("consent", "k"), Envelope(event_id="big", key="x" * bus.nc.max_payload))

    await bus.publish(subject("consent", "k"), an_envelope())


async def test_many_facts_are_published_in_order_with_a_result_for_each(bus, clean):
    facts = [(subject("consent", "k"), an_envelope()) for _ in range(1500)]
    facts[700] = ("evt.nothing.00", an_envelope())

    results = await bus.publish_many(facts)

    assert isinstance(results.pop(700), errors.Unavailable)
    assert [ack.sequence for ack in results] == list(range(results[0].sequence, results[0].sequence + 1499))


async def test_a_handled_event_is_acknowledged(bus, clean, until):
    seen = []

    async def handler(envelope):
        seen.append(envelope.event_id)

    subscriptions = subscribed(handler)
    sent = [an_envelope() for _ in range(200)]
    await bus.publish_many((subject("consent", "k"), envelope) for envelope in sent)
    async with consume(bus, subscriptions, FAST):
        await until(lambda: settled(bus, subscriptions))

    assert seen == [envelope.event_id for envelope in sent]


@pytest.mark.parametrize("every_replica", [False, True])
async def test_a_handler_knows_where_in_the_stream_its_message_is(bus, clean, until, every_replica):
    seen = {}

    async def handler(envelope):
        await asyncio.sleep(0)
        seen[envelope.event_id] = position()

    async with consume(bus, subscribed(handler, every_replica=every_replica), FAST):
        acks = [(e, await bus.publish(subject("consent", e.key), e)) for e in map(an_envelope, "abc")]
        await until(lambda: len(seen) == 3)

    assert seen == {envelope.event_id: ack.sequence for envelope, ack in acks}
    with pytest.raises(LookupError):
        position()


async def test_a_body_that_nobody_handles_is_acknowledged(bus, clean, until):
    subscriptions = [Subscription("CONSENT", f"d{next(numbers)}", {})]

    async with consume(bus, subscriptions, FAST):
        await bus.publish(subject("consent", "k"), an_envelope())
        await until(lambda: settled(bus, subscriptions))

    assert await dead_letters(bus) == []


@pytest.mark.parametrize("error", [errors.Invalid, errors.Forbidden, errors.FailedPrecondition])
async def test_what_can_never_succeed_becomes_a_dead_letter_at_once(bus, clean, until, error):
    calls = []

    async def handler(envelope):
        calls.append(envelope)
        raise error(reason="WHY", field="body.field")

    subscriptions = subscribed(handler)
    envelope = an_envelope()
    async with consume(bus, subscriptions, FAST):
        ack = await bus.publish(subject("consent", "k"), envelope)
        await until(lambda: settled(bus, subscriptions))

    (letter,) = await dead_letters(bus)
    assert (letter.stream, letter.sequence, letter.consumer) == ("CONSENT", ack.sequence, subscriptions[0].durable)
    assert (letter.reason, list(letter.fields), letter.deliveries) == ("WHY", ["body.field"], 1)
    assert (letter.message, len(calls)) == (envelope.SerializeToString(), 1)


@pytest.mark.parametrize("error", [errors.NotFound(), errors.Conflict(), errors.Unavailable(), KeyError("a bug")])
async def test_what_may_succeed_later_is_delivered_again(bus, clean, until, error):
    calls = []

    async def handler(envelope):
        calls.append(envelope)
        if len(calls) == 1:
            raise error

    subscriptions = subscribed(handler)
    async with consume(bus, subscriptions, FAST):
        await bus.publish(subject("consent", "k"), an_envelope())
        await until(lambda: len(calls) == 2)
        await until(lambda: settled(bus, subscriptions))

    assert await dead_letters(bus) == []


async def test_the_last_delivery_becomes_a_dead_letter(bus, clean, until):
    calls = []

    async def handler(envelope):
        calls.append(envelope)
        raise errors.Unavailable(reason="STILL_AWAY")

    subscriptions = subscribed(handler)
    async with consume(bus, subscriptions, FAST):
        await bus.publish(subject("consent", "k"), an_envelope())
        await until(lambda: settled(bus, subscriptions))

    (letter,) = await dead_letters(bus)
    assert (letter.reason, letter.deliveries, len(calls)) == ("STILL_AWAY", 3, 3)


async def test_bytes_that_are_not_an_envelope_are_dead_letters_and_block_nobody(bus, clean, until):
    seen = []

    async def handler(envelope):
        seen.append(envelope.event_id)

    subscriptions = subscribed(handler)
    await bus.js.publish(subject("consent", "k"), b"\xff\xff\xff")
    good = an_envelope()
    await bus.publish(subject("consent", "k"), good)
    async with consume(bus, subscriptions, FAST):
        await until(lambda: settled(bus, subscriptions))

    (letter,) = await dead_letters(bus)
    assert (letter.reason, letter.message) == ("MALFORMED", b"\xff\xff\xff")
    assert seen == [good.event_id]


async def test_a_message_is_ended_only_once_its_dead_letter_is_stored(bus, clean, until):
    calls = []

    async def handler(envelope):
        calls.append(envelope)
        raise errors.Invalid

    config = (await bus.js.stream_info("DEAD_LETTERS")).config
    await bus.js.delete_stream("DEAD_LETTERS")
    subscriptions = subscribed(handler)
    async with consume(bus, subscriptions, FAST):
        await bus.publish(subject("consent", "k"), an_envelope())
        await until(lambda: len(calls) >= 2)
        await bus.js.add_stream(config)
        await until(lambda: settled(bus, subscriptions))

    assert len(await dead_letters(bus)) == 1


async def test_a_slow_handler_keeps_its_message(bus, clean, until):
    calls = []

    async def handler(envelope):
        calls.append(envelope)
        await asyncio.sleep(1)  # longer than the consumer waits without a sign of life

    subscriptions = subscribed(handler)
    async with consume(bus, subscriptions, ConsumerSettings(ack_wait_s=0.3)):
        await bus.publish_many((subject("consent", "k"), an_envelope()) for _ in range(2))
        await until(lambda: settled(bus, subscriptions))

    assert len(calls) == 2


async def test_two_replicas_share_a_durable_consumer(bus, other_bus, clean, until):
    seen = {"one": [], "two": []}

    def handler_of(name):
        async def handler(envelope):
            seen[name].append(envelope.event_id)

        return handler

    one = subscribed(handler_of("one"))
    two = [Subscription("CONSENT", one[0].durable, {"consent_narrowed": handler_of("two")})]
    async with consume(bus, one, FAST), consume(other_bus, two, FAST):
        sent = [an_envelope() for _ in range(1000)]
        await bus.publish_many((subject("consent", envelope.event_id), envelope) for envelope in sent)
        await until(lambda: settled(bus, one))

    assert sorted(seen["one"] + seen["two"]) == sorted(envelope.event_id for envelope in sent)
    assert seen["one"]
    assert seen["two"]


async def test_every_replica_hears_new_events_only(bus, other_bus, clean, until):
    seen = []

    async def handler(envelope):
        seen.append(envelope.event_id)

    await bus.publish(subject("consent", "k"), an_envelope())
    new = an_envelope()
    async with (
        consume(bus, subscribed(handler, every_replica=True)),
        consume(other_bus, subscribed(handler, every_replica=True)),
    ):
        await bus.publish(subject("consent", "k"), new)
        await until(lambda: len(seen) == 2)

    assert seen == [new.event_id] * 2


async def test_leaving_gives_back_what_was_not_begun(bus, other_bus, clean, until):
    begun = asyncio.Event()
    let_go = asyncio.Event()
    seen = []

    async def holding(envelope):
        begun.set()
        await let_go.wait()
        seen.append(envelope.event_id)

    async def handler(envelope):
        seen.append(envelope.event_id)

    one = subscribed(holding)
    sent = [an_envelope() for _ in range(20)]
    await bus.publish_many((subject("consent", "k"), envelope) for envelope in sent)
    async with consume(bus, one, FAST):
        await begun.wait()
        asyncio.get_running_loop().call_later(0.05, let_go.set)
    held = len(seen)
    async with consume(other_bus, [Subscription("CONSENT", one[0].durable, {"consent_narrowed": handler})], FAST):
        await until(lambda: settled(bus, one))

    assert held == 1
    assert sorted(seen) == sorted(envelope.event_id for envelope in sent)


@pytest.mark.parametrize("options", [{}, {"every_replica": True}, {"gather_s": 0.05}])
async def test_consuming_goes_on_after_the_server_was_killed(frail_server, until, options):
    seen = set()

    async def handler(envelope):
        seen.add(envelope.event_id)

    async with connect(frail_server.settings, "caller") as here:
        await ensure_streams(here)
        async with consume(here, subscribed(handler, **options), FAST):
            before, after = an_envelope(), an_envelope()
            await here.publish(subject("consent", "k"), before)
            await until(lambda: before.event_id in seen)
            await frail_server.kill()
            await until(lambda: not here.connected)
            with pytest.raises(errors.Unavailable):
                await here.publish(subject("consent", "k"), after)
            await frail_server.start()

            async def published():
                try:
                    return await here.publish(subject("consent", "k"), after)
                except errors.Unavailable:
                    return False

            await until(published)
            await until(lambda: after.event_id in seen)
