"""Entries, checkpoints and words in PostgreSQL as auditors read them: a role that may read will do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from consent_service.auditing.openings import Stored
from consent_service.auditing.proofs import SignedRoot
from consent_service.auditing.tree_store import sql
from consent_service.domain.commitments import Sealed
from consent_service.domain.export import NoticeLine
from consent_service.domain.shapes import NoticeKey
from servicekit import postgres
from servicekit.errors import Unavailable

CHUNK: Final = 512


@dataclass(frozen=True, slots=True)
class Picked:
    """What a filtered export lets through; None lets everything through. A purpose brings its subtree."""

    classes: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    actor: str | None = None
    notice: str | None = None
    purpose: str | None = None
    regime: str | None = None
    effective: bool | None = None
    event_from: int | None = None
    event_to: int | None = None
    ends_from: int | None = None
    ends_to: int | None = None

    @property
    def everything(self) -> bool:
        """Whether it is no filter at all."""
        return self == Picked()


class LogEnd(NamedTuple):
    """The head of the log."""

    ledger: str
    size: int
    root: bytes
    recorded_us: int


class Last(NamedTuple):
    """Where a subject's chain stood."""

    seq: int
    leaf: bytes


class EntryStore(Protocol):
    """Where entries are. Raises Unavailable while the database does not answer."""

    async def end(self) -> LogEnd:
        """The head."""
        ...

    async def at(self, indices: Collection[int]) -> Sequence[Stored]:
        """Entries by index."""
        ...

    async def of(self, subject: str, size: int) -> Sequence[Stored]:
        """A subject's entries among the first `size`."""
        ...

    def between(self, first: int, last: int, picked: Picked | None = None) -> AsyncIterator[Sequence[Stored]]:
        """Entries in order, by and by; with a filter those that it lets through."""
        ...

    async def chains_before(self, subjects: Collection[str], first: int) -> Mapping[str, Last]:
        """The last entry of each subject before an index."""
        ...

    async def checkpoints(self, first: int, last: int) -> Sequence[SignedRoot]:
        """Those of these sizes."""
        ...

    async def words(self, keys: Collection[NoticeKey]) -> Sequence[NoticeLine]:
        """The exact words of notices."""
        ...

    async def registries(self) -> Sequence[tuple[int, int]]:
        """Index and time of each published registry."""
        ...


class PostgresEntries:
    """Through a pool of readers."""

    def __init__(self, pool: postgres.Pool, chunk: int = CHUNK) -> None:
        self._pool = pool
        self._chunk = chunk

    async def end(self) -> LogEnd:
        """One row."""
        async with postgres.connection(self._pool) as connection:
            row = await sql.head_of_log(connection)
        if row is None:
            raise Unavailable("There is no ledger yet.", reason="CONSENT_UNAVAILABLE")
        return LogEnd(row["ledger_id"], row["size"], row["root"], row["recorded_us"])

    async def at(self, indices: Collection[int]) -> Sequence[Stored]:
        """By the primary key."""
        async with postgres.connection(self._pool) as connection:
            return _stored(await sql.rows_at(connection, indices=list(indices)))

    async def of(self, subject: str, size: int) -> Sequence[Stored]:
        """By subject."""
        async with postgres.connection(self._pool) as connection:
            return _stored(await sql.rows_of(connection, subject_id=subject, size=size))

    async def between(self, first: int, last: int, picked: Picked | None = None) -> AsyncIterator[Sequence[Stored]]:
        """By chunks, each from a statement of its own, so that a slow reader keeps no connection."""
        while first < last:
            if picked is None or picked.everything:
                end = min(first + self._chunk, last)
                rows = await self._rows(first, end)
                first = end
            else:
                rows = await self._picked(first, last, picked)
                first = rows[-1].index + 1 if len(rows) == self._chunk else last
            if rows:
                yield rows

    async def _rows(self, first: int, last: int) -> Sequence[Stored]:
        async with postgres.connection(self._pool) as connection:
            return _stored(await sql.rows_between(connection, first=first, last=last))

    async def _picked(self, first: int, last: int, picked: Picked) -> Sequence[Stored]:
        async with postgres.connection(self._pool) as connection:
            rows = await sql.rows_picked(
                connection,
                first=first,
                last=last,
                amount=self._chunk,
                classes=list(picked.classes) if picked.classes is not None else None,
                kinds=list(picked.kinds) if picked.kinds is not None else None,
                actor=picked.actor,
                notice=picked.notice,
                purpose=picked.purpose,
                regime=picked.regime,
                effective=picked.effective,
                event_from=picked.event_from,
                event_to=picked.event_to,
                ends_from=picked.ends_from,
                ends_to=picked.ends_to,
            )
        return _stored(rows)

    async def chains_before(self, subjects: Collection[str], first: int) -> Mapping[str, Last]:
        """One statement."""
        async with postgres.connection(self._pool) as connection:
            rows = await sql.chains_before(connection, subjects=list(subjects), first=first)
        return {row["subject_id"]: Last(row["subject_seq"], row["leaf"]) for row in rows}

    async def checkpoints(self, first: int, last: int) -> Sequence[SignedRoot]:
        """By the primary key."""
        async with postgres.connection(self._pool) as connection:
            rows = await sql.checkpoints_between(connection, first=first, last=last)
        return [SignedRoot(row["size"], row["root"], row["note"], row["published_us"]) for row in rows]

    async def words(self, keys: Collection[NoticeKey]) -> Sequence[NoticeLine]:
        """One statement."""
        ids, versions, locales = (list(part) for part in zip(*keys, strict=True)) if keys else ([], [], [])
        async with postgres.connection(self._pool) as connection:
            rows = await sql.words_of(connection, ids=ids, versions=versions, locales=locales)
        return [NoticeLine(row["id"], row["version"], row["locale"], row["bytes"]) for row in rows]

    async def registries(self) -> Sequence[tuple[int, int]]:
        """There are few."""
        async with postgres.connection(self._pool) as connection:
            return [(row["idx"], row["recorded_us"]) for row in await sql.registry_indices(connection)]


def _stored(rows: Iterable[Mapping[str, Any]]) -> list[Stored]:
    return [_one(row) for row in rows]


def _one(row: Mapping[str, Any]) -> Stored:
    if row["pub"] is None:
        return Stored(row["idx"], row["leaf"])
    sealed = Sealed(row["nonce"], row["sealed"]) if row["sealed"] is not None else None
    return Stored(
        index=row["idx"],
        leaf=row["leaf"],
        kind=row["kind"],
        event_id=row["event_id"],
        subject=row["subject_id"],
        seq=row["subject_seq"] or 0,
        pub=row["pub"].encode(),
        sealed=sealed,
    )


_: type[EntryStore] = PostgresEntries
