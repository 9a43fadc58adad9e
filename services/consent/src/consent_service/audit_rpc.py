"""The auditor's service: a request becomes a question, its answer a reply; nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import audit_service_pb2_grpc as stubs
from consent_service import replies
from consent_service.auditing import checking, exporting, finding, proving, state_proof
from consent_service.auditing.finding import RelianceStore
from consent_service.auditing.proofs import Proofs, TreeStore
from consent_service.auditing.proving import Audit
from consent_service.auditing.violations import Violation
from consent_service.reliance.assessing import Reliance
from consent_service.requests import audits
from servicekit.auth.caller import caller
from servicekit.errors import Invalid

EVIDENCE: Final = "consent.evidence"
"""The scope that opens who acted, and how."""


@dataclass(frozen=True, slots=True)
class AuditPorts:
    """What the servicer needs."""

    audit: Audit
    tree: TreeStore
    reliance: RelianceStore

    @property
    def proofs(self) -> Proofs:
        """Of inclusion and consistency."""
        return self.audit.proofs


class AuditServicer(stubs.AuditServiceServicer):
    """Checkpoints, proofs, reliances, violations and exports."""

    def __init__(self, ports: AuditPorts) -> None:
        self._ports = ports

    async def GetCheckpoint(self, request: pb.GetCheckpointRequest, context: Any) -> pb.GetCheckpointResponse:
        """Show a checkpoint."""
        del context
        at_us = request.at_us if request.WhichOneof("which") == "at_us" else None
        found = await self._ports.proofs.checkpoint(at_least=request.at_least, at_us=at_us)
        return pb.GetCheckpointResponse(
            size=found.size, root=found.root, note=found.note, published_us=found.published_us
        )

    async def GetProof(self, request: pb.GetProofRequest, context: Any) -> pb.GetProofResponse:
        """Prove."""
        del context
        match request.WhichOneof("of"):
            case "inclusion":
                return await self._inclusion(request.inclusion)
            case "consistency":
                return await self._consistency(request.consistency)
            case _:
                raise Invalid("Say what to prove.", field="of")

    async def _inclusion(self, asked: pb.GetProofRequest.Inclusion) -> pb.GetProofResponse:
        found = await self._ports.proofs.inclusion(asked.index, asked.size)
        return pb.GetProofResponse(
            hashes=found.hashes,
            size=found.signed.size,
            note=found.signed.note,
            tlog_proof=found.text,
            leaf_hash=found.leaf_hash,
        )

    async def _consistency(self, asked: pb.GetProofRequest.Consistency) -> pb.GetProofResponse:
        found = await self._ports.proofs.consistency(asked.size1, asked.size2)
        return pb.GetProofResponse(hashes=found.hashes, size=found.signed.size, note=found.signed.note)

    async def ProveConsentState(
        self, request: pb.ProveConsentStateRequest, context: Any
    ) -> pb.ProveConsentStateResponse:
        """Prove a state."""
        del context
        query = audits.prove(request)
        if query.full:
            caller().require(EVIDENCE)
        proof = await proving.prove_state(query, self._ports.audit)
        return pb.ProveConsentStateResponse(
            verdict=replies.verdict(query.key, proof.claim.verdict),
            document=state_proof.encode(proof),
            indices=[proven.opening.position for proven in proof.entries],
            size=proof.claim.size,
            note=proof.note,
        )

    async def ListReliances(self, request: pb.ListReliancesRequest, context: Any) -> pb.ListReliancesResponse:
        """List what relied on something."""
        del context
        rows, place = await finding.list_reliances(audits.reliances(request), self._ports.reliance)
        return pb.ListReliancesResponse(reliances=map(_reliance, rows), next_page_token=audits.token(place))

    async def FindViolations(self, request: pb.FindViolationsRequest, context: Any) -> pb.FindViolationsResponse:
        """Find what should not be."""
        del context
        found = await finding.find_violations(audits.search(request), self._ports.reliance, self._ports.audit)
        return pb.FindViolationsResponse(
            violations=map(_violation, found.violations),
            reliances=found.reliances,
            decisions=found.decisions,
            subjects=found.subjects,
            erased=found.erased,
            next_page_token=audits.token(found.place),
        )

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Any) -> AsyncIterator[pb.ExportAuditResponse]:
        """Export."""
        del context
        query = audits.export(request)
        if query.private:
            caller().require(EVIDENCE)
        async for lines in exporting.export(query, self._ports.audit, self._ports.tree):
            yield pb.ExportAuditResponse(lines=lines)

    async def VerifyRange(self, request: pb.VerifyRangeRequest, context: Any) -> pb.VerifyRangeResponse:
        """Recompute."""
        del context
        first, last = audits.index_range(request)
        check, signed = await checking.verify_range(first, last, self._ports.audit, self._ports.tree)
        answer = pb.VerifyRangeResponse(
            to=check.end,
            root=check.tree.root(),
            mismatches=[pb.Mismatch(code=found.code, index=found.place) for found in check.mismatches],
            mismatched=check.mismatched,
            opened=check.opened,
            erased=check.erased,
            checkpoints=signed,
        )
        setattr(answer, "from", check.first)
        return answer


def _reliance(row: Reliance) -> pb.Reliance:
    return pb.Reliance(
        decision_id=row.decision,
        purpose=row.purpose,
        support=row.support,
        subject_id=row.subject,
        basis_index=row.basis,
        at_us=row.at_us,
        decided_us=row.decided_us,
        channel=row.channel,
        categories=row.categories,
        regimes=row.regimes,
    )


def _violation(found: Violation) -> pb.Violation:
    return pb.Violation(
        rule=pb.ViolationRule.Value(f"VIOLATION_RULE_{found.rule}"),
        decision_id=found.decision,
        purpose=found.purpose,
        subject_id=found.subject,
        basis_index=found.basis,
        support=found.support,
        cause=found.cause,
        decided_us=found.decided_us,
        margin_us=found.margin_us,
        detail=found.detail,
    )
