"""What the handlers and the fold need from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from assent.events.v1.envelope_pb2 import Envelope
from automaton import Ended, Program
from catalog.model import Bundle
from servicekit.basis import Basis, SignedBasis
from servicekit.bundles import Active
from signals_service.domain.events import Vocabulary
from signals_service.domain.showing import StoredSignal


@dataclass(frozen=True, slots=True)
class Definitions:
    """A bundle as this service uses it."""

    bundle: Bundle
    program: Program
    words: Vocabulary


class Catalog(Protocol):
    """The active bundle."""

    def active(self) -> Active[Definitions]:
        """What counts now. Raises Unavailable before the first activation."""
        ...


class Subjects(Protocol):
    """Whose a visitor is."""

    async def resolve(self, visitor: str) -> str:
        """The subject of this visitor; an unknown one gets a new subject. Raises Unavailable."""
        ...


class Consent(Protocol):
    """The ledger."""

    async def evaluate(self, subject: str, channel: str, *, ttl_ms: int) -> SignedBasis:
        """A basis of now. Raises Unavailable."""
        ...


class Bases(Protocol):
    """Bases that still hold."""

    async def of(self, subject: str, channel: str) -> Basis:
        """The basis of a subject on a channel; asked for when none is known. Raises Unavailable."""
        ...

    def invalidate(self, subject: str) -> None:
        """Something about this subject changed."""
        ...


class Position(NamedTuple):
    """A place in a partition of SESSION_EVENTS."""

    partition: int
    sequence: int


class Events(Protocol):
    """The stream SESSION_EVENTS."""

    async def publish(self, envelope: Envelope) -> Position:
        """Return once it is stored; raises Unavailable otherwise. A repeat of an event id is stored once."""
        ...

    async def refuse(self, position: Position, seq: int, reason: str, names: Sequence[str], now_ms: int) -> None:
        """Leave a dead letter for a refused event: reason and names, never values."""
        ...

    async def tick(self, partition: int, envelope: Envelope) -> None:
        """Append the time to a partition; raises Unavailable."""
        ...

    async def behind_ms(self, position: Position, now_ms: int) -> int:
        """How long the first message behind the position has waited; 0 when there is none."""
        ...


class Live(Protocol):
    """Core NATS."""

    async def say(self, subject: str, envelope: Envelope) -> None:
        """Tell whoever listens, at once and without a promise."""
        ...


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A live session."""

    session: str
    pp: int
    visitor: str
    subject: str
    channel: str


@dataclass(frozen=True, slots=True)
class Running:
    """A signal that has not expired, as far as a withdrawal needs to know it."""

    id: str
    purpose: str
    categories: frozenset[str]
    channel: str


@dataclass(frozen=True, slots=True)
class SessionState:
    """A session with its state as bytes."""

    row: SessionRow
    state: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of the fold changes in a partition, all or nothing. `removed` sessions are over, `erased` ones never were."""

    pp: int
    epoch: int
    position: int
    stream_ms: int
    now_ms: int
    saved: Sequence[SessionState]
    removed: Sequence[str]
    erased: Sequence[str]
    detected: Sequence[NewSignal]
    ended: Sequence[Ended]


@dataclass(frozen=True, slots=True)
class NewSignal:
    """A detection to store."""

    signal: StoredSignal
    pp: int
    channel: str
    shadow: bool
    known_at: int


class States(Protocol):
    """The fold's store."""

    async def position(self, pp: int) -> int:
        """The stream sequence that the partition stands at."""
        ...

    async def sessions(self, pp: int) -> list[SessionState]:
        """Every live session of the partition."""
        ...

    async def commit(self, step: Step) -> frozenset[str]:
        """One transaction; the ids of detections that are new. Raises Fenced when a newer owner has committed."""
        ...

    async def say_owned(self, held: Mapping[int, int]) -> None:
        """The owner of these partitions (and epochs) is alive."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a partition stands, and for how long its owner was not heard."""

    position: int
    silent_ms: int


@dataclass(frozen=True, slots=True)
class Looked:
    """Active signals, and where the partitions stand that they may come from."""

    signals: list[StoredSignal]
    progress: Mapping[int, Progress]


class Everything(NamedTuple):
    """How many partitions are owned at all, and the longest silence among them."""

    partitions: int
    silent_ms: int


class Signals(Protocol):
    """The signals that are stored."""

    async def look(self, subjects: Sequence[str], session: str, partitions: Sequence[int], now_ms: int) -> Looked:
        """Signals that are active and may be returned (session empty: of all sessions), and how far their fold has come."""
        ...

    async def everything(self) -> Everything:
        """All partitions together; never better than they are."""
        ...

    async def running(self, subjects: Sequence[str], now_ms: int) -> list[Running]:
        """Everything that has not expired, hidden or not."""
        ...

    async def end(self, ids: Sequence[str], at_ms: int, reason: str) -> None:
        """End these unless they are over, and publish it."""
        ...

    async def sessions_of(self, subjects: Sequence[str]) -> list[SessionRow]:
        """Live sessions of subjects."""
        ...

    async def channels_of(self, subject: str) -> list[str]:
        """Channels on which a subject has a session or a signal."""
        ...

    async def subject_of(self, session: str) -> str | None:
        """Whose a session is."""
        ...

    async def progress(self, partitions: Sequence[int]) -> Mapping[int, Progress]:
        """Where these partitions stand; one that was never owned is absent."""
        ...

    async def forgotten_before(self, request_id: str) -> int | None:
        """The answer to a request that was obeyed before."""
        ...

    async def forget(self, request_id: str, subject: str) -> int:
        """Delete what is about a subject; the number of rows. Idempotent by request_id."""
        ...
