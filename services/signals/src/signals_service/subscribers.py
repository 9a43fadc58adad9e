"""Events to use cases, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from assent.events.v1.envelope_pb2 import Envelope
from servicekit.app import Subscription
from signals_service.handlers import Withdrawals
from signals_service.ports import Bases
from signals_service.siblings import ProfileSubjects


def subscriptions(withdrawals: Withdrawals, bases: Bases, subjects: ProfileSubjects) -> Sequence[Subscription]:
    """What is listened to: once per service what must be done once, on every replica what clears its caches."""

    async def narrowed(envelope: Envelope) -> None:
        await withdrawals.narrow(envelope.consent_narrowed.change.subject_id)

    async def erased(envelope: Envelope) -> None:
        change = envelope.subject_erased.change
        await withdrawals.forget(change.subject_id, f"{change.ledger[:32]}:{change.index}")

    async def invalidate_narrowed(envelope: Envelope) -> None:
        bases.invalidate(envelope.consent_narrowed.change.subject_id)

    async def invalidate_widened(envelope: Envelope) -> None:
        bases.invalidate(envelope.consent_widened.change.subject_id)

    async def invalidate_erased(envelope: Envelope) -> None:
        bases.invalidate(envelope.subject_erased.change.subject_id)
        subjects.forget(envelope.subject_erased.change.subject_id)

    async def linked(envelope: Envelope) -> None:
        for subject in (envelope.subjects_linked.survivor, envelope.subjects_linked.absorbed):
            bases.invalidate(subject)
            subjects.forget(subject)

    return [
        Subscription("CONSENT", "signals-withdrawals", {"consent_narrowed": narrowed, "subject_erased": erased}),
        Subscription(
            "CONSENT",
            "signals-bases",
            {
                "consent_narrowed": invalidate_narrowed,
                "consent_widened": invalidate_widened,
                "subject_erased": invalidate_erased,
            },
            every_replica=True,
        ),
        Subscription("BANK_EVENTS", "signals-links", {"subjects_linked": linked}, every_replica=True),
    ]
