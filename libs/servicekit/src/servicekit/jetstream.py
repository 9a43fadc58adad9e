"""Taking facts from JetStream: durable consumers shared by the replicas of a service, and what becomes of each message.

Success and bodies that nobody handles are acknowledged; `servicekit.status` says the rest. A message that cannot be read, that may
never succeed or that has been delivered too often becomes a dead letter, and only when that is stored is it ended. The server
itself never gives a message up (its own limit would do so silently).
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from google.protobuf.message import DecodeError
from nats.errors import Error
from nats.js.api import AckPolicy, ConsumerConfig

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import telemetry
from servicekit.app import EventHandler, Subscription
from servicekit.cancelling import ended
from servicekit.clock import Clock, SystemClock
from servicekit.errors import AssentError, Exhausted, Invalid, Unavailable
from servicekit.nats import Bus
from servicekit.ordered import Ordered, last_sequence
from servicekit.publishing import dead_letter
from servicekit.pull import ACK, PROGRESS, TERM, Delivered, Pull, nak, respond
from servicekit.rpc import headers
from servicekit.status import Verdict, verdict_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How a consumer works; seconds."""

    batch: int = 64
    ack_wait_s: float = 30
    max_deliver: int = 10
    delay_s: float = 1
    first_backoff_s: float = 0.25
    longest_backoff_s: float = 30
    drain_s: float = 5


DEFAULTS = ConsumerSettings()

_POSITION: ContextVar[int] = ContextVar("position")


def position() -> int:
    """The stream's sequence of the message that is being handled; LookupError outside of a handler."""
    return _POSITION.get()


@asynccontextmanager
async def consume(
    bus: Bus,
    subscriptions: Sequence[Subscription],
    settings: ConsumerSettings = DEFAULTS,
    *,
    clock: Clock | None = None,
) -> AsyncIterator[None]:
    """Handle the events of the subscriptions while the block runs; leaving finishes the messages in hand."""
    clock = clock or SystemClock()
    readers = [
        EveryReplica(bus, each) if each.every_replica else Durable(bus, each, settings, clock) for each in subscriptions
    ]
    for reader in readers:
        await reader.open()
    running = [asyncio.create_task(reader.run(), name="consume") for reader in readers]
    try:
        yield
    finally:
        for reader, task in zip(readers, running, strict=True):
            reader.leaving = True
            if not reader.busy:
                task.cancel()
        _, late = await asyncio.wait(running, timeout=settings.drain_s) if running else ((), ())
        await ended(*late)


async def handle(handlers: dict[str, EventHandler], subscription: Subscription, message: Delivered) -> None:
    """Give one message to the handler of its body; raises Invalid for bytes that are not an envelope."""
    try:
        envelope = Envelope.FromString(message.data)
    except DecodeError as error:
        raise Invalid("The message is not an envelope.", reason="MALFORMED") from error
    body = envelope.WhichOneof("body")
    handler = handlers.get(body) if body else None
    if handler is None:
        return
    traceparent = headers.read(message.head).get(headers.TRACEPARENT, b"").decode("ascii", "replace")
    attributes = {telemetry.STREAM: subscription.stream, telemetry.CONSUMER: subscription.durable}
    with telemetry.server_span(telemetry.EVENT_HANDLE, traceparent, {**attributes, telemetry.EVENT_BODY: str(body)}):
        token = _POSITION.set(message.sequence)
        try:
            await handler(envelope)
        finally:
            _POSITION.reset(token)


