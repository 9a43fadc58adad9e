"""Protobuf to use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assent.consent.v1.basis_pb2 import SignedBasis as WireBasis
from assent.eligibility.v1 import eligibility_service_pb2 as pb
from assent.eligibility.v1.eligibility_service_pb2_grpc import EligibilityServiceServicer
from eligibility_service import handlers
from eligibility_service.border import counted, moment, text, texts
from eligibility_service.domain.touching import CONTACT_CONTROL
from eligibility_service.ports import Contacts, Policies
from eligibility_service.translation import from_contact, from_evaluation, to_request
from servicekit.basis import Basis, SignedBasis, Verifier
from servicekit.clock import Clock
from servicekit.errors import Forbidden, Invalid

MOST_SUBJECTS = 64
MOST_ITEMS = 64
LONGEST_TTL_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicer hands to the use cases."""

    policies: Policies
    contacts: Contacts
    verifier: Verifier
    clock: Clock


class EligibilityServicer(EligibilityServiceServicer):
    """`assent.eligibility.v1.EligibilityService`."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def Evaluate(self, request: pb.EvaluateRequest, context: object) -> pb.EvaluateResponse:
        """Every candidate through every stage."""
        asked = to_request(request, self._allowed_then(request))
        found = await handlers.evaluate(request.bundle_digest, asked, policies=self._ports.policies)
        return from_evaluation(request.bundle_digest, found)

    async def GetContactState(self, request: pb.GetContactStateRequest, context: object) -> pb.GetContactStateResponse:
        """What was shown, paused and counted."""
        state = await handlers.contact_state(
            request.bundle_digest,
            self._may_look(request),
            now_ms=moment(request.now_ms, "now_ms"),
            policies=self._ports.policies,
            contacts=self._ports.contacts,
        )
        return pb.GetContactStateResponse(state=from_contact(state))

    async def Reserve(self, request: pb.ReserveRequest, context: object) -> pb.ReserveResponse:
        """Take places."""
        answer = await handlers.reserve(
            request.bundle_digest,
            text(request.decision_id, "decision_id"),
            _subjects(request.subject_ids),
            _wishes(request),
            now_ms=moment(request.now_ms, "now_ms"),
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
        decision_id = text(request.decision_id, "decision_id")
        items = [text(item, f"items[{place}]") for place, item in enumerate(request.items)]
        return pb.ReleaseResponse(released=await self._ports.contacts.release(decision_id, items))

    async def ForgetSubject(self, request: pb.ForgetSubjectRequest, context: object) -> pb.ForgetSubjectResponse:
        """Remove everything about a subject."""
        subject_id = text(request.subject_id, "subject_id")
        return pb.ForgetSubjectResponse(rows_removed=await self._ports.contacts.forget(subject_id))

    def _allowed_then(self, request: pb.EvaluateRequest) -> Mapping[str, frozenset[str]] | None:
        """Categories by purpose at the request's own time: equal requests give equal answers, also years later in a replay."""
        if not request.HasField("basis"):
            return None
        subjects = _subjects(request.subject_ids)
        found = self._ports.verifier.verify_then(
            _signed(request.basis),
            now_us=moment(request.now_ms, "now_ms") * 1000,
            subject=subjects[0],
            channel=request.channel,
        )
        return _about(found, subjects).allowed

    def _may_look(self, request: pb.GetContactStateRequest) -> Sequence[str]:
        """The subjects, once a basis that is valid now allows contact control for all of them."""
        subjects = _subjects(request.subject_ids)
        found = self._ports.verifier.verify(
            _signed(request.basis),
            now_us=self._ports.clock.now_us(),
            subject=subjects[0],
            channel=request.channel,
            purposes=(CONTACT_CONTROL,),
        )
        _about(found, subjects)
        return subjects


def _about(basis: Basis, subjects: Sequence[str]) -> Basis:
    if not basis.members.issuperset(subjects):
        raise Forbidden("The consent basis does not name every subject.", reason="BASIS_SUBJECT")
    return basis


def _signed(basis: WireBasis) -> SignedBasis:
    return SignedBasis(basis.body, basis.key_id, basis.signature)


def _subjects(subject_ids: Sequence[str]) -> Sequence[str]:
    return texts(subject_ids, "subject_ids", most=MOST_SUBJECTS)


def _wishes(request: pb.ReserveRequest) -> Sequence[tuple[str, str, str]]:
    counted(request.items, "items", most=MOST_ITEMS)
    names = [text(each.item, f"items[{place}].item") for place, each in enumerate(request.items)]
    if len(set(names)) < len(names):
        raise Invalid("Each item once.", reason="REPEATED", field="items")
    if request.ttl_ms > LONGEST_TTL_MS:
        raise Invalid(f"At most {LONGEST_TTL_MS} ms.", reason="OUT_OF_RANGE", field="ttl_ms")
    return [(each.item, each.action, each.channel) for each in request.items]
