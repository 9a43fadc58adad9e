"""What deciding needs from outside. Messages are the contracts' own: orchestration passes them on and records them as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from assent.consent.v1.consent_service_pb2 import EvaluateBasisRequest, EvaluateBasisResponse
from assent.content.v1.content_service_pb2 import RenderRequest, RenderResponse
from assent.eligibility.v1.eligibility_service_pb2 import (
    EvaluateRequest,
    EvaluateResponse,
    GetContactStateRequest,
    GetContactStateResponse,
    ReleaseRequest,
    ReleaseResponse,
    ReserveRequest,
    ReserveResponse,
)
from assent.events.v1.outcome_pb2 import OutcomeRecorded
from assent.orchestration.v1.record_pb2 import DecisionRecord
from assent.profile.v1.profile_service_pb2 import (
    GetViewRequest,
    GetViewResponse,
    ResolveSubjectRequest,
    ResolveSubjectResponse,
)
from assent.ranking.v1.ranking_service_pb2 import RankRequest, RankResponse
from assent.signals.v1.signals_service_pb2 import GetActiveSignalsRequest, GetActiveSignalsResponse
from catalog.model import Bundle
from servicekit.basis import Verifier
from servicekit.bundles import Active
from servicekit.clock import Clock


class Profiles(Protocol):
    """Who the subject is."""

    async def resolve(self, request: ResolveSubjectRequest) -> ResolveSubjectResponse:
        """Raises NotFound."""
        ...

    async def view(self, request: GetViewRequest) -> GetViewResponse:
        """Raises Forbidden."""
        ...


class Ledger(Protocol):
    """What is allowed."""

    async def basis(self, request: EvaluateBasisRequest) -> EvaluateBasisResponse:
        """A signed basis, read from the ledger's primary."""
        ...


class Signals(Protocol):
    """What is going on."""

    async def active(self, request: GetActiveSignalsRequest) -> GetActiveSignalsResponse:
        """Raises Forbidden."""
        ...


class Eligibility(Protocol):
    """What may be offered."""

    async def contact(self, request: GetContactStateRequest) -> GetContactStateResponse:
        """Raises Forbidden."""
        ...

    async def evaluate(self, request: EvaluateRequest) -> EvaluateResponse:
        """Pure."""
        ...

    async def reserve(self, request: ReserveRequest) -> ReserveResponse:
        """Idempotent by decision and item."""
        ...

    async def release(self, request: ReleaseRequest) -> ReleaseResponse:
        """Idempotent."""
        ...


class Ranking(Protocol):
    """What comes first."""

    async def rank(self, request: RankRequest) -> RankResponse:
        """Pure."""
        ...


class Content(Protocol):
    """What it says."""

    async def render(self, request: RenderRequest) -> RenderResponse:
        """Pure."""
        ...


class Catalog(Protocol):
    """The bundle that counts; `servicekit.bundles.Bundles` is one."""

    def active(self) -> Active[Bundle]:
        """Raises Unavailable before the first activation."""
        ...

    async def get(self, digest: str) -> Bundle:
        """Raises FailedPrecondition."""
        ...


class Snapshots(Protocol):
    """The snapshot that counts."""

    def head(self) -> int:
        """Its version; 0 while none is known, which lets ranking choose."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """Where a record stands; `duplicate`: it, or another of its id, stood there before."""

    sequence: int
    duplicate: bool


class Recorder(Protocol):
    """The stream DECISIONS."""

    async def write(self, record: bytes, *, decision_id: str, key: str, now_ms: int) -> Written:
        """Return once the stream has it. Raises Unavailable."""
        ...

    async def read(self, sequence: int) -> bytes:
        """The record at that sequence. Raises NotFound, Unavailable."""
        ...


class Outcomes(Protocol):
    """The stream OUTCOMES, and which outcomes are known."""

    async def known(self, outcome_ids: Sequence[str]) -> frozenset[str]:
        """Those that were accepted before."""
        ...

    async def publish(self, outcomes: Sequence[OutcomeRecorded]) -> Sequence[Exception | bool]:
        """For each whether it was new, or why it was not stored."""
        ...


@dataclass(frozen=True, slots=True)
class Archived:
    """A record and where it stands in the stream; of an erased subject the record is empty."""

    record: bytes
    digest: bytes
    sequence: int


class Archive(Protocol):
    """Decisions by id."""

    async def find(self, decision_ids: Sequence[str]) -> Mapping[str, Archived]:
        """Those that are archived."""
        ...


class Shelf(Archive, Protocol):
    """The archive, for those who fill it."""

    async def add(self, record: DecisionRecord, data: bytes, digest: bytes, sequence: int) -> None:
        """Keep a decision and its very bytes; a repeat changes nothing, and of a forgotten subject only the digest is kept."""
        ...

    async def forget(self, subject_id: str) -> None:
        """Make a subject's decisions unreadable, also those that are still to come. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that a decision needs."""

    profiles: Profiles
    ledger: Ledger
    signals: Signals
    eligibility: Eligibility
    ranking: Ranking
    content: Content
    catalog: Catalog
    snapshots: Snapshots
    recorder: Recorder
    verifier: Verifier
    clock: Clock
    tracking_key: bytes
