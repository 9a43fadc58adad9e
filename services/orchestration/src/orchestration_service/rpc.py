"""Protobuf in, protobuf out, nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from assent.orchestration.v1 import explanation_pb2
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceServicer
from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service import archive
from orchestration_service.deciding import STREAM, Decider
from orchestration_service.domain.budget import LONGEST_S
from orchestration_service.explaining import explain
from orchestration_service.outcomes import record_outcomes
from orchestration_service.ports import Archive, Outcomes, Ports
from orchestration_service.redaction import redacted
from orchestration_service.replaying import replay
from orchestration_service.requests import check_decide, check_watch
from orchestration_service.streaming import watch_decisions
from orchestration_service.watching import Watches
from servicekit.auth import caller
from servicekit.deadline import remaining_s

PERSONAL = "orchestration.audit.personal"
_AUDIENCES = {
    explanation_pb2.AUDIENCE_UNSPECIFIED: "customer",
    explanation_pb2.AUDIENCE_CUSTOMER: "customer",
    explanation_pb2.AUDIENCE_AGENT: "agent",
    explanation_pb2.AUDIENCE_AUDITOR: "auditor",
}


@dataclass(frozen=True, slots=True)
class Orchestration:
    """What the servicer hands on."""

    ports: Ports
    decider: Decider
    archive: Archive
    outcomes: Outcomes
    watches: Watches


class OrchestrationServicer(OrchestrationServiceServicer):
    """`assent.orchestration.v1.OrchestrationService`."""

    def __init__(self, parts: Orchestration) -> None:
        self._parts = parts

    async def Decide(self, request: pb.DecideRequest, context: object) -> pb.DecideResponse:
        """Decide, record, answer."""
        check_decide(request, self._parts.ports.catalog.active().bundle)
        return await self._parts.decider.decide(request, caller=caller().subject, within_s=_within_s(context))

    async def WatchDecisions(
        self, request: pb.WatchDecisionsRequest, context: object
    ) -> AsyncIterator[pb.WatchDecisionsResponse]:
        """A decision at once, then whenever one is due."""
        check_watch(request, self._parts.ports.catalog.active().bundle)
        stream = watch_decisions(
            request,
            caller=caller().subject,
            decider=self._parts.decider,
            profiles=self._parts.ports.profiles,
            watches=self._parts.watches,
        )
        async for message in stream:
            yield message

    async def RecordOutcomes(self, request: pb.RecordOutcomesRequest, context: object) -> pb.RecordOutcomesResponse:
        """A status per outcome."""
        results = await record_outcomes(
            request.outcomes,
            archive=self._parts.archive,
            stream=self._parts.outcomes,
            catalog=self._parts.ports.catalog,
            clock=self._parts.ports.clock,
            tracking_key=self._parts.ports.tracking_key,
        )
        return pb.RecordOutcomesResponse(results=results)

    async def GetDecision(self, request: pb.GetDecisionRequest, context: object) -> pb.GetDecisionResponse:
        """The record, whole or without personal fields."""
        found = await archive.one(self._parts.archive, request.decision_id)
        receipt = pb.Receipt(stream=STREAM, sequence=found.sequence, record_digest=found.digest)
        if PERSONAL in caller().scopes:
            return pb.GetDecisionResponse(record=found.record, receipt=receipt)
        plain = redacted(DecisionRecord.FromString(found.record)).SerializeToString(deterministic=True)
        return pb.GetDecisionResponse(record=plain, receipt=receipt, redacted=True)

    async def ExplainDecision(self, request: pb.ExplainDecisionRequest, context: object) -> pb.ExplainDecisionResponse:
        """The funnel, for its audience."""
        record = DecisionRecord.FromString((await archive.one(self._parts.archive, request.decision_id)).record)
        audience = _AUDIENCES.get(request.audience, "customer")
        if audience != "customer":
            caller().require(f"orchestration.explain.{audience}")
        return pb.ExplainDecisionResponse(explanation=explain(record, audience))

    async def ReplayDecision(self, request: pb.ReplayDecisionRequest, context: object) -> pb.ReplayDecisionResponse:
        """Identical, or the first stage that differs."""
        record = DecisionRecord.FromString((await archive.one(self._parts.archive, request.decision_id)).record)
        replayed = await replay(record, self._parts.ports)
        if replayed.difference is None:
            return pb.ReplayDecisionResponse(identical=True, stages=replayed.stages)
        return pb.ReplayDecisionResponse(
            stages=replayed.stages,
            first_difference=replayed.difference.stage,
            recorded=replayed.difference.recorded,
            replayed=replayed.difference.replayed,
        )


def _within_s(context: object) -> float | None:
    """Seconds that the client waits; None when it does not say, which only gRPC knows. Over NATS every call has a deadline."""
    told: Callable[[], float | None] | None = getattr(context, "time_remaining", None)
    return remaining_s(LONGEST_S) if told is None else told()
