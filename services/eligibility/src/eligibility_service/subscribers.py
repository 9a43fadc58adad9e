"""Events to handlers, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import OutcomeType
from eligibility_service.border import known, moment, text
from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Contacts, Outcome
from servicekit.app import Subscription
from servicekit.errors import Invalid

NEEDED = ("outcome_id", "decision_id", "subject_id", "action", "group", "issue", "channel", "contact_class")


def subscriptions(contacts: Contacts) -> Sequence[Subscription]:
    """What the service listens to."""

    async def remember(envelope: Envelope) -> None:
        await contacts.add(outcome(envelope))

    async def forget(envelope: Envelope) -> None:
        await contacts.forget(text(envelope.subject_erased.change.subject_id, "change.subject_id"))

    return (
        Subscription("OUTCOMES", "eligibility-contacts", {"outcome_recorded": remember}),
        Subscription("CONSENT", "eligibility-forget", {"subject_erased": forget}),
    )


def outcome(envelope: Envelope) -> Outcome:
    """The outcome of an event. Raises Invalid naming the field: what cannot be counted must not vanish."""
    told = envelope.outcome_recorded
    for field in NEEDED:
        text(getattr(told, field), field)
    if told.type == OutcomeType.OUTCOME_TYPE_UNSPECIFIED:
        raise Invalid("What happened is not stated.", reason="MISSING", field="type")
    name = OutcomeType.Name(known(told.type, OutcomeType, "type")).removeprefix("OUTCOME_TYPE_").lower()
    at_ms = moment(told.occurred_at_ms, "occurred_at_ms")
    contact = Contact(told.action, told.group, told.issue, told.channel, told.contact_class, name, at_ms)
    replaces = text(told.replaces, "replaces") if told.replaces else ""
    return Outcome(told.outcome_id, replaces, told.decision_id, told.subject_id, contact)
