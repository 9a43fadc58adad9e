"""The two services: a request becomes a command, its answer a reply; nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from assent.consent.v1 import basis_pb2, types_pb2
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import consent_service_pb2_grpc as stubs
from consent_service import handlers, history, reading, receipts, replies, requests, waiting
from consent_service.auditing import proving
from consent_service.auditing.proving import Audit
from consent_service.commands import Command
from consent_service.forwarding import Forwarding, written
from consent_service.ports import Ledger, Result, Writer
from consent_service.reading import StatementKey
from consent_service.registries import Registries
from consent_service.watching import Feed, watch_consents
from servicekit.auth.caller import caller
from servicekit.clock import Clock
from servicekit.errors import Unavailable

EVIDENCE = "consent.evidence"
"""The scope that opens who acted, and how."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the servicers need. The forwardings lead to the writer, when that is another replica."""

    ledger: Ledger
    writer: Writer
    registries: Registries
    clock: Clock
    key: StatementKey
    consent: Forwarding | None = None
    registry: Forwarding | None = None
    audit: Audit | None = None
    feed: Feed | None = None


async def _write(
    command: Command, wait_for: types_pb2.WaitFor.ValueType, ports: Ports
) -> tuple[Result, types_pb2.WriteResult]:
    """Append, wait as long as was asked for, and give a receipt."""
    result = await handlers.write(command, writer=ports.writer, ledger=ports.ledger)
    reached = await waiting.reached(result, wait_for, ports.ledger)
    return result, replies.result(result, receipts.sign(result, ports.key), reached)


