"""Events to handlers, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OutcomeType
from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Contacts, Outcome
from servicekit.app import Subscription


def subscriptions(contacts: Contacts) -> Sequence[Subscription]:
    """What the service listens to."""

    async def remember(envelope: Envelope) -> None:
        await contacts.add(outcome(envelope))

    async def forget(envelope: Envelope) -> None:
        await contacts.forget(envelope.subject_erased.change.subject_id)

    return (
        Subscription("OUTCOMES", "eligibility-contacts", {"outcome_recorded": remember}),
        Subscription("CONSENT", "eligibility-forget", {"subject_erased": forget}),
    )


def outcome(envelope: Envelope) -> Outcome:
    """The outcome of an event."""
    told = envelope.outcome_recorded
    name = OutcomeType.Name(told.type).removeprefix("OUTCOME_TYPE_").lower()
    contact = Contact(told.action, told.group, told.issue, told.channel, told.contact_class, name, told.occurred_at_ms)
    return Outcome(told.outcome_id, told.replaces, told.decision_id, told.subject_id, contact)
