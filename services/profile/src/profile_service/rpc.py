"""Protobuf to domain and back, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from assent.catalog.v1 import value_pb2
from assent.profile.v1 import profile_service_pb2 as pb
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceServicer
from profile_service import handlers
from profile_service.bank_events import check_identifier, check_text, check_uuid, refuse
from profile_service.domain.features import Value
from profile_service.domain.identity import Known
from profile_service.domain.view import Given, View, Withheld
from profile_service.handlers import Ingest, NewId, Outcome, Status
from profile_service.hashing import Hasher
from profile_service.ports import Catalog, Directory, Journal, Ledger, Profiles, Publisher
from profile_service.viewing import Asked, Shelf, get_view
from servicekit.basis import SignedBasis, Verifier
from servicekit.clock import Clock
from servicekit.errors import Invalid

MOST_EVENTS: Final = 1_000
MOST_RESULTS: Final = 10_000
MOST_IDENTIFIERS: Final = 16
MOST_ATTRIBUTES: Final = 1_000

_STATUS: Final = {
    Status.ACCEPTED: pb.BANK_EVENT_STATUS_ACCEPTED,
    Status.DUPLICATE: pb.BANK_EVENT_STATUS_DUPLICATE,
    Status.REJECTED: pb.BANK_EVENT_STATUS_REJECTED,
}
_WITHHELD: Final = {
    Withheld.UNKNOWN: pb.WITHHELD_REASON_UNKNOWN,
    Withheld.NO_CONSENT: pb.WITHHELD_REASON_NO_CONSENT,
    Withheld.STALE: pb.WITHHELD_REASON_STALE,
}
_CATEGORY: Final = {
    name.removeprefix("DATA_CATEGORY_").lower(): number for name, number in value_pb2.DataCategory.items()
}
_EVIDENCE: Final = {
    pb.LINK_EVIDENCE_LOGIN: "login",
    pb.LINK_EVIDENCE_DOCUMENT: "document",
    pb.LINK_EVIDENCE_AGENT: "agent",
}


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicer hands to the use cases."""

    directory: Directory
    journal: Journal
    profiles: Profiles
    publisher: Publisher
    ledger: Ledger
    catalog: Catalog
    verifier: Verifier
    hasher: Hasher
    clock: Clock
    new_id: NewId