class Durable:
    """One durable consumer of one replica. Messages of one subject are handled one after the other."""

    def __init__(self, bus: Bus, subscription: Subscription, settings: ConsumerSettings, clock: Clock) -> None:
        self._bus = bus
        self._subscription = subscription
        self._handlers = dict(subscription.handlers)
        self._settings = settings
        self._clock = clock
        self._pull: Pull | None = None
        self.busy = False
        self.leaving = False

    async def open(self) -> None:
        """Make the consumer; Unavailable when the stream does not exist or may not be read."""
        try:
            self._pull = await self._make()
        except (Error, TimeoutError) as error:
            raise Unavailable(
                "The stream cannot be read.", reason="NO_STREAM", stream=self._subscription.stream
            ) from error

    async def run(self) -> None:
        """Handle messages until `leaving`."""
        try:
            while not self.leaving:
                taken = await self._take()
                self.busy = True
                await self._work(taken)
                self.busy = False
        finally:
            await self._let_go()

    async def _take(self) -> list[Delivered]:
        """Wait for the next messages, over any failure of the bus."""
        for failures in itertools.count():
            try:
                self._pull = self._pull or await self._make()
                gather_s = self._subscription.gather_s
                return await (self._pull.gather(gather_s) if gather_s else self._pull.take())
            except (Error, Unavailable, TimeoutError) as error:
                logger.info("consuming %s starts again: %s", self._subscription.stream, type(error).__name__)
                await self._let_go()
                await asyncio.sleep(self._backoff(failures + 1))
        raise AssertionError

    async def _make(self) -> Pull:
        config = ConsumerConfig(
            name=self._subscription.durable,
            durable_name=self._subscription.durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._settings.ack_wait_s,
            max_deliver=-1,
        )
        await self._bus.js.add_consumer(self._subscription.stream, config)
        pull = Pull(self._bus, self._subscription.stream, self._subscription.durable, batch=self._settings.batch)
        await pull.open()
        return pull

    async def _let_go(self) -> None:
        """Give back what was pulled and not begun, and want no more."""
        pull, self._pull = self._pull, None
        if pull is not None:
            await pull.close()
            for message in pull.left():
                respond(self._bus, message, nak(0))

    async def _work(self, taken: list[Delivered]) -> None:
        by_subject = attrgetter("raw_subject")
        lanes = [list(lane) for _, lane in groupby(sorted(taken, key=by_subject), key=by_subject)]
        unfinished = set(taken)
        progress = asyncio.create_task(self._tell_progress(unfinished))
        try:
            await asyncio.gather(*(self._work_lane(lane, unfinished) for lane in lanes))
        finally:
            progress.cancel()

    async def _tell_progress(self, unfinished: set[Delivered]) -> None:
        while True:
            await asyncio.sleep(self._settings.ack_wait_s / 3)
            waiting = self._pull.waiting if self._pull else ()
            for message in (*unfinished, *waiting):
                respond(self._bus, message, PROGRESS)

    async def _work_lane(self, lane: list[Delivered], unfinished: set[Delivered]) -> None:
        for message in lane:
            verdict = nak(0) if self.leaving else await self._verdict(message)
            unfinished.discard(message)
            respond(self._bus, message, verdict)

    async def _verdict(self, message: Delivered) -> bytes:
        try:
            if message.deliveries > self._settings.max_deliver:
                raise Exhausted("The message was delivered too often.", reason="TOO_MANY_DELIVERIES")  # noqa: TRY301
            await handle(self._handlers, self._subscription, message)
        except Exception as error:  # noqa: BLE001  # every failure has a verdict
            return await self._verdict_of(error, message)
        self._count("ACK")
        return ACK

    async def _verdict_of(self, error: Exception, message: Delivered) -> bytes:
        verdict = verdict_of(error)
        if not isinstance(error, AssentError):
            logger.error("a handler failed", exc_info=error, extra={"stream": message.stream})
        last = message.deliveries >= self._settings.max_deliver
        self._count(verdict.name)
        if verdict is Verdict.DEAD_LETTER or last:
            return await self._give_up(error, message)
        return nak(self._wait(verdict, message.deliveries))

    def _wait(self, verdict: Verdict, deliveries: int) -> float:
        if verdict is Verdict.NAK_AT_ONCE:
            return 0
        if verdict is Verdict.NAK_WITH_DELAY:
            return self._settings.delay_s
        return self._backoff(deliveries)

    def _backoff(self, deliveries: int) -> float:
        doubled = self._settings.first_backoff_s * 2 ** min(deliveries - 1, 16)
        return float(min(self._settings.longest_backoff_s, doubled))

    async def _give_up(self, error: Exception, message: Delivered) -> bytes:
        """Term once the dead letter is stored; until it can be, the message comes again."""
        known = error if isinstance(error, AssentError) else AssentError("The handler failed.", reason="INTERNAL")
        now_ms = self._clock.now_us() // 1000
        consumer = self._subscription.durable
        try:
            await dead_letter(self._bus, message, consumer=consumer, error=known, recorded_at_ms=now_ms)
        except AssentError as failure:
            logger.warning("a dead letter could not be stored: %s", failure.code)
            return nak(self._backoff(message.deliveries))
        return TERM

    def _count(self, verdict: str) -> None:
        attributes = {telemetry.STREAM: self._subscription.stream, telemetry.CONSUMER: self._subscription.durable}
        telemetry.count(telemetry.EVENTS_HANDLED, 1, {**attributes, telemetry.VERDICT: verdict})


class EveryReplica:
    """An ephemeral consumer from new messages on, for caches and open streams: failures are logged, nothing comes twice."""

    def __init__(self, bus: Bus, subscription: Subscription) -> None:
        self._bus = bus
        self._subscription = subscription
        self._handlers = dict(subscription.handlers)
        self._messages: Ordered | None = None
        self.busy = False
        self.leaving = False

    async def open(self) -> None:
        """Fix where new messages begin."""
        start = await last_sequence(self._bus, self._subscription.stream) + 1
        self._messages = Ordered(self._bus, self._subscription.stream, [">"], start=start)

    async def run(self) -> None:
        """Handle messages until `leaving`."""
        assert self._messages
        try:
            while not self.leaving:
                taken = await self._messages.take()
                self.busy = True
                for message in taken:
                    await self._try(message)
                self.busy = False
        finally:
            await self._messages.close()

    async def _try(self, message: Delivered) -> None:
        try:
            await handle(self._handlers, self._subscription, message)
        except Exception as error:
            reason = error.code if isinstance(error, AssentError) else "INTERNAL"
            logger.exception("an event was not handled", extra={"stream": message.stream, "reason": reason})
