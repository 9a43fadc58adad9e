"""Protobuf to use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assent.consent.v1.basis_pb2 import SignedBasis as WireBasis
from assent.eligibility.v1 import eligibility_service_pb2 as pb
from assent.eligibility.v1.eligibility_service_pb2_grpc import EligibilityServiceServicer
from eligibility_service import handlers
from eligibility_service.ports import Contacts, Policies
from eligibility_service.translation import from_contact, from_evaluation, to_request
from servicekit.basis import SignedBasis, Verifier
from servicekit.errors import Invalid

MOST_SUBJECTS = 64
MOST_ITEMS = 64
LONGEST_TTL_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicer hands to the use cases."""

    policies: Policies
    contacts: Contacts
    verifier: Verifier


class EligibilityServicer(EligibilityServiceServicer):
    """`assent.eligibility.v1.EligibilityService`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def Evaluate(self, request: pb.EvaluateRequest, context: object) -> pb.EvaluateResponse:
        """Every action through every stage; the basis is judged at the request's own time."""
        allowed = self._allowed(request) if request.HasField("basis") else None
        found = await handlers.evaluate(
            request.bundle_digest, to_request(request, allowed), policies=self._ports.policies
        )
        return from_evaluation(request.bundle_digest, found)

    async def GetContactState(self, request: pb.GetContactStateRequest, context: object) -> pb.GetContactStateResponse:
        """What was shown, paused and counted."""
        state = await handlers.contact_state(
            request.bundle_digest,
            _subjects(request.subject_ids),
            allowed=self._allowed(request),
            now_ms=request.now_ms,
            policies=self._ports.policies,
            contacts=self._ports.contacts,
        )
        return pb.GetContactStateResponse(state=from_contact(state))

    async def Reserve(self, request: pb.ReserveRequest, context: object) -> pb.ReserveResponse:
        """Take places."""
        _check_items(request)
        answer = await handlers.reserve(
            request.bundle_digest,
            request.decision_id,
            _subjects(request.subject_ids),
            [(item.item, item.action, item.channel) for item in request.items],
            now_ms=request.now_ms,
            ttl_ms=request.ttl_ms,
            policies=self._ports.policies,
            contacts=self._ports.contacts,
        )
        return pb.ReserveResponse(
            accepted=[
                pb.Accepted(item=a.item, reservation_id=a.reservation_id, until_ms=a.until_ms) for a in answer.accepted
            ],
            refused=[pb.Refused(item=item, cause=cause) for item, cause in answer.refused],
        )

    async def Release(self, request: pb.ReleaseRequest, context: object) -> pb.ReleaseResponse:
        """Give places back."""
        return pb.ReleaseResponse(released=await self._ports.contacts.release(request.decision_id, request.items))

    async def ForgetSubject(self, request: pb.ForgetSubjectRequest, context: object) -> pb.ForgetSubjectResponse:
        """Remove everything about a subject."""
        (subject_id,) = _subjects([request.subject_id])
        return pb.ForgetSubjectResponse(rows_removed=await self._ports.contacts.forget(subject_id))

    def _allowed(self, request: pb.EvaluateRequest | pb.GetContactStateRequest) -> Mapping[str, frozenset[str]]:
        """Categories by purpose, once everything about the basis holds for every subject."""
        subjects = _subjects(request.subject_ids)
        found = self._ports.verifier.verify(
            _signed(request.basis), now_us=request.now_ms * 1000, subject=subjects[0], channel=request.channel
        )
        if not found.members.issuperset(subjects):
            raise Invalid("Subjects that the basis does not name", reason="BASIS_SUBJECT", field="subject_ids")
        return found.allowed


def _signed(basis: WireBasis) -> SignedBasis | None:
    return SignedBasis(basis.body, basis.key_id, basis.signature) if basis.body else None


def _subjects(subject_ids: Sequence[str]) -> Sequence[str]:
    if not 0 < len(subject_ids) <= MOST_SUBJECTS or not all(0 < len(name) <= MOST_SUBJECTS for name in subject_ids):
        raise Invalid(f"1 to {MOST_SUBJECTS} ids", reason="BAD_COUNT", field="subject_ids")
    return subject_ids


def _check_items(request: pb.ReserveRequest) -> None:
    if not 0 < len(request.items) <= MOST_ITEMS:
        raise Invalid(f"1 to {MOST_ITEMS} items", reason="BAD_COUNT", field="items")
    if len({item.item for item in request.items}) < len(request.items):
        raise Invalid("Each item once", reason="REPEATED", field="items")
    if not request.decision_id:
        raise Invalid("A decision is needed", reason="MISSING", field="decision_id")
    if request.ttl_ms > LONGEST_TTL_MS:
        raise Invalid(f"At most {LONGEST_TTL_MS} ms", reason="OUT_OF_RANGE", field="ttl_ms")
