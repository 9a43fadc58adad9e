"""The streams behind the ports: DECISIONS is written and read back, OUTCOMES is written."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OutcomeRecorded
from orchestration_service.ports import Outcomes, Recorder, Written
from orchestration_service.store import OutcomeIds
from servicekit.clock import Clock
from servicekit.errors import NotFound, Unavailable
from servicekit.nats import Bus
from servicekit.publishing import PublishAck
from servicekit.streams import subject

DECISIONS = "DECISIONS"
PRODUCER = "orchestration"


class StreamRecorder:
    """Writes decisions to JetStream; the message id is the decision's."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def write(self, record: bytes, *, decision_id: str, key: str, now_ms: int) -> Written:
        """Return once the stream has it."""
        envelope = Envelope(
            event_id=decision_id,
            key=key,
            occurred_at_ms=now_ms,
            recorded_at_ms=now_ms,
            producer=PRODUCER,
            decision_recorded=DecisionRecorded(
                decision_id=decision_id, record=record, record_digest=hashlib.sha256(record).digest()
            ),
        )
        ack = await self._bus.publish(subject("decision", key), envelope)
        return Written(ack.sequence, ack.duplicate)

    async def read(self, sequence: int) -> bytes:
        """The record at a sequence."""
        try:
            message = await self._bus.js.get_msg(DECISIONS, sequence)
        except NotFoundError as missing:
            raise NotFound("The stream no longer has this decision", reason="DECISION_GONE") from missing
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable("The stream does not answer", reason="BUS_AWAY") from error
        return Envelope.FromString(message.data or b"").decision_recorded.record


class StreamOutcomes:
    """Publishes outcomes, then remembers their ids: a crash in between publishes again, and readers are idempotent."""

    def __init__(self, bus: Bus, ids: OutcomeIds, clock: Clock) -> None:
        self._bus = bus
        self._ids = ids
        self._clock = clock

    async def known(self, outcome_ids: Sequence[str]) -> frozenset[str]:
        """Those that were accepted before."""
        return await self._ids.known(outcome_ids)

    async def publish(self, outcomes: Sequence[OutcomeRecorded]) -> Sequence[Exception | bool]:
        """For each whether it was new, or why it was not stored."""
        now_ms = self._clock.now_us() // 1000
        acks = await self._bus.publish_many((_subject(o), _envelope(o, now_ms)) for o in outcomes)
        stored = [o for o, ack in zip(outcomes, acks, strict=True) if isinstance(ack, PublishAck)]
        await self._ids.add([outcome.outcome_id for outcome in stored], now_ms)
        return [not ack.duplicate if isinstance(ack, PublishAck) else ack for ack in acks]


def _subject(outcome: OutcomeRecorded) -> str:
    return subject("outcome", outcome.subject_id or outcome.decision_id)


def _envelope(outcome: OutcomeRecorded, now_ms: int) -> Envelope:
    return Envelope(
        event_id=f"outcome:{outcome.outcome_id}",
        key=outcome.subject_id or outcome.decision_id,
        occurred_at_ms=outcome.occurred_at_ms,
        recorded_at_ms=now_ms,
        producer=PRODUCER,
        outcome_recorded=outcome,
    )


_recorder: type[Recorder] = StreamRecorder
_outcomes: type[Outcomes] = StreamOutcomes
