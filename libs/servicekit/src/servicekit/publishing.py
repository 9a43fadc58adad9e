"""Facts on JetStream: publishing until it is acknowledged, and giving up a message without losing it.

A fact counts as published when the stream has acknowledged it; everything else is Unavailable, so that the sender keeps it.
`Nats-Msg-Id` is the event id: within the stream's window a repeat is stored once.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assent.events.v1.envelope_pb2 import DeadLetter, Envelope
from servicekit import deadline, telemetry
from servicekit.errors import AssentError, DeadlineExceeded, Unavailable
from servicekit.rpc import headers

if TYPE_CHECKING:
    from servicekit.nats import Bus

ACK_SECONDS = 5.0
IN_FLIGHT = 512

_Sent = asyncio.Future[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class PublishAck:
    """Where the fact is; `duplicate` says that it was there before."""

    stream: str
    sequence: int
    duplicate: bool


class Given(Protocol):
    """What is known of a message that is given up."""

    @property
    def stream(self) -> str: ...  # noqa: D102
    @property
    def sequence(self) -> int: ...  # noqa: D102
    @property
    def subject(self) -> str: ...  # noqa: D102
    @property
    def deliveries(self) -> int: ...  # noqa: D102
    @property
    def data(self) -> bytes: ...  # noqa: D102


async def publish(bus: Bus, subject: str, envelope: Envelope) -> PublishAck:
    """Return once the stream has the fact; raises Unavailable otherwise, and Exhausted for one that is too large."""
    return await _settled(_sent(bus, subject, envelope.event_id, envelope.SerializeToString()))


async def publish_many(
    bus: Bus, facts: Iterable[tuple[str, Envelope]], *, in_flight: int = IN_FLIGHT
) -> list[PublishAck | AssentError]:
    """Publish in order with many unacknowledged at a time; for each fact its acknowledgement, or why there is none."""
    results: list[PublishAck | AssentError] = []
    waiting: deque[_Sent | AssentError] = deque()
    try:
        for subject, envelope in facts:
            while len(waiting) >= in_flight or (waiting and bus.nc.crowded):
                results.append(await _result(waiting.popleft()))
            waiting.append(_try_send(bus, subject, envelope))
        while waiting:
            results.append(await _result(waiting.popleft()))
    finally:
        for sent in waiting:
            if not isinstance(sent, AssentError):
                sent.cancel()
    return results


async def store(bus: Bus, subject: str, head: bytes, data: bytes, seconds: float) -> PublishAck:
    """Store bytes with given raw headers; raises Unavailable unless that was acknowledged."""
    return await _settled(bus.replies.ask(subject.encode(), head, data, seconds))


async def dead_letter(bus: Bus, given: Given, *, consumer: str, error: AssentError, recorded_at_ms: int) -> None:
    """Keep a message that could not be read or obeyed, with the reason; returns once it is stored."""
    from servicekit.streams import DEAD_BYTES_DROPPED, dead_subject  # noqa: PLC0415  # streams stands on the bus

    letter = DeadLetter(
        stream=given.stream,
        sequence=given.sequence,
        subject=given.subject,
        consumer=consumer,
        reason=error.code,
        text=error.text,
        fields=[error.field] if error.field else [],
        deliveries=given.deliveries,
        message=b"" if given.stream in DEAD_BYTES_DROPPED else given.data,
        recorded_at_ms=recorded_at_ms,
    )
    once = f"dead-{bus.service}-{consumer}-{given.stream}-{given.sequence}"
    await _settled(_sent(bus, dead_subject(bus.service, given.stream), once, letter.SerializeToString()))
    telemetry.count(telemetry.DEAD_LETTERS, 1, {telemetry.STREAM: given.stream, telemetry.REASON: error.code})


def _sent(bus: Bus, subject: str, message_id: str, data: bytes) -> _Sent:
    seconds = deadline.remaining_s(ACK_SECONDS)
    if seconds <= 0:
        raise DeadlineExceeded
    head = headers.write_fact(message_id, telemetry.inject())
    return bus.replies.ask(subject.encode(), head, data, seconds)


def _try_send(bus: Bus, subject: str, envelope: Envelope) -> _Sent | AssentError:
    try:
        return _sent(bus, subject, envelope.event_id, envelope.SerializeToString())
    except AssentError as error:
        return error


async def _result(sent: _Sent | AssentError) -> PublishAck | AssentError:
    if isinstance(sent, AssentError):
        return sent
    try:
        return await _settled(sent)
    except AssentError as error:
        return error


async def _settled(sent: _Sent) -> PublishAck:
    try:
        head, data = await sent
    except DeadlineExceeded:
        raise Unavailable("The stream did not acknowledge in time.", reason="NOT_ACKNOWLEDGED") from None
    if head.startswith(headers.NO_RESPONDERS):
        raise Unavailable("No stream takes this subject.", reason="NO_STREAM")
    return _acknowledged(data)


def _acknowledged(data: bytes) -> PublishAck:
    try:
        answer = json.loads(data)
        refusal = answer.get("error")
        if refusal is None:
            return PublishAck(answer["stream"], answer["seq"], answer.get("duplicate", False))
        code = str(refusal.get("err_code", ""))
    except (ValueError, KeyError, AttributeError):
        code = "unreadable"
    raise Unavailable("The stream refused the fact.", reason="STREAM_REFUSED", code=code)
