"""The writer's side of the signer: asks it over the bus."""

from __future__ import annotations

from typing import Final

from assent.consent.v1 import signer_service_pb2 as pb
from assent.consent.v1.signer_service_pb2_grpc import SignerServiceStub
from servicekit.auth import ServiceIdentity
from servicekit.errors import DeadlineExceeded, Unavailable
from servicekit.nats import Bus

TARGET: Final = "consent-signer"
TIMEOUT_S: Final = 30.0
"""The signer derives everything that it has not signed yet before it says yes."""


class SignerClient:
    """Confirmations and checkpoints on demand. Unavailable NO_SIGNER when no signer answers, FailedPrecondition when it says no."""

    def __init__(self, bus: Bus, identity: ServiceIdentity, *, timeout_s: float = TIMEOUT_S) -> None:
        self._stub = SignerServiceStub(bus.channel(TARGET, identity=identity, timeout=timeout_s))

    async def confirm(self, size: int, root: bytes, epoch: int) -> None:
        """Return once the signer has derived this very head."""
        try:
            await self._stub.ConfirmHead(pb.ConfirmHeadRequest(size=size, root=root, epoch=epoch))
        except (Unavailable, DeadlineExceeded) as error:
            raise _no_signer() from error

    async def sign_now(self, size: int = 0) -> tuple[int, bytes]:
        """Size and note of a checkpoint that covers at least this many entries; 0: all there are."""
        try:
            signed = await self._stub.SignCheckpoint(pb.SignCheckpointRequest(size=size))
        except (Unavailable, DeadlineExceeded) as error:
            raise _no_signer() from error
        return signed.size, signed.note


def _no_signer() -> Unavailable:
    return Unavailable("No signer answers.", reason="NO_SIGNER")
