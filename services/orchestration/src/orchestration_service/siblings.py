"""The sibling services behind the ports: generated stubs over NATS."""

from __future__ import annotations

from grpc import aio

from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest, EvaluateBasisResponse
from assent.consent.v1.consent_service_pb2_grpc import ConsentServiceStub
from assent.content.v1.content_service_pb2 import RenderRequest, RenderResponse
from assent.content.v1.content_service_pb2_grpc import ContentServiceStub
from assent.eligibility.v1 import eligibility_service_pb2 as eligibility
from assent.eligibility.v1.eligibility_service_pb2_grpc import EligibilityServiceStub
from assent.profile.v1 import profile_service_pb2 as profile
from assent.profile.v1.profile_service_pb2_grpc import ProfileServiceStub
from assent.ranking.v1.ranking_service_pb2 import RankRequest, RankResponse
from assent.ranking.v1.ranking_service_pb2_grpc import RankingServiceStub
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsRequest, GetActiveSignalsResponse
from assent.signals.v1.signals_service_pb2_grpc import SignalsServiceStub
from orchestration_service.ports import Content, Eligibility, Ledger, Profiles, Ranking, Signals


class ProfileSibling:
    """The profile service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = ProfileServiceStub(channel)

    async def resolve(self, request: profile.ResolveSubjectRequest) -> profile.ResolveSubjectResponse:
        """ResolveSubject."""
        return await self._stub.ResolveSubject(request)

    async def view(self, request: profile.GetViewRequest) -> profile.GetViewResponse:
        """GetView."""
        return await self._stub.GetView(request)


class ConsentSibling:
    """The consent service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = ConsentServiceStub(channel)

    async def basis(self, request: EvaluateBasisRequest) -> EvaluateBasisResponse:
        """EvaluateBasis."""
        return await self._stub.EvaluateBasis(request)


class SignalsSibling:
    """The signals service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = SignalsServiceStub(channel)

    async def active(self, request: GetActiveSignalsRequest) -> GetActiveSignalsResponse:
        """GetActiveSignals."""
        return await self._stub.GetActiveSignals(request)


class EligibilitySibling:
    """The eligibility service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = EligibilityServiceStub(channel)

    async def contact(self, request: eligibility.GetContactStateRequest) -> eligibility.GetContactStateResponse:
        """GetContactState."""
        return await self._stub.GetContactState(request)

    async def evaluate(self, request: eligibility.EvaluateRequest) -> eligibility.EvaluateResponse:
        """Evaluate."""
        return await self._stub.Evaluate(request)

    async def reserve(self, request: eligibility.ReserveRequest) -> eligibility.ReserveResponse:
        """Reserve."""
        return await self._stub.Reserve(request)

    async def release(self, request: eligibility.ReleaseRequest) -> eligibility.ReleaseResponse:
        """Release."""
        return await self._stub.Release(request)


class RankingSibling:
    """The ranking service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = RankingServiceStub(channel)

    async def rank(self, request: RankRequest) -> RankResponse:
        """Rank."""
        return await self._stub.Rank(request)


class ContentSibling:
    """The content service."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub = ContentServiceStub(channel)

    async def render(self, request: RenderRequest) -> RenderResponse:
        """Render."""
        return await self._stub.Render(request)


_profiles: type[Profiles] = ProfileSibling
_ledger: type[Ledger] = ConsentSibling
_signals: type[Signals] = SignalsSibling
_eligibility: type[Eligibility] = EligibilitySibling
_ranking: type[Ranking] = RankingSibling
_content: type[Content] = ContentSibling
