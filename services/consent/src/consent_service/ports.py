"""What the handlers need of the world."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from consent_service.domain.choices import NoticeRef
from consent_service.domain.entries import Entry, Head, Lineage, Write
from consent_service.domain.fold import Statements
from consent_service.domain.position import Position
from consent_service.domain.words import Status


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a write idempotent: its id, and a hash of everything it asks for."""

    id: str
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """One entry of a result."""

    index: int
    kind: str
    effective: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What a write did. `denied` and what follows is added by denials, publications, signals and links."""

    position: Position
    recorded_us: int
    entries: tuple[Written, ...] = ()
    subject: str = ""
    denied: tuple[str, ...] = ()
    digest: str = ""
    display_status: str = ""
    carried: Statements = ()
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class NoticeBytes:
    """A notice's exact bytes; `ref` has their hash."""

    ref: NoticeRef
    bytes: bytes


@dataclass(frozen=True, slots=True)
class Published:
    """A registry document as it was published."""

    index: int
    epoch: int
    digest: str
    document: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one write stores together."""

    request: Request
    result: Result
    write: Write
    registry: Published | None = None
    notices: tuple[NoticeBytes, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of the primary: the head, and the state that answers for a subject, which is `subject`'s."""

    head: Head
    members: frozenset[str]
    statements: Statements
    next_start: int | None
    status: Status = Status.LIVE
    subject: str = ""


class Publications(Protocol):
    """Where published registries and notices are."""

    async def registry_at(self, index: int) -> Published:
        """The registry whose entry has this index."""
        ...

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        """A notice's bytes, by id, version and locale."""
        ...


class Writing(Publications, Protocol):
    """A write in progress: nobody else writes until it ends. It reads on its own, so that it never waits for a connection."""

    @property
    def head(self) -> Head:
        """The head, which stays until `commit`."""
        ...

    async def first_result(self, request_id: str) -> tuple[bytes, Result] | None:
        """Content hash and result of an earlier write with this id."""
        ...

    async def lineage(self, subject: str) -> Lineage:
        """The subject's state and those of the subjects above it; an empty state for one nobody knows."""
        ...

    async def entry(self, index: int) -> Entry | None:
        """One entry."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Store it all, and announce it; it counts once the write is left without an error."""
        ...


class Ledger(Publications, Protocol):
    """The ledger. Every method raises Unavailable CONSENT_UNAVAILABLE when the primary does not answer."""

    async def read(self, subject: str, *, epoch: int = 0) -> Snapshot:
        """One snapshot; `next_start` is where the first epoch after `epoch` began."""
        ...

    def writing(self) -> AbstractAsyncContextManager[Writing]:
        """Begin a write."""
        ...

    async def registry(self, digest: str = "") -> Published | None:
        """The latest registry, or the latest of a digest."""
        ...

    async def registry_known_at(self, recorded_us: int, *, size: int) -> int | None:
        """The index of the registry in force at a time of the ledger, among its first `size` entries."""
        ...

    async def recorded_at(self, index: int) -> int | None:
        """When the entry with this index was recorded; None when there is none."""
        ...

    async def history(self, subject: str, *, size: int, known_us: int, as_of_us: int) -> Sequence[Entry]:
        """The subject's entries in order: the first `size` of the ledger, recorded and happened no later than these times."""
        ...

    async def page(self, subject: str, *, after: int, size: int, amount: int) -> Sequence[Entry]:
        """At most `amount` of the subject's entries in order: the first `size` of the ledger, with an index above `after`."""
        ...
