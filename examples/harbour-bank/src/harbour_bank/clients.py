"""The people who call the suite, each with a token of its own: a channel app, the bank's systems, two approvers, an auditor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from assent.consent.v1.audit_service_pb2_grpc import AuditServiceStub
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from assent.content.v1.content_service_pb2_grpc import ContentServiceStub
from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceStub
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceStub
from assent_cli.stack import Stack
from embedded.keys import Keys
from servicekit import grpc_client

if TYPE_CHECKING:  # these names exist in the stubs' types only
    from assent.consent.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceAsyncStub
    from assent.content.v1.content_service_pb2_grpc import ContentServiceAsyncStub
    from assent.orchestration.v1.orchestration_service_pb2_grpc import OrchestrationServiceAsyncStub
    from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceAsyncStub
    from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceAsyncStub

CHANNEL_APP = (
    "orchestration.decide",
    "orchestration.outcomes",
    "orchestration.explain",
    "signals.ingest",
    "signals.read",
    "consent.choose",
    "consent.check",
    "profile.resolve",
)
CORE_BANKING = ("profile.ingest", "profile.resolve", "consent.choose", "orchestration.decide")
AUTHOR = ("content.propose", "content.activate", "content.read")
APPROVER = ("content.approve", "content.compliance", "content.read")
AUDITOR = ("orchestration.audit", "orchestration.explain", "orchestration.explain.auditor", "consent.audit")


class Caller:
    """One caller's stubs; channels open when they are first used."""

    def __init__(self, stack: Stack, name: str, scopes: Sequence[str], opened: AsyncExitStack) -> None:
        self._stack = stack
        self._token = stack.keys.token(name, scopes)
        self._opened = opened
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def audit(self) -> AuditServiceAsyncStub:
        """The ledger's proofs."""
        return AuditServiceStub(await self._channel("consent"))

    async def consent(self) -> ConsentServiceAsyncStub:
        """The ledger."""
        return ConsentServiceStub(await self._channel("consent"))

    async def content(self) -> ContentServiceAsyncStub:
        """Bundles."""
        return ContentServiceStub(await self._channel("content"))

    async def orchestration(self) -> OrchestrationServiceAsyncStub:
        """Decisions."""
        return OrchestrationServiceStub(await self._channel("orchestration"))

    async def profile(self) -> ProfileServiceAsyncStub:
        """Customers."""
        return ProfileServiceStub(await self._channel("profile"))

    async def signals(self) -> SignalsServiceAsyncStub:
        """Sessions."""
        return SignalsServiceStub(await self._channel("signals"))

    async def _channel(self, service: str) -> grpc.aio.Channel:
        if service not in self._channels:
            opening = grpc_client.channel(self._stack.grpc_address(service), token=lambda: self._token)
            self._channels[service] = await self._opened.enter_async_context(opening)
        return self._channels[service]


@dataclass(frozen=True, slots=True)
class People:
    """Who takes part."""

    app: Caller
    bank: Caller
    author: Caller
    approvers: tuple[Caller, Caller]
    auditor: Caller
    keys: Keys
    """Also the public ones that a stranger needs."""


@asynccontextmanager
async def people(stack: Stack) -> AsyncIterator[People]:
    """Everybody, until the context ends."""
    async with AsyncExitStack() as opened:

        def caller(name: str, scopes: Sequence[str]) -> Caller:
            return Caller(stack, name, scopes, opened)

        yield People(
            app=caller("mobile-app", CHANNEL_APP),
            bank=caller("core-banking", CORE_BANKING),
            author=caller("catalog-author", AUTHOR),
            approvers=(caller("compliance-1", APPROVER), caller("compliance-2", APPROVER)),
            auditor=caller("auditor", AUDITOR),
            keys=stack.keys,
        )