class ProfileServicer(ProfileServiceServicer):
    """`assent.profile.v1.ProfileService`; UnlinkIdentifiers and ExportSubject are not built yet."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._shelf = Shelf()
        self._ingest = Ingest(ports.directory, ports.journal, ports.publisher, ports.hasher, ports.clock, ports.new_id)

    async def IngestBankEvents(
        self, request_iterator: AsyncIterator[pb.IngestBankEventsRequest], context: object
    ) -> pb.IngestBankEventsResponse:
        """Take a stream of events."""
        response, item = pb.IngestBankEventsResponse(), 0
        async for request in request_iterator:
            if len(request.events) > MOST_EVENTS:
                raise refuse("events", "TOO_MANY", f"At most {MOST_EVENTS} events in a message.")
            outcomes = await self._ingest(request.events)
            _count(response, outcomes, item)
            item += len(outcomes)
        return response

    async def LinkIdentifiers(self, request: pb.LinkIdentifiersRequest, context: object) -> pb.LinkIdentifiersResponse:
        """Make identifiers one subject."""
        _check_request_id(request.request_id)
        if not 0 < len(request.identifiers) <= MOST_IDENTIFIERS:
            raise refuse("identifiers", "BAD_COUNT", f"1 to {MOST_IDENTIFIERS} identifiers.")
        if request.evidence not in _EVIDENCE:
            raise refuse("evidence", "REQUIRED", "Login, document or agent.")
        known = [self._known(one, f"identifiers[{place}]") for place, one in enumerate(request.identifiers)]
        who = await handlers.link_identifiers(
            list(dict.fromkeys(known)),
            request_id=request.request_id,
            evidence=_EVIDENCE[request.evidence],
            directory=self._ports.directory,
            ledger=self._ports.ledger,
            new_id=self._ports.new_id,
            clock=self._ports.clock,
        )
        absorbed = [member for member in who.members if member != who.survivor]
        return pb.LinkIdentifiersResponse(subject_id=who.survivor, absorbed=absorbed)

    async def ResolveSubject(self, request: pb.ResolveSubjectRequest, context: object) -> pb.ResolveSubjectResponse:
        """Whom an identifier stands for."""
        who, created = await handlers.resolve_subject(
            self._known(request.identifier, "identifier"),
            create=request.create,
            directory=self._ports.directory,
            new_id=self._ports.new_id,
            clock=self._ports.clock,
        )
        return pb.ResolveSubjectResponse(subject_id=who.survivor, created=created, members=who.members)

    async def GetView(self, request: pb.GetViewRequest, context: object) -> pb.GetViewResponse:
        """The fields that the basis covers."""
        written, position = await get_view(
            _asked(request),
            verifier=self._ports.verifier,
            profiles=self._ports.profiles,
            catalog=self._ports.catalog,
            shelf=self._shelf,
            clock=self._ports.clock,
            write=write_view,
        )
        response = pb.GetViewResponse.FromString(written)
        response.position = position
        return response

    async def EraseSubject(self, request: pb.EraseSubjectRequest, context: object) -> pb.EraseSubjectResponse:
        """Forget a subject."""
        check_uuid(request.subject_id, "subject_id")
        _check_request_id(request.request_id)
        removed = await handlers.erase_subject(
            request.subject_id,
            request_id=request.request_id,
            directory=self._ports.directory,
            clock=self._ports.clock,
        )
        self._shelf.drop(request.subject_id)
        return pb.EraseSubjectResponse(rows_removed=removed)

    def _known(self, identifier: Any, field: str) -> Known:
        check_identifier(identifier, field)
        return self._ports.hasher.known(identifier.type, identifier.value)


def _check_request_id(value: str) -> None:
    check_text(value, "request_id", longest=64)
    if len(value.encode()) not in range(16, 65):
        raise refuse("request_id", "BAD_LENGTH", "16 to 64 bytes.")


def _count(response: pb.IngestBankEventsResponse, outcomes: Sequence[Outcome], first: int) -> None:
    for item, outcome in enumerate(outcomes, first):
        match outcome.status:
            case Status.ACCEPTED:
                response.accepted += 1
            case Status.DUPLICATE:
                response.duplicates += 1
            case Status.REJECTED:
                response.rejected += 1
                if len(response.results) < MOST_RESULTS:
                    response.results.append(_result(item, outcome))


def _result(item: int, outcome: Outcome) -> pb.BankEventResult:
    return pb.BankEventResult(
        item=item,
        event_id=outcome.event_id,
        status=_STATUS[outcome.status],
        reason=outcome.reason,
        field=outcome.field,
    )


def _asked(request: pb.GetViewRequest) -> Asked:
    check_uuid(request.subject_id, "subject_id")
    check_text(request.channel, "channel")
    if len(request.attributes) > MOST_ATTRIBUTES:
        raise refuse("attributes", "TOO_MANY", f"At most {MOST_ATTRIBUTES} attributes.")
    if request.now_ms < 0:
        raise Invalid("A time after 1970.", reason="OUT_OF_RANGE", field="now_ms")
    return Asked(
        basis=_basis(request),
        subject=request.subject_id,
        channel=request.channel,
        attributes=request.attributes,
        bundle_digest=request.bundle_digest,
        now_ms=request.now_ms,
    )


def _basis(request: pb.GetViewRequest) -> SignedBasis | None:
    if not request.HasField("basis"):
        return None
    return SignedBasis(request.basis.body, request.basis.key_id, request.basis.signature)


def write_view(found: View) -> bytes:
    """The view as the contract has it, its position left out."""
    return pb.GetViewResponse(
        fields=[_field(one) for one in found.given],
        withheld=[pb.Withheld(attribute=name, reason=_WITHHELD[reason]) for name, reason in found.withheld],
    ).SerializeToString()


def _field(one: Given) -> pb.ViewField:
    return pb.ViewField(
        attribute=one.id,
        value=_value(one.value, one.kind, one.currency),
        category=_CATEGORY[one.category],
        as_of_ms=one.as_of_ms,
        purposes=one.purposes,
    )


def _value(value: Value, kind: str, currency: str | None) -> value_pb2.Value:
    if isinstance(value, bool):
        return value_pb2.Value(boolean=value)
    if isinstance(value, str):
        return value_pb2.Value(text=value)
    if isinstance(value, frozenset):
        return value_pb2.Value(set=value_pb2.IdSet(ids=sorted(value)))
    if kind == "money":
        return value_pb2.Value(money=value_pb2.Money(amount_minor=value, currency=currency or ""))
    return value_pb2.Value(integer=value)
