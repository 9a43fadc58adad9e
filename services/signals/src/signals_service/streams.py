"""What goes out over the bus: batches, ticks and dead letters on streams, hints over core NATS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import publishing
from servicekit.errors import DeadlineExceeded, Invalid, Unavailable
from servicekit.nats import Bus
from servicekit.partitions import partition_of
from servicekit.rpc import headers
from signals_service.ports import Events, Live, Position

STREAM: Final = "SESSION_EVENTS"
DIRECT_GET: Final = f"$JS.API.DIRECT.GET.{STREAM}".encode()
NO_MESSAGE: Final = b"NATS/1.0 404"
ANSWER_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Refused:
    """A refused event as a dead letter knows it."""

    sequence: int
    subject: str
    stream: str = STREAM
    deliveries: int = 1
    data: bytes = b""


class StreamEvents:
    """The stream SESSION_EVENTS."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, envelope: Envelope) -> Position:
        """Return once it is stored; raises Unavailable otherwise. A repeat of an event id is stored once."""
        partition = partition_of(envelope.key)
        acknowledged = await self._bus.publish(_subject(partition), envelope)
        return Position(partition, acknowledged.sequence)

    async def tick(self, partition: int, envelope: Envelope) -> None:
        """Append the time to a partition; raises Unavailable."""
        await self._bus.publish(_subject(partition), envelope)

    async def refuse(self, position: Position, seq: int, reason: str, names: Sequence[str], now_ms: int) -> None:
        """Leave a dead letter for a refused event: reason and names, never values."""
        error = Invalid("The event was refused.", reason=reason, field=",".join(names) or None)
        refused = _Refused(position.sequence, _subject(position.partition))
        await publishing.dead_letter(self._bus, refused, consumer=f"ingest-{seq}", error=error, recorded_at_ms=now_ms)

    async def behind_ms(self, position: Position, now_ms: int) -> int:
        """How long the first message behind the position has waited; 0 when there is none."""
        body = b'{"seq":%d,"next_by_subj":"%b"}' % (position.sequence + 1, _subject(position.partition).encode())
        try:
            head, _ = await self._bus.replies.ask(DIRECT_GET, headers.write_plain(), body, ANSWER_S)
        except (DeadlineExceeded, Unavailable) as error:
            raise Unavailable("The stream is away.", reason="STREAM_AWAY") from error
        if head.startswith(NO_MESSAGE):
            return 0
        stored = headers.read(head).get(b"Nats-Time-Stamp")
        if stored is None:
            raise Unavailable("The stream is away.", reason="STREAM_AWAY")
        return max(0, now_ms - int(datetime.fromisoformat(stored.decode()).timestamp() * 1000))


class CoreLive:
    """Core NATS: `live.signal.<subject>`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def say(self, subject: str, envelope: Envelope) -> None:
        """Tell whoever listens, at once and without a promise: SIGNALS has it too."""
        if self._bus.connected:
            await self._bus.nc.publish(f"live.signal.{subject}", envelope.SerializeToString())


def _subject(partition: int) -> str:
    return f"evt.session.{partition:02d}"


_events: type[Events] = StreamEvents
_live: type[Live] = CoreLive
