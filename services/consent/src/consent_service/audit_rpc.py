"""The auditor's service: a request becomes a question, its answer a reply; nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assent.consent.v1 import audit_service_pb2 as pb
from assent.consent.v1 import audit_service_pb2_grpc as stubs
from consent_service.auditing.proofs import Proofs
from servicekit.errors import Invalid


@dataclass(frozen=True, slots=True)
class AuditPorts:
    """What the servicer needs."""

    proofs: Proofs


class AuditServicer(stubs.AuditServiceServicer):
    """Checkpoints and proofs."""

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
