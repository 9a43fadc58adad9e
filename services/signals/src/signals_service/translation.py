"""Protobuf to domain and back: session events, batches, grants, signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from assent.catalog.v1 import value_pb2
from assent.events.v1 import session_pb2
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.signal_pb2 import SignalChange, SignalChanged
from assent.signals.v1 import session_event_pb2, signal_pb2, signals_service_pb2
from automaton import Batch as Message
from automaton import Grant, Offered
from servicekit.basis import Basis
from servicekit.ids import uuid7
from signals_service.domain.events import Batch, Event, Verdict
from signals_service.domain.showing import StoredSignal
from signals_service.domain.values import Scalar

PRODUCER: Final = "signals"
_PLAIN: Final = frozenset({"id", "seq", "occurred_at_ms", "type", "attributes"})
FIELDS: Final = tuple(
    field.name for field in session_event_pb2.SessionEvent.DESCRIPTOR.fields if field.name not in _PLAIN
)
BUCKETS: Final = {"0": 0, "1-4": 1, "5-16": 5, "17+": 17}
"""A bucket in a fact is its lower bound, so that it can be ordered."""


def category_name(number: int) -> str:
    """The lower-case name of a data category."""
    return value_pb2.DataCategory.Name(number).removeprefix("DATA_CATEGORY_").lower()  # type: ignore[arg-type]


def category_number(name: str) -> Any:
    """The contract's number of a data category."""
    return value_pb2.DataCategory.Value(f"DATA_CATEGORY_{name.upper()}")


def batch(request: signals_service_pb2.IngestSessionEventsRequest) -> Batch:
    """The batch of a call; unknown fields stay behind."""
    return Batch(
        batch_id=request.batch_id,
        session=request.session,
        visitor=request.visitor,
        subject_id=request.subject_id,
        channel=request.channel,
        app=request.app,
        app_version=request.app_version,
        sent_at_ms=request.sent_at_ms,
        events=[_event(event) for event in request.events],
        size=request.ByteSize(),
    )


def _event(event: session_event_pb2.SessionEvent) -> Event:
    fields = {field.name: value for field, value in event.ListFields() if field.name not in _PLAIN}
    attributes = [(attribute.name, _value(attribute.value)) for attribute in event.attributes]
    return Event(event.seq, event.id, event.occurred_at_ms, event.type, fields, attributes, event.ByteSize())


def _value(value: value_pb2.Value) -> Scalar | None:
    kind = value.WhichOneof("kind")
    return getattr(value, kind) if kind in {"integer", "boolean", "text"} else None


def value(scalar: Scalar) -> value_pb2.Value:
    """A scalar in its type."""
    if isinstance(scalar, bool):
        return value_pb2.Value(boolean=scalar)
    return value_pb2.Value(integer=scalar) if isinstance(scalar, int) else value_pb2.Value(text=scalar)


def attributes(pairs: Iterable[tuple[str, Scalar]]) -> list[value_pb2.Attribute]:
    """Named values."""
    return [value_pb2.Attribute(name=name, value=value(scalar)) for name, scalar in pairs]


def stored_event(event: Event) -> session_event_pb2.SessionEvent:
    """The event as it is stored: built anew from what was checked."""
    return session_event_pb2.SessionEvent(
        id=event.id,
        seq=event.seq,
        occurred_at_ms=event.occurred_at_ms,
        type=event.type,
        attributes=attributes((name, scalar) for name, scalar in event.attributes if scalar is not None),
        **event.fields,  # type: ignore[arg-type]  # names and types were checked
    )


def recorded_grant(basis: Basis, purposes: Iterable[str]) -> session_pb2.Grant:
    """What the basis allows for the bundle's signal purposes."""
    return session_pb2.Grant(
        ledger=basis.ledger,
        epoch=basis.epoch,
        index=basis.index,
        not_after_us=basis.not_after_us,
        allowed=[
            session_pb2.AllowedPurpose(
                purpose=purpose, categories=[category_number(name) for name in sorted(basis.allowed[purpose])]
            )
            for purpose in purposes
            if purpose in basis.allowed
        ],
    )


def session_batch(
    given: Batch, verdicts: Sequence[Verdict], *, subject: str, grant: session_pb2.Grant, received_at_ms: int
) -> Envelope:
    """The message that stores a batch."""
    kept = {verdict.event.seq: verdict.event for verdict in verdicts if verdict.event is not None}
    stored = session_pb2.SessionBatch(
        batch_id=given.batch_id,
        session=given.session,
        visitor=given.visitor,
        subject_id=subject,
        channel=given.channel,
        app=given.app,
        app_version=given.app_version,
        sent_at_ms=given.sent_at_ms,
        received_at_ms=received_at_ms,
        grant=grant,
        events=[stored_event(kept[seq]) for seq in sorted(kept)],
        refused=[
            session_pb2.RefusedSequence(seq=verdict.seq, status=verdict.status.value)
            for verdict in verdicts
            if verdict.event is None and verdict.seq not in kept
        ],
    )
    return _session_envelope(stored, given.batch_id, received_at_ms)


