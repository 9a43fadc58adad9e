"""What the handlers need from outside: roles, not technologies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from ranking_service.domain.learning import Decision, ItemOutcome
from ranking_service.domain.snapshot import Snapshot
from ranking_service.domain.specification import Specification


@dataclass(frozen=True, slots=True)
class Position:
    """How far a partition of a stream is folded once a batch is stored, and under which lease."""

    stream: str
    partition: int
    sequence: int
    epoch: int


class Forgotten(NamedTuple):
    """What a request to forget did."""

    rows_removed: int
    snapshot_version: int


class Learner(Protocol):
    """The learner's ledger. Every write is one transaction and may be repeated."""

    async def position(self, stream: str, partition: int) -> int:
        """The last folded sequence; 0 before the first."""
        ...

    async def learn_decisions(self, decisions: Sequence[Decision], at: Position | None, now_ms: int) -> None:
        """Keep what may be learned of these decisions. Raises Conflict FENCED when the lease or the position is old."""
        ...

    async def learn_outcomes(self, outcomes: Sequence[ItemOutcome], at: Position | None, now_ms: int) -> None:
        """Learn from these outcomes, or park them until their decision arrives. Raises as `learn_decisions`."""
        ...

    async def channels(self, subject_id: str) -> Sequence[str]:
        """Where something is known of a subject."""
        ...

    async def unlearn(self, subject_id: str, channels: Sequence[str], *, ledger_index: int, now_ms: int) -> int:
        """Take back what was learned on these channels, and whatever still arrives resting on an older index; rows removed."""
        ...

    async def forget(self, subject_id: str, *, ledger_index: int, now_ms: int) -> int:
        """Take back everything up to now, or resting on an older index; rows removed."""
        ...

    async def forgotten(self, request: str) -> Forgotten | None:
        """What an earlier request to forget did."""
        ...

    async def remember_forgotten(self, request: str, forgotten: Forgotten) -> None:
        """Keep the answer of a request to forget."""
        ...

    async def tidy(self, before_ms: int) -> None:
        """Drop outcomes whose decision never came, and tombstones that nothing can reach any more."""
        ...


class SnapshotStore(Protocol):
    """Every version of the snapshot."""

    async def build(self, now_ms: int, *, force: bool = False) -> Snapshot | None:
        """Add up what was learned; the new version when one is due. One builder at a time: None while another is at work."""
        ...

    async def get(self, version: int) -> Snapshot | None:
        """One version; 0 is the newest."""
        ...

    async def unpublished(self) -> Sequence[Snapshot]:
        """Versions that the replicas may not have, oldest first."""
        ...

    async def mark_published(self, version: int) -> None:
        """The replicas can have it."""
        ...


class Publication(Protocol):
    """Where replicas find snapshots."""

    async def publish(self, snapshot: Snapshot) -> None:
        """Let replicas load it, then move head to it unless head is newer. Idempotent."""
        ...


class Snapshots(Protocol):
    """The snapshots of this replica."""

    def head(self) -> Snapshot:
        """The newest. Raises FailedPrecondition SNAPSHOT_UNAVAILABLE before the first."""
        ...

    async def get(self, version: int) -> Snapshot:
        """That version, loaded when it is not in memory. Raises FailedPrecondition SNAPSHOT_UNAVAILABLE."""
        ...


class Specifications(Protocol):
    """What ranking needs of each bundle."""

    async def get(self, digest: str) -> Specification:
        """Of that bundle. Raises FailedPrecondition BUNDLE_UNKNOWN."""
        ...


class Consent(Protocol):
    """The consent ledger."""

    async def may_learn(self, subject_id: str, channels: Sequence[str]) -> Mapping[str, bool]:
        """Whether learning is allowed now, by channel. Raises Unavailable."""
        ...
