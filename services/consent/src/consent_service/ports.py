"""What the handlers need of the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from consent_service.domain.choices import NoticeRef
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import Statements
from consent_service.domain.position import Position
from consent_service.domain.words import Status

if TYPE_CHECKING:
    from consent_service.commands import Command


@dataclass(frozen=True, slots=True)
class Request:
    """What makes a write idempotent: its id, and a hash of everything it asks for."""

    id: str
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """One entry of a result; `leaf_hash` is that of the log."""

    index: int
    kind: str
    effective: bool
    reason: str = ""
    leaf_hash: bytes = b""


class Opened(NamedTuple):
    """What a receipt shows of an entry: its leaf, its public body, and the salt that opens the commitment to it (none for an open body)."""

    leaf: bytes
    pub: bytes
    salt: bytes = b""


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
    opened: tuple[Opened, ...] = ()


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


class Writer(Protocol):
    """Who appends: the ledger's one writer, or whoever asks it."""

    async def append(self, command: Command) -> Result:
        """Append what the command says, or nothing; returns once it is stored.

        Raises why it is turned away, Exhausted OVERLOADED, Unavailable NO_WRITER, KEYS_UNAVAILABLE or, when it is not known whether
        it was stored, CONSENT_UNAVAILABLE: the same request again gives the answer.
        """
        ...


class Confirmations(Protocol):
    """Who has seen every head that was signed."""

    async def confirm(self, size: int, root: bytes, epoch: int) -> None:
        """Return when a writer of this epoch may append to this head; raises FailedPrecondition FORK, Unavailable NO_SIGNER."""
        ...


class Ledger(Publications, Protocol):
    """The ledger. Every method raises Unavailable CONSENT_UNAVAILABLE when the primary does not answer."""

    async def read(self, subject: str, *, epoch: int = 0) -> Snapshot:
        """One snapshot; `next_start` is where the first epoch after `epoch` began."""
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

    async def page(self, subject: str, *, after: int, size: int, amount: int, whole: bool) -> Sequence[Entry]:
        """At most `amount` of the subject's entries in order: the first `size` of the ledger, with an index above `after`.

        Unless they are `whole`, of evidence and actor there is only the actor's type.
        """
        ...

    async def checkpointed(self) -> int:
        """How many entries the newest checkpoint covers."""
        ...
