"""The rights service: a request becomes a decision or a question, its answer a reply; nothing else.

Who decides is known where the call arrives, so a decision is kept there; what follows from it is done where the writer is.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from assent.consent.v1 import rights_service_pb2 as pb
from assent.consent.v1 import rights_service_pb2_grpc as stubs
from consent_service.domain.words import Status
from consent_service.forwarding import Forwarding, written
from consent_service.ports import Ledger
from consent_service.requests import fields
from consent_service.requests import rights as asked
from consent_service.rights import cases as life
from consent_service.rights.cases import Case, Decision
from consent_service.rights.exporting import Copying
from consent_service.rights.ports import Cases
from consent_service.rights.running import Runner, kept
from servicekit.auth.caller import caller
from servicekit.clock import Clock
from servicekit.errors import FailedPrecondition, Forbidden, Invalid


@dataclass(frozen=True, slots=True)
class RightsPorts:
    """What the servicer needs; `runner` takes steps where the writer is, `forwarding` leads there."""

    cases: Cases
    ledger: Ledger
    runner: Runner
    copying: Copying
    clock: Clock
    forwarding: Forwarding | None = None


class RightsServicer(stubs.RightsServiceServicer):
    """Copies and cases."""

    def __init__(self, ports: RightsPorts) -> None:
        self._ports = ports
        self.forwarding = ports.forwarding

    async def ExportSubject(
        self, request: pb.ExportSubjectRequest, context: Any
    ) -> AsyncIterator[pb.ExportSubjectResponse]:
        """Hand out a copy."""
        del context
        subject, now_us = fields.named(request.subject_id, "subject_id"), self._ports.clock.now_us()
        snapshot = await self._ports.copying.person(subject)
        for member in sorted(snapshot.members | {subject}):
            await self._ports.cases.hand_out(secrets.token_hex(16), member, now_us, caller().subject)
        async for lines in self._ports.copying.lines(subject, snapshot, at_us=now_us):
            if lines:
                yield pb.ExportSubjectResponse(lines=lines)

    async def RequestErasure(self, request: pb.RequestErasureRequest, context: Any) -> pb.RequestErasureResponse:
        """Open a case, and seal."""
        subject, why = fields.named(request.subject_id, "subject_id"), asked.ground(request.ground)
        snapshot = await self._ports.ledger.read(subject)
        if snapshot.status is Status.ERASED:
            raise FailedPrecondition("The subject is erased.", reason="SUBJECT_ERASED", field="subject_id")
        wanted = Case(
            id=secrets.token_hex(16),
            subjects=tuple(sorted(snapshot.members | {subject})),
            ground=why,
            requested_us=self._ports.clock.now_us(),
            requested_by=caller().subject,
        )
        case = await self._ports.cases.open(wanted)
        return pb.RequestErasureResponse(erasure_case=reply(await self._advanced(case, context), self._now()))

    async def DecideErasure(self, request: pb.DecideErasureRequest, context: Any) -> pb.DecideErasureResponse:
        """Keep a decision, and do what follows."""
        if caller().service is not None:
            raise Forbidden("A service decides nothing.", reason="APPROVER_NOT_A_PERSON")
        await self._advanced(await self._ports.cases.get(request.case_id), context)
        case = await kept(self._ports.cases, request.case_id, partial(self._decided, request, caller().subject))
        return pb.DecideErasureResponse(erasure_case=reply(await self._advanced(case, context), self._now()))

    def _decided(self, request: pb.DecideErasureRequest, by: str, case: Case) -> Case:
        now_us = self._now()
        match request.WhichOneof("decision"):
            case "approve":
                retain = request.approve.retain_until_us if request.approve.HasField("retain_until_us") else None
                until = None if retain is None else fields.time(retain, "approve.retain_until_us")
                role = asked.role(request.role, required=True)
                return life.approve(case, by, role=role, now_us=now_us, retain_until_us=until)
            case "deny":
                return life.deny(case, by, role=asked.role(request.role, required=False), now_us=now_us)
            case "hold":
                until = fields.time(request.hold.until_us, "hold.until_us")
                role, reason = asked.role(request.role, required=False), asked.reason(request.hold.reason)
                return life.hold(case, by, role=role, until_us=until, reason=reason, now_us=now_us)
            case _:
                raise Invalid("Say what is decided.", field="decision")

    async def GetErasure(self, request: pb.GetErasureRequest, context: Any) -> pb.GetErasureResponse:
        """Show a case."""
        del context
        return pb.GetErasureResponse(erasure_case=reply(await self._ports.cases.get(request.case_id), self._now()))

    @written
    async def AdvanceErasure(self, request: pb.AdvanceErasureRequest, context: Any) -> pb.AdvanceErasureResponse:
        """Take steps."""
        del context
        await self._ports.runner.advance(request.case_id)
        return pb.AdvanceErasureResponse()

    async def _advanced(self, case: Case, context: Any) -> Case:
        """The case after what could be done with it; the writer is asked only when there is something to do."""
        if life.todo(case, self._now()) is None:
            return case
        await self.AdvanceErasure(pb.AdvanceErasureRequest(case_id=case.id), context)
        return await self._ports.cases.get(case.id)

    def _now(self) -> int:
        return self._ports.clock.now_us()


def reply(case: Case, now_us: int) -> pb.ErasureCase:
    """A case as it is now."""
    case = life.at(case, now_us)
    said = pb.ErasureCase(
        case_id=case.id,
        status=pb.ErasureStatus.Value(f"ERASURE_STATUS_{case.stage.value}"),
        ground=pb.ErasureGround.Value(f"ERASURE_GROUND_{case.ground}"),
        requested_at_us=case.requested_us,
        requested_by=case.requested_by,
        subject_ids=case.subjects,
        decisions=map(_decision, case.decisions),
        hold_until_us=case.hold_until_us,
        retain_until_us=case.retain_until_us,
        key_destroyed_at_us=case.died_us,
    )
    if case.certificate is not None:
        said.certificate.CopyFrom(pb.ErasureCertificate(**case.certificate._asdict()))
    return said


def _decision(decision: Decision) -> pb.ErasureDecision:
    return pb.ErasureDecision(
        verb=decision.verb.value,
        by=decision.by,
        role=decision.role,
        at_us=decision.at_us,
        until_us=decision.until_us,
        reason=decision.reason,
    )
