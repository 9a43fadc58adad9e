"""What the writer asks of the log's storage: sessions, of which one leads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from consent_service.batching import Recalled
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.entries import Head
from consent_service.ports import Publications
from consent_service.results import Stored
from consent_service.sealing_batch import Batch
from tlog import CompactRange, TileId


@dataclass(frozen=True, slots=True)
class End:
    """The end of the log as it is stored."""

    head: Head
    tree: CompactRange
    tiles: Mapping[TileId, bytes]


class Session(Publications, Protocol):
    """One session with the database. Its methods raise Unavailable when it is lost.

    What was stored may be read while the next batch is being stored.
    """

    async def lead(self) -> bool:
        """Become the one writer for as long as the session lasts; False while another session is."""
        ...

    async def end(self) -> End | None:
        """Where the log ends; None when there is no ledger yet."""
        ...

    async def take_over(self, writer: str, now_us: int) -> End:
        """Raise the epoch."""
        ...

    async def recall(
        self,
        requests: Collection[str],
        subjects: Collection[str],
        entries: Collection[int] = (),
        notices: Collection[NoticeRef] = (),
    ) -> Recalled:
        """What is known of these."""
        ...

    async def registry_before(self, index: int) -> int | None:
        """The index of the registry that was in force before this entry."""
        ...

    async def stored(self, indices: Sequence[int], keys_of: KeysOf) -> dict[int, Stored]:
        """Entries, and what a receipt shows of them."""
        ...

    async def store(self, batch: Batch, at: Callable[[str], None]) -> bool:
        """Store a batch in one transaction, and say which step is `at`; False when the head has moved, and nothing is stored."""
        ...


class KeysOf(Protocol):
    """The keys of some subjects."""

    async def __call__(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        """By subject."""
        ...


class Log(Protocol):
    """Where sessions begin."""

    def session(self) -> AbstractAsyncContextManager[Session]:
        """A session; lost or left, it leads no longer."""
        ...
