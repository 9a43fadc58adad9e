"""The stages that find out: who it is, what is allowed, what is known."""

from __future__ import annotations

from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest, EvaluateBasisResponse
from assent.eligibility.v1.eligibility_service_pb2 import GetContactStateRequest, GetContactStateResponse
from assent.profile.v1.profile_service_pb2 import (
    GetViewRequest,
    GetViewResponse,
    ResolveSubjectRequest,
    ResolveSubjectResponse,
)
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsRequest, GetActiveSignalsResponse
from orchestration_service.pipeline import trust
from orchestration_service.pipeline.draft import Draft
from orchestration_service.ports import Ports
from servicekit.basis import SignedBasis
from servicekit.errors import NotFound

OURS = "subject_id"
ANONYMOUS = frozenset({"visitor", "device"})
"""Identifiers that a channel makes up: an unknown one is a new subject, not a mistake."""
CONTACT_CONTROL = "contact_control"


async def resolve(draft: Draft, ports: Ports) -> ResolveSubjectResponse:
    """The subject that answers."""
    identifier = draft.request.subject
    found = await ports.profiles.resolve(
        ResolveSubjectRequest(identifier=identifier, create=identifier.type in ANONYMOUS)
    )
    trust.check_subject(identifier, found)
    draft.subject_id, draft.members = found.subject_id, (found.subject_id,)
    return found


def unresolved(draft: Draft, error: Exception) -> None:
    """Our own id can still be judged by the ledger; any other identifier leaves nobody to decide for."""
    if isinstance(error, NotFound):
        draft.degrade("resolve", "SUBJECT_UNKNOWN")
        return
    draft.degrade("resolve", "PROFILE_UNAVAILABLE")
    if draft.request.subject.type == OURS:
        draft.subject_id = draft.request.subject.value
        draft.members = (draft.subject_id,)


async def basis(draft: Draft, ports: Ports) -> EvaluateBasisResponse | None:
    """What the ledger allows for subject, channel and time; verified before anything rests on it.

    The decision's time is taken here, because everybody who is handed the basis judges it at that time.
    """
    if not draft.subject_id:
        return None
    channel = draft.request.channel
    draft.now_ms = ports.clock.now_us() // 1000
    answer = await ports.ledger.basis(EvaluateBasisRequest(subject_id=draft.subject_id, channel=channel))
    signed = SignedBasis(answer.basis.body, answer.basis.key_id, answer.basis.signature)
    draft.basis = ports.verifier.verify(signed, now_us=ports.clock.now_us(), subject=draft.subject_id, channel=channel)
    draft.signed = answer.basis
    draft.members = tuple(sorted(draft.basis.members))
    return answer


def no_basis(draft: Draft, _error: Exception) -> None:
    """No record means no: only what needs no consent is left."""
    draft.degrade("basis", "CONSENT_UNAVAILABLE")


async def view(draft: Draft, ports: Ports) -> GetViewResponse | None:
    """The fields that the basis covers."""
    if draft.signed is None:
        return None
    found = await ports.profiles.view(
        GetViewRequest(
            basis=draft.signed,
            subject_id=draft.subject_id,
            channel=draft.request.channel,
            bundle_digest=draft.active.digest,
            now_ms=draft.now_ms,
        )
    )
    trust.check_view(draft, found)
    draft.view = found
    return found


def no_view(draft: Draft, _error: Exception) -> None:
    """Only actions that need no profile are left."""
    draft.unavailable.add("profile")
    draft.degrade("view", "PROFILE_UNAVAILABLE")


async def signals(draft: Draft, ports: Ports) -> GetActiveSignalsResponse | None:
    """What is live, as far as the basis covers it."""
    if draft.signed is None:
        return None
    found = await ports.signals.active(
        GetActiveSignalsRequest(
            basis=draft.signed,
            subject_id=draft.subject_id,
            session=draft.request.session_id,
            channel=draft.request.channel,
            now_ms=draft.now_ms,
        )
    )
    trust.check_signals(draft, found)
    draft.signals = found
    if not found.fresh:
        draft.degrade("signals", "SIGNALS_BEHIND")
    return found


def no_signals(draft: Draft, _error: Exception) -> None:
    """Friction is unknown: nothing sells."""
    draft.unavailable.add("signals")
    draft.degrade("signals", "SIGNALS_UNAVAILABLE")


async def contact(draft: Draft, ports: Ports) -> GetContactStateResponse | None:
    """What was shown and is paused; not asked without the purpose that covers it."""
    if draft.signed is None or not draft.allows(CONTACT_CONTROL):
        return None
    draft.contact = await ports.eligibility.contact(
        GetContactStateRequest(
            subject_ids=draft.members,
            now_ms=draft.now_ms,
            basis=draft.signed,
            channel=draft.request.channel,
            bundle_digest=draft.active.digest,
        )
    )
    return draft.contact


def no_contact(draft: Draft, _error: Exception) -> None:
    """What is limited cannot be counted, and is left out."""
    draft.unavailable.add("contact")
    draft.degrade("contact", "CONTACT_UNAVAILABLE")
