"""What access and erasure need of the world, beside the ledger, its writer and its keys."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from consent_service.domain.commitments import Sealed
from consent_service.rights.cases import Case


class Cases(Protocol):
    """Where cases are kept. Every method raises Unavailable CONSENT_UNAVAILABLE when the primary does not answer."""

    async def open(self, case: Case) -> Case:
        """Keep a new case; or return the open one that covers one of its subjects."""
        ...

    async def get(self, case_id: str) -> Case:
        """The case; raises NotFound UNKNOWN_CASE."""
        ...

    async def due(self, now_us: int) -> Sequence[str]:
        """Cases in which there is something to do."""
        ...

    async def change(self, before: Case, after: Case) -> Case:
        """Keep what became of a case; raises Conflict when it is not what it was before."""
        ...

    async def hand_out(self, export_id: str, subject: str, at_us: int, by: str) -> None:
        """Note that a copy of a person's data is handed out."""
        ...


class Eraser(Protocol):
    """Deletes what is said about subjects whose keys are dead. Repeating it changes nothing."""

    async def forget(self, subjects: Collection[str], case_id: str = "") -> None:
        """Delete bodies, empty states to tombstones, take the subjects' ids away elsewhere; a case gets the account."""
        ...

    async def finish(self, case: Case) -> bool:
        """Once the stream knows of the erasures, forget which entries made the tombstones, and whom the case was about; else False."""
        ...

    async def erased(self, *, after: str = "", most: int = 1000) -> Sequence[str]:
        """Subjects of whom only a tombstone is left, in order of their ids: a page."""
        ...

    async def forget_leftovers(self) -> int:
        """Take away what decisions that were folded later said of erased subjects; how many did."""
        ...


@dataclass(frozen=True, slots=True)
class Own:
    """One of a subject's entries as it is stored, with its leaf."""

    index: int
    epoch: int
    event_id: bytes
    recorded_us: int
    pub: bytes
    leaf: bytes
    sealed: Sealed | None = None
    request_entries: int | None = None


class Records(Protocol):
    """A subject's entries as they are stored."""

    async def page(self, subject: str, *, after: int, size: int, most: int) -> Sequence[Own]:
        """In index order, those with an index above `after` among the first `size` of the ledger."""
        ...
