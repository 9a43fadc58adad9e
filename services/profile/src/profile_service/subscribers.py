"""Events to use cases, nothing else. BANK_EVENTS is folded (`folding.py`), not subscribed."""

from __future__ import annotations

from assent.events.v1.envelope_pb2 import Envelope
from profile_service import bank_events, handlers
from profile_service.ports import Directory
from servicekit.app import Subscription
from servicekit.clock import Clock
from servicekit.errors import Invalid


def subscriptions(directory: Directory, clock: Clock) -> list[Subscription]:
    """What the service listens to."""

    async def subject_erased(envelope: Envelope) -> None:
        """The ledger destroyed the subject's key: forget it here as well. Ids that are not ours are nobody here."""
        subject = envelope.subject_erased.change.subject_id
        try:
            bank_events.check_uuid(subject, "subject_id")
        except Invalid:
            return
        await handlers.erase_subject(subject, request_id=envelope.event_id, directory=directory, clock=clock)

    return [Subscription(stream="CONSENT", durable="profile-consent", handlers={"subject_erased": subject_erased})]