class ConsentServicer(stubs.ConsentServiceServicer):
    """Choices, checks, bases and history."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.forwarding = ports.consent
        self._with: dict[str, Any] = {
            "ledger": ports.ledger,
            "registries": ports.registries,
            "clock": ports.clock,
        }

    @written
    async def GrantConsent(self, request: pb.GrantConsentRequest, context: Any) -> pb.GrantConsentResponse:
        """Grant."""
        del context
        _, said = await _write(requests.grant(request), request.wait_for, self._ports)
        return pb.GrantConsentResponse(result=said)

    @written
    async def RecordChoice(self, request: pb.RecordChoiceRequest, context: Any) -> pb.RecordChoiceResponse:
        """Record a preference screen."""
        del context
        _, said = await _write(requests.record_choice(request), request.wait_for, self._ports)
        return pb.RecordChoiceResponse(result=said)

    @written
    async def WithdrawConsent(self, request: pb.WithdrawConsentRequest, context: Any) -> pb.WithdrawConsentResponse:
        """Take back."""
        del context
        result, said = await _write(requests.withdraw(request), request.wait_for, self._ports)
        return pb.WithdrawConsentResponse(result=said, denied=result.denied)

    @written
    async def RecordObjection(self, request: pb.RecordObjectionRequest, context: Any) -> pb.RecordObjectionResponse:
        """Object, restrict, or lift that."""
        del context
        result, said = await _write(requests.objection(request), request.wait_for, self._ports)
        return pb.RecordObjectionResponse(result=said, denied=result.denied)

    @written
    async def RecordOptOutSignal(
        self, request: pb.RecordOptOutSignalRequest, context: Any
    ) -> pb.RecordOptOutSignalResponse:
        """Honour a signal."""
        del context
        result, said = await _write(requests.signal(request), request.wait_for, self._ports)
        return pb.RecordOptOutSignalResponse(result=said, display_status=replies.display_status(result.display_status))

    @written
    async def SetSubjectLink(self, request: pb.SetSubjectLinkRequest, context: Any) -> pb.SetSubjectLinkResponse:
        """Link or separate two subjects."""
        del context
        result, said = await _write(requests.set_link(request), request.wait_for, self._ports)
        return pb.SetSubjectLinkResponse(result=said, carried=map(replies.statement, result.carried))

    async def CheckConsent(self, request: pb.CheckConsentRequest, context: Any) -> pb.CheckConsentResponse:
        """Judge keys."""
        del context
        query = requests.check(request)
        checked = await reading.check_consent(query, **self._with)
        verdicts = [replies.verdict(key, found) for key, found in zip(query.keys, checked.verdicts, strict=True)]
        return pb.CheckConsentResponse(verdicts=verdicts, token=checked.position.token)

    async def EvaluateBasis(self, request: pb.EvaluateBasisRequest, context: Any) -> pb.EvaluateBasisResponse:
        """Sign a basis."""
        del context
        signed, position = await reading.evaluate_basis(requests.evaluate(request), **self._with, key=self._ports.key)
        basis = basis_pb2.SignedBasis(body=signed.body, key_id=signed.key_id, signature=signed.signature)
        return pb.EvaluateBasisResponse(basis=basis, position=replies.position(position))

    async def GetConsentState(self, request: pb.GetConsentStateRequest, context: Any) -> pb.GetConsentStateResponse:
        """Show what is on record."""
        del context
        looked = await history.get_consent_state(requests.look(request), **self._with)
        return pb.GetConsentStateResponse(
            statements=map(replies.statement, looked.statements),
            verdicts=[replies.verdict(key, found) for key, found in looked.verdicts],
            registry_digest=looked.registry_digest,
            token=looked.position.token,
            members=sorted(looked.members),
        )

    async def ListConsentEvents(
        self, request: pb.ListConsentEventsRequest, context: Any
    ) -> pb.ListConsentEventsResponse:
        """Show a subject's entries."""
        del context
        if request.with_evidence:
            caller().require(EVIDENCE)
        whole = request.with_evidence
        listed = await history.list_consent_events(
            requests.list_events(request), ledger=self._ports.ledger, whole=whole
        )
        ledger = listed.position.ledger
        events = [replies.event(entry, ledger, with_evidence=whole) for entry in listed.entries]
        if request.with_proofs:
            await self._prove(events)
        return pb.ListConsentEventsResponse(
            events=events,
            next_page_token=str(listed.entries[-1].index) if listed.more else "",
            token=listed.position.token,
            resolved_subject=listed.resolved,
            members=sorted(listed.members),
        )

    async def WatchConsents(
        self, request: pb.WatchConsentsRequest, context: Any
    ) -> AsyncIterator[pb.WatchConsentsResponse]:
        """Follow the ledger."""
        del context
        query, feed = requests.watch(request), self._ports.feed
        if feed is None:
            raise Unavailable("Nothing can be watched here.", reason="NO_FEED")
        async with aclosing(watch_consents(query, feed)) as messages:
            async for message in messages:
                yield replies.watched(message, feed.ledger_id)

    async def _prove(self, events: Sequence[pb.ConsentEvent]) -> None:
        """Add what proves each entry."""
        if self._ports.audit is None:
            raise Unavailable("Proofs are not served here.", reason="NO_PROOFS")
        proven = await proving.prove_entries([event.position.index for event in events], self._ports.audit)
        for event, each in zip(events, proven, strict=True):
            event.leaf = each.opening.leaf
            event.public_body = (each.opening.pub or b"").decode()
            event.public_salt = each.opening.salt_pub or b""
            event.tlog_proof = each.proof


class RegistryServicer(stubs.RegistryServiceServicer):
    """Registries."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.forwarding = ports.registry

    @written
    async def PublishRegistry(self, request: pb.PublishRegistryRequest, context: Any) -> pb.PublishRegistryResponse:
        """Publish a document."""
        del context
        result, said = await _write(requests.publish(request), request.wait_for, self._ports)
        return pb.PublishRegistryResponse(result=said, digest=result.digest)

    async def GetRegistry(self, request: pb.GetRegistryRequest, context: Any) -> pb.GetRegistryResponse:
        """Show a document."""
        del context
        found = await history.get_registry(requests.find_registry(request), ledger=self._ports.ledger)
        response = pb.GetRegistryResponse(
            document=found.published.document,
            digest=found.published.digest,
            position=replies.position(found.position),
        )
        if found.notice is not None:
            ref = found.notice.ref
            response.notice.CopyFrom(
                pb.Notice(id=ref.id, version=ref.version, locale=ref.locale, bytes=found.notice.bytes)
            )
        return response
