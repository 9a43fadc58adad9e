"""Protobuf to the signer and back."""

from __future__ import annotations

from typing import Any

from assent.consent.v1 import signer_service_pb2 as pb
from assent.consent.v1 import signer_service_pb2_grpc as stubs
from consent_service.signing.signer import Signer
from servicekit.errors import Invalid


class SignerServicer(stubs.SignerServiceServicer):
    """What the writer asks."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def ConfirmHead(self, request: pb.ConfirmHeadRequest, context: Any) -> pb.ConfirmHeadResponse:
        """Yes, or an error."""
        del context
        if len(request.root) != 32:
            raise Invalid("A root is 32 bytes.", field="root")
        await self._signer.confirm(request.size, request.root, request.epoch)
        return pb.ConfirmHeadResponse()

    async def SignCheckpoint(self, request: pb.SignCheckpointRequest, context: Any) -> pb.SignCheckpointResponse:
        """Now."""
        del context
        signed = await self._signer.sign_now(request.size)
        return pb.SignCheckpointResponse(size=signed.size, note=signed.note)
