"""Protobuf to use case and back, nothing else."""

from __future__ import annotations

from typing import Any

from assent.signals.v1 import signals_service_pb2 as pb
from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceServicer
from servicekit.basis import SignedBasis
from servicekit.errors import Invalid
from signals_service import translation
from signals_service.domain.events import Verdict
from signals_service.handlers import Ingest, Look, Query, Withdrawals
from signals_service.ports import Position


class SignalsServicer(SignalsServiceServicer):
    """assent.signals.v1.SignalsService."""

    def __init__(self, ingest: Ingest, look: Look, withdrawals: Withdrawals) -> None:
        self._ingest = ingest
        self._look = look
        self._withdrawals = withdrawals

    async def IngestSessionEvents(
        self, request: pb.IngestSessionEventsRequest, context: Any
    ) -> pb.IngestSessionEventsResponse:
        """Take in a batch."""
        del context
        found = await self._ingest(translation.batch(request))
        answer = pb.IngestSessionEventsResponse(
            results=[_result(verdict) for verdict in found.verdicts], retry_after_ms=found.retry_after_ms
        )
        if found.position is not None:
            answer.position.partition, answer.position.sequence = found.position
        return answer

    async def GetActiveSignals(self, request: pb.GetActiveSignalsRequest, context: Any) -> pb.GetActiveSignalsResponse:
        """Show what is going on."""
        del context
        seen = await self._look(_query(request))
        return pb.GetActiveSignalsResponse(
            signals=[translation.signal(signal) for signal in seen.signals],
            lag_ms=seen.lag_ms,
            fresh=seen.fresh,
            caught_up=seen.caught_up,
        )

    async def ForgetSubject(self, request: pb.ForgetSubjectRequest, context: Any) -> pb.ForgetSubjectResponse:
        """Delete everything about a subject."""
        del context
        for field, value, limit in (("subject_id", request.subject_id, 64), ("request_id", request.request_id, 64)):
            if not 0 < len(value) <= limit or not value.isprintable():
                raise Invalid("It is missing, or not of the form that the contract gives.", field=field)
        removed = await self._withdrawals.forget(request.subject_id, request.request_id)
        return pb.ForgetSubjectResponse(rows_removed=removed)


def _result(verdict: Verdict) -> pb.EventResult:
    status: Any = pb.EventStatus.Value(f"EVENT_STATUS_{verdict.status.value}")
    return pb.EventResult(seq=verdict.seq, status=status, fields=verdict.names)


def _query(request: pb.GetActiveSignalsRequest) -> Query:
    signed = request.basis
    wanted = request.wait_for
    return Query(
        basis=SignedBasis(signed.body, signed.key_id, signed.signature) if request.HasField("basis") else None,
        subject=request.subject_id,
        session=request.session,
        channel=request.channel,
        now_ms=request.now_ms,
        wait_for=Position(wanted.partition, wanted.sequence) if request.HasField("wait_for") else None,
        max_wait_ms=request.max_wait_ms,
    )
