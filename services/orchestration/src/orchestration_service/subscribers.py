"""Events to handlers, nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from assent.events.v1.decision_pb2 import DecisionRecorded
from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_CORRECTED, SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_LINKED
from assent.orchestration.v1.orchestration_service_pb2 import END_REASON_SUBJECT_ERASED
from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.ports import Shelf
from orchestration_service.remembering import Remembered
from orchestration_service.watching import CONSENT, Watches
from servicekit.app import Subscription
from servicekit.errors import Invalid
from servicekit.jetstream import position

ARCHIVED_WITHIN_S = 0.25
"""Decisions of so many seconds are archived together: one transaction instead of many, beside the decisions that are being made."""
NEWS = frozenset({SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_LINKED, SIGNAL_CHANGE_CORRECTED})


def subscriptions(archive: Shelf, watches: Watches, remembered: Remembered) -> Sequence[Subscription]:
    """What the service listens to."""

    async def keep(envelope: Envelope) -> None:
        recorded = envelope.decision_recorded
        await archive.add(readable(recorded), recorded.record, recorded.record_digest, position())

    async def forget(envelope: Envelope) -> None:
        await archive.forget(envelope.subject_erased.change.subject_id)

    async def erased(envelope: Envelope) -> None:
        remembered.forget(envelope.subject_erased.change.subject_id)
        watches.finish(envelope.subject_erased.change.subject_id, END_REASON_SUBJECT_ERASED)

    async def narrowed(envelope: Envelope) -> None:
        watches.wake(envelope.consent_narrowed.change.subject_id, CONSENT)

    async def widened(envelope: Envelope) -> None:
        watches.wake(envelope.consent_widened.change.subject_id, CONSENT)

    async def signalled(envelope: Envelope) -> None:
        wake_on_signal(envelope, watches)

    return (
        Subscription("DECISIONS", "orchestration-archive", {"decision_recorded": keep}, gather_s=ARCHIVED_WITHIN_S),
        Subscription("CONSENT", "orchestration-forget", {"subject_erased": forget}),
        Subscription(
            "CONSENT",
            "orchestration-watches",
            {"consent_narrowed": narrowed, "consent_widened": widened, "subject_erased": erased},
            every_replica=True,
        ),
        Subscription("SIGNALS", "orchestration-signals", {"signal_changed": signalled}, every_replica=True),
    )


def readable(recorded: DecisionRecorded) -> DecisionRecord:
    """The record. Raises Invalid when its bytes are not one, or not those that its digest is of."""
    if hashlib.sha256(recorded.record).digest() != recorded.record_digest:
        raise Invalid("The record is not what its digest says", reason="DIGEST_MISMATCH", field="record")
    try:
        record = DecisionRecord.FromString(recorded.record)
    except DecodeError as error:
        raise Invalid("The bytes are not a record", reason="MALFORMED", field="record") from error
    if record.decision_id != recorded.decision_id or record.now_ms <= 0:
        raise Invalid("The record is of another decision", reason="MALFORMED", field="record")
    return record


def wake_on_signal(envelope: Envelope, watches: Watches) -> None:
    """A signal that warrants a decision makes one due."""
    changed = envelope.signal_changed
    if changed.change in NEWS and changed.signal.warrants_decision and not changed.internal and changed.subject_id:
        cause, once = f"signal:{changed.signal.definition}", f"{changed.signal.id}:{changed.signal.revision}"
        watches.wake(changed.subject_id, cause, once=once)
