"""Protobuf to domain and back, for both services; nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assent.consent.v1 import basis_pb2, types_pb2
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2_grpc as stubs
from consent_service import handlers, reading, requests
from consent_service.domain.choices import Key, NoticeRef, Scope, Statement
from consent_service.domain.position import Position
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Basis, State
from consent_service.ports import Ledger, Result
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from servicekit.clock import Clock


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicers need."""

    ledger: Ledger
    registries: Registries
    clock: Clock
    key: StatementKey


class ConsentServicer(stubs.ConsentServiceServicer):
    """Choices, checks and bases."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._with: dict[str, Any] = {
            "ledger": ports.ledger,
            "registries": ports.registries,
            "clock": ports.clock,
        }

    async def RecordChoice(self, request: pb.RecordChoiceRequest, context: Any) -> pb.RecordChoiceResponse:
        """Record a preference screen."""
        del context
        result = await handlers.record_choice(requests.record_choice(request), **self._with)
        return pb.RecordChoiceResponse(result=write_result(result))

    async def WithdrawConsent(self, request: pb.WithdrawConsentRequest, context: Any) -> pb.WithdrawConsentResponse:
        """Take back."""
        del context
        result = await handlers.withdraw_consent(requests.withdraw(request), **self._with)
        return pb.WithdrawConsentResponse(result=write_result(result), denied=result.denied)

    async def SetSubjectLink(self, request: pb.SetSubjectLinkRequest, context: Any) -> pb.SetSubjectLinkResponse:
        """Link or separate two subjects."""
        del context
        result = await handlers.set_subject_link(requests.set_link(request), **self._with)
        return pb.SetSubjectLinkResponse(result=write_result(result))

    async def CheckConsent(self, request: pb.CheckConsentRequest, context: Any) -> pb.CheckConsentResponse:
        """Judge keys."""
        del context
        query = requests.check(request)
        checked = await reading.check_consent(query, **self._with)
        verdicts = [write_verdict(key, found) for key, found in zip(query.keys, checked.verdicts, strict=True)]
        return pb.CheckConsentResponse(verdicts=verdicts, token=checked.position.token)

    async def EvaluateBasis(self, request: pb.EvaluateBasisRequest, context: Any) -> pb.EvaluateBasisResponse:
        """Sign a basis."""
        del context
        signed, position = await reading.evaluate_basis(requests.evaluate(request), **self._with, key=self._ports.key)
        basis = basis_pb2.SignedBasis(body=signed.body, key_id=signed.key_id, signature=signed.signature)
        return pb.EvaluateBasisResponse(basis=basis, position=write_position(position))

    async def GetConsentState(self, request: pb.GetConsentStateRequest, context: Any) -> pb.GetConsentStateResponse:
        """Show what is on record."""
        del context
        looked = await reading.get_consent_state(requests.look(request), **self._with)
        return pb.GetConsentStateResponse(
            statements=[write_statement(statement) for statement in looked.statements],
            verdicts=[write_verdict(key, found) for key, found in looked.verdicts],
            registry_digest=looked.registry_digest,
            token=looked.position.token,
            members=sorted(looked.members),
        )


class RegistryServicer(stubs.RegistryServiceServicer):
    """Registries."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def PublishRegistry(self, request: pb.PublishRegistryRequest, context: Any) -> pb.PublishRegistryResponse:
        """Publish a document."""
        del context
        ports = self._ports
        result = await handlers.publish_registry(
            requests.publish(request), ledger=ports.ledger, registries=ports.registries, clock=ports.clock
        )
        return pb.PublishRegistryResponse(result=write_result(result), digest=result.digest)

    async def GetRegistry(self, request: pb.GetRegistryRequest, context: Any) -> pb.GetRegistryResponse:
        """Show a document."""
        del context
        found = await reading.get_registry(requests.find_registry(request), ledger=self._ports.ledger)
        response = pb.GetRegistryResponse(
            document=found.published.document,
            digest=found.published.digest,
            position=write_position(found.position),
        )
        if found.notice is not None:
            ref = found.notice.ref
            response.notice.CopyFrom(
                pb.Notice(id=ref.id, version=ref.version, locale=ref.locale, bytes=found.notice.bytes)
            )
        return response


def write_position(position: Position) -> types_pb2.Position:
    """A position."""
    return types_pb2.Position(ledger=position.ledger, epoch=position.epoch, index=position.index)


def write_result(result: Result) -> types_pb2.WriteResult:
    """The result of a write. Kinds that are no choice (links, registries) are left unstated."""
    entries = [
        types_pb2.Entry(
            index=entry.index,
            kind=requests.CHOICE_KINDS.get(entry.kind, types_pb2.CHOICE_KIND_UNSPECIFIED),
            effective=entry.effective,
            reason=entry.reason,
        )
        for entry in result.entries
    ]
    return types_pb2.WriteResult(
        position=write_position(result.position),
        token=result.position.token,
        recorded_at_us=result.recorded_us,
        entries=entries,
        resolved_subject=result.subject,
        replayed=result.replayed,
    )


def write_verdict(key: Key, verdict: Verdict) -> types_pb2.Verdict:
    """A verdict, with its key."""
    return types_pb2.Verdict(
        key=types_pb2.Key(
            purpose=key.purpose,
            channel=key.channel,
            category=requests.category_number(key.category),
            recipient=key.recipient,
        ),
        allowed=verdict.allowed,
        state=_STATES[verdict.state],
        reason=verdict.reason.value,
        basis=_BASES[verdict.basis] if verdict.basis else types_pb2.LAWFUL_BASIS_UNSPECIFIED,
        support=verdict.support,
        valid_to_us=verdict.until_us,
    )


_STATES: dict[State, types_pb2.ConsentState.ValueType] = {
    State.UNKNOWN: types_pb2.CONSENT_STATE_UNSPECIFIED,
    State.GRANTED: types_pb2.CONSENT_STATE_GRANTED,
    State.REFUSED: types_pb2.CONSENT_STATE_REFUSED,
    State.WITHDRAWN: types_pb2.CONSENT_STATE_WITHDRAWN,
    State.EXPIRED: types_pb2.CONSENT_STATE_EXPIRED,
}


_BASES = {basis: types_pb2.LawfulBasis.Value(f"LAWFUL_BASIS_{basis.value}") for basis in Basis}


def write_statement(statement: Statement) -> pb.Statement:
    """A statement."""
    return pb.Statement(
        index=statement.index,
        kind=requests.CHOICE_KINDS[statement.kind.value],
        scope=_write_scope(statement.scope),
        notice=_write_notice(statement.notice) if statement.notice else None,
        event_time_us=statement.event_us,
        recorded_at_us=statement.recorded_us,
        valid_to_us=statement.to_us,
        effective=statement.effective,
    )


def _write_scope(scope: Scope) -> types_pb2.Scope:
    return types_pb2.Scope(
        purpose=scope.purpose,
        channels=sorted(scope.channels),
        categories=[requests.category_number(category) for category in sorted(scope.categories)],
        recipients=sorted(scope.recipients),
    )


def _write_notice(notice: NoticeRef) -> types_pb2.NoticeRef:
    return types_pb2.NoticeRef(
        id=notice.id, version=notice.version, locale=notice.locale, sha256=bytes.fromhex(notice.sha256)
    )