def grant_message(
    session: str, *, visitor: str, subject: str, channel: str, grant: session_pb2.Grant, now_ms: int
) -> Envelope:
    """The message that tells a live session's owner what is granted now. Without a subject: forget the session."""
    message_id = f"grant-{grant.epoch}-{grant.index}-{session}" if subject else f"forget-{now_ms}-{session}"
    stored = session_pb2.SessionBatch(
        batch_id=message_id,
        session=session,
        visitor=visitor,
        subject_id=subject,
        channel=channel,
        sent_at_ms=now_ms,
        received_at_ms=now_ms,
        grant=grant,
    )
    return _session_envelope(stored, message_id, now_ms)


def tick(partition: int, now_ms: int, random: bytes) -> Envelope:
    """A message that says nothing but the time at which the stream takes it."""
    return Envelope(
        event_id=uuid7(now_ms, random),
        key=str(partition),
        occurred_at_ms=now_ms,
        recorded_at_ms=now_ms,
        producer=PRODUCER,
    )


def _session_envelope(stored: session_pb2.SessionBatch, event_id: str, now_ms: int) -> Envelope:
    return Envelope(
        event_id=event_id,
        key=stored.session,
        occurred_at_ms=now_ms,
        recorded_at_ms=now_ms,
        producer=PRODUCER,
        session_batch=stored,
    )


def message(stored: session_pb2.SessionBatch) -> Message:
    """A stored batch as the sequencer takes it."""
    offered = [_offered(event) for event in stored.events] + [Offered(stub.seq) for stub in stored.refused]
    events = tuple(sorted(offered, key=lambda event: event.seq))
    return Message(stored.session, stored.sent_at_ms, stored.received_at_ms, grant(stored.grant), events)


def grant(stored: session_pb2.Grant) -> Grant:
    """A recorded grant."""
    pairs = ((one.purpose, category_name(number)) for one in stored.allowed for number in one.categories)
    return Grant(stored.epoch, stored.index, frozenset(pairs))


def _offered(event: session_event_pb2.SessionEvent) -> Offered:
    fields: dict[str, Scalar] = {field.name: value for field, value in event.ListFields() if field.name not in _PLAIN}
    if "length_bucket" in fields:
        fields["length_bucket"] = BUCKETS.get(str(fields["length_bucket"]), 0)
    for attribute in event.attributes:
        scalar = _value(attribute.value)
        if scalar is not None:
            fields[f"attr.{attribute.name}"] = scalar
            fields.setdefault(attribute.name, scalar)
    lost = (event.from_seq, event.to_seq) if event.type == "loss" and event.HasField("to_seq") else None
    return Offered(event.seq, event.id, event.occurred_at_ms, event.type, fields, lost)


def signal(stored: StoredSignal) -> signal_pb2.Signal:
    """A signal as the contract has it."""
    return signal_pb2.Signal(
        id=stored.id,
        revision=stored.revision,
        definition=stored.definition,
        version=stored.version,
        hash=stored.hash,
        kind=_KINDS[stored.kind],
        strength=stored.strength,
        warrants_decision=stored.warrants,
        key=stored.session,
        first_at_ms=stored.first_at,
        at_ms=stored.at,
        expires_at_ms=stored.expires_at,
        fields=attributes(sorted(stored.fields.items())),
        count=stored.count,
        evidence=stored.evidence,
        per=attributes(stored.per),
    )


_KINDS: Final[Mapping[str, Any]] = {
    "friction": signal_pb2.SIGNAL_KIND_FRICTION,
    "trigger": signal_pb2.SIGNAL_KIND_TRIGGER,
    "intent": signal_pb2.SIGNAL_KIND_INTENT,
}


def signal_changed(
    stored: StoredSignal, change: SignalChange.ValueType, *, reason: str, at_ms: int, now_ms: int
) -> Envelope:
    """The fact that something became of a signal; its id is the signal's with the revision."""
    return Envelope(
        event_id=f"{stored.id}.{stored.revision}",
        key=stored.subject or stored.session,
        occurred_at_ms=at_ms,
        recorded_at_ms=now_ms,
        producer=PRODUCER,
        signal_changed=SignalChanged(
            change=change,
            signal=signal(stored),
            subject_id=stored.subject,
            session=stored.session,
            reason=reason,
            purpose=stored.purpose,
            categories=[category_number(name) for name in stored.categories],
            ledger_index=stored.ledger_index,
            bundle_digest=stored.bundle,
            internal=stored.internal,
        ),
    )
