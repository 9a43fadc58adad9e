"""What the use cases need of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from assent.events.v1.envelope_pb2 import Envelope
from profile_service.catalogue import Plan
from profile_service.domain.fold import Row
from profile_service.domain.identity import Known, Linking, Subject
from servicekit.errors import AssentError
from servicekit.publishing import PublishAck


class Members(NamedTuple):
    """A subject that answers, and everybody it answers for, itself included; sorted."""

    survivor: str
    members: tuple[str, ...]


class Held(NamedTuple):
    """What was folded of a subject: the position of the subject that answers, and of each member.

    `rows` are those of each member that were asked for; None when none has changed since the positions that the reader has seen.
    """

    position: int
    positions: Mapping[str, int]
    rows: Mapping[str, Mapping[int, Row]] | None


class Directory(Protocol):
    """Who is whom."""

    async def find(self, identifiers: Sequence[Known]) -> Sequence[Known]:
        """The same identifiers in the same order, with the subject that answers and whether they are shared."""
        ...

    async def resolve(self, identifier: Known) -> tuple[Members | None, bool]:
        """Whom an identifier stands for, None when that is nobody, and whether it is shared."""
        ...

    async def create(self, wanted: Mapping[Known, str], *, now_us: int) -> None:
        """Give unknown identifiers new subjects of these ids; whoever was first wins."""
        ...

    async def subjects(self, identifiers: Sequence[Known]) -> Sequence[Subject]:
        """The subjects that these identifiers point to, with the strong identifiers of all their members."""
        ...

    async def members(self, subject: str) -> Members | None:
        """Whom this id stands for; None for an unknown or erased one."""
        ...

    async def link(self, linking: Linking, seen: Sequence[Known], survivor: str, note: Note) -> None:
        """Apply a decision if nothing it rests on has changed since it was taken; Conflict otherwise. Facts leave by the outbox."""
        ...

    async def mark_shared(self, identifier: Known) -> None:
        """From now on this identifier belongs to several people and links nobody."""
        ...

    async def erase(self, subject: str, *, request_id: str, now_us: int) -> int:
        """Remove everything about the subject and its members; how many rows went. A repeat returns the first answer."""
        ...


@dataclass(frozen=True, slots=True)
class Note:
    """How a link is known, by whose request, and when."""

    request_id: str
    evidence: str
    now_us: int


class Journal(Protocol):
    """Which events have been folded."""

    async def known(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the keys that were folded before."""
        ...


class Profiles(Protocol):
    """What was folded."""

    async def held(
        self, subject: str, first_segment: int, last_segment: int, *, seen: Mapping[str, int] | None = None
    ) -> Held | None:
        """The registers and the segments of the subject and its members; None for an unknown subject.

        `seen` are the positions of its members in an earlier answer for the same segments.
        """
        ...


class Publisher(Protocol):
    """Publishes facts; `servicekit.nats.Bus` is one."""

    async def publish_many(self, facts: Sequence[tuple[str, Envelope]]) -> Sequence[PublishAck | AssentError]:
        """Publish in order, pipelined; for each fact its acknowledgement or why there is none."""
        ...


class Ledger(Protocol):
    """The consent service, as far as a merge needs it."""

    async def link(self, survivor: str, absorbed: str, *, request_id: str, evidence: str) -> None:
        """The ledger answers for both as one from now on; FailedPrecondition when it refuses."""
        ...


class Catalog(Protocol):
    """Plans by bundle."""

    async def plan(self, digest: str) -> Plan:
        """The plan of that bundle, of the active one for ""; FailedPrecondition or Unavailable without it."""
        ...
