"""Events to handlers, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_CORRECTED, SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_LINKED
from assent.orchestration.v1.orchestration_service_pb2 import END_REASON_SUBJECT_ERASED
from orchestration_service.store import PostgresArchive
from orchestration_service.watching import CONSENT, Watches
from servicekit.app import Subscription

NEWS = frozenset({SIGNAL_CHANGE_DETECTED, SIGNAL_CHANGE_LINKED, SIGNAL_CHANGE_CORRECTED})


def subscriptions(archive: PostgresArchive, watches: Watches) -> Sequence[Subscription]:
    """What the service listens to."""

    async def keep(envelope: Envelope) -> None:
        recorded = envelope.decision_recorded
        await archive.add(recorded.record, recorded.record_digest, 0)

    async def forget(envelope: Envelope) -> None:
        await archive.forget(envelope.subject_erased.change.subject_id)

    async def erased(envelope: Envelope) -> None:
        watches.finish(envelope.subject_erased.change.subject_id, END_REASON_SUBJECT_ERASED)

    async def narrowed(envelope: Envelope) -> None:
        watches.wake(envelope.consent_narrowed.change.subject_id, CONSENT)

    async def widened(envelope: Envelope) -> None:
        watches.wake(envelope.consent_widened.change.subject_id, CONSENT)

    async def signalled(envelope: Envelope) -> None:
        wake_on_signal(envelope, watches)

    return (
        Subscription("DECISIONS", "orchestration-archive", {"decision_recorded": keep}),
        Subscription("CONSENT", "orchestration-forget", {"subject_erased": forget}),
        Subscription(
            "CONSENT",
            "orchestration-watches",
            {"consent_narrowed": narrowed, "consent_widened": widened, "subject_erased": erased},
            every_replica=True,
        ),
        Subscription("SIGNALS", "orchestration-signals", {"signal_changed": signalled}, every_replica=True),
    )


def wake_on_signal(envelope: Envelope, watches: Watches) -> None:
    """A signal that warrants a decision makes one due."""
    changed = envelope.signal_changed
    if changed.change in NEWS and changed.signal.warrants_decision and not changed.internal and changed.subject_id:
        watches.wake(changed.subject_id, f"signal:{changed.signal.definition}")
