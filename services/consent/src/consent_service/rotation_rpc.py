"""The service of the checkpoint key: a rotation becomes an entry of the ledger's own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from assent.consent.v1 import checkpoint_key_service_pb2 as pb
from assent.consent.v1 import checkpoint_key_service_pb2_grpc as stubs
from assent.consent.v1 import types_pb2
from consent_service import receipts, replies
from consent_service.auditing.proofs import Proofs
from consent_service.commands import Note
from consent_service.forwarding import Forwarding, written
from consent_service.ports import Request, Writer
from consent_service.reading import StatementKey
from consent_service.signing.rotation import entry_of, require_in_use
from servicekit.errors import Invalid
from tlog import ProofError, Verifier, VerifierKey


@dataclass(frozen=True, slots=True)
class RotationPorts:
    """What the servicer needs; `forwarding` leads to the writer, when that is another replica."""

    writer: Writer
    proofs: Proofs
    key: StatementKey
    forwarding: Forwarding | None = None


class CheckpointKeyServicer(stubs.CheckpointKeyServiceServicer):
    """Rotations."""

    def __init__(self, ports: RotationPorts) -> None:
        self._ports = ports
        self.forwarding = ports.forwarding

    @written
    async def RecordRotation(self, request: pb.RecordRotationRequest, context: Any) -> pb.RecordRotationResponse:
        """Append KEY_ROTATED."""
        del context
        old = _key(request.old_vkey, "old_vkey")
        _, note = entry_of(old, _key(request.new_vkey, "new_vkey"))
        require_in_use(old, (await self._ports.proofs.checkpoint()).note)
        result = await self._ports.writer.append(Note(note, _request(request)))
        receipt = receipts.sign(result, self._ports.key)
        return pb.RecordRotationResponse(result=replies.result(result, receipt, types_pb2.WAIT_FOR_COMMITTED))


def _key(vkey: str, field: str) -> VerifierKey:
    try:
        return Verifier(vkey).vkey
    except ProofError as error:
        raise Invalid(f"That is no verifier key: {error.text}.", field=field) from None


def _request(asked: pb.RecordRotationRequest) -> Request:
    """The same for the same keys, so that a rotation is recorded once."""
    content = hashlib.sha256(f"{asked.old_vkey}\x00{asked.new_vkey}".encode())
    return Request(f"key-rotated:{content.hexdigest()[:32]}", content.digest())
