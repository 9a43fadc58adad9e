"""The ledger as everybody reads it, on its primary. No replica and no memory answers for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consent_service import codec
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.entries import Entry
from consent_service.domain.words import Status
from consent_service.keys import SubjectKeys
from consent_service.ports import Ledger, NoticeBytes, Published, Snapshot
from consent_service.storage.rows import (
    Row,
    bare_head,
    entry_of,
    head_of,
    needs_key,
    notice_of,
    primary,
    published_of,
    sql,
    unavailable,
)
from servicekit import postgres
from servicekit.errors import FailedPrecondition, Unavailable


class PostgresLedger:
    """The ledger through a pool of readers. `keys` opens private bodies; without them what needs one is KEYS_UNAVAILABLE."""

    def __init__(self, pool: postgres.Pool, ledger: str, keys: SubjectKeys | None = None) -> None:
        self._pool = pool
        self._ledger = ledger
        self._keys = keys
        self._epoch = 0

    async def require_own(self) -> None:
        """Raise FailedPrecondition LEDGER_OTHER when the database holds another ledger."""
        async with primary(), postgres.connection(self._pool) as connection:
            row = await sql.head(connection)
        if row is not None and bare_head(row).ledger != self._ledger:
            raise FailedPrecondition("This database holds another ledger.", reason="LEDGER_OTHER")

    async def read(self, subject: str, *, epoch: int = 0) -> Snapshot:
        """One snapshot; a primary that has been left behind is not believed."""
        async with primary(), postgres.connection(self._pool) as connection:
            row = await sql.read_subject(connection, subject_id=subject, epoch=epoch)
        if row is None or row["standby"] or row["epoch"] < self._epoch:
            raise unavailable()
        if row["known"] and row["members"] is None:
            raise unavailable()  # a subject points to nobody: never the same as having said nothing
        self._epoch = row["epoch"]
        known = row["known"]
        return Snapshot(
            head=head_of(row),
            members=frozenset(row["members"]) if known else frozenset({subject}),
            statements=codec.read_statements(row["statements"]) if known else (),
            next_start=row["next_start"],
            status=Status(row["status"]) if known else Status.LIVE,
            subject=row["root"] if known else subject,
        )

    async def registry_at(self, index: int) -> Published:
        """By index."""
        async with primary(), postgres.connection(self._pool) as connection:
            row = await sql.registry_at(connection, idx=index)
        if row is None:
            raise unavailable()
        return published_of(row)

    async def registry(self, digest: str = "") -> Published | None:
        """By digest."""
        async with primary(), postgres.connection(self._pool) as connection:
            row = await sql.registry_latest(connection, digest=digest)
        return published_of(row) if row else None

    async def registry_known_at(self, recorded_us: int, *, size: int) -> int | None:
        """By time."""
        async with primary(), postgres.connection(self._pool) as connection:
            found: int | None = await sql.registry_known_at(connection, recorded_us=recorded_us, size=size)
            return found

    async def recorded_at(self, index: int) -> int | None:
        """By index."""
        async with primary(), postgres.connection(self._pool) as connection:
            found: int | None = await sql.recorded_at(connection, idx=index)
            return found

    async def notice(self, ref: NoticeRef) -> NoticeBytes | None:
        """By id, version and locale."""
        async with primary(), postgres.connection(self._pool) as connection:
            return notice_of(await sql.notice_bytes(connection, id=ref.id, version=ref.version, locale=ref.locale))

    async def checkpointed(self) -> int:
        """The newest checkpoint's size."""
        async with primary(), postgres.connection(self._pool) as connection:
            found: int = await sql.checkpointed(connection)
            return found

    async def history(self, subject: str, *, size: int, known_us: int, as_of_us: int) -> Sequence[Entry]:
        """In index order."""
        async with primary(), postgres.connection(self._pool) as connection:
            rows = await sql.history(connection, subject_id=subject, size=size, known_us=known_us, as_of_us=as_of_us)
        return await self._entries(subject, rows, whole=False)

    async def page(self, subject: str, *, after: int, size: int, amount: int, whole: bool) -> Sequence[Entry]:
        """In index order."""
        async with primary(), postgres.connection(self._pool) as connection:
            rows = await sql.page(connection, subject_id=subject, after=after, size=size, amount=amount)
        return await self._entries(subject, rows, whole=whole)

    async def _entries(self, subject: str, rows: Sequence[Row], *, whole: bool) -> list[Entry]:
        """The subject's key is asked for when a private body is needed, and kept by nobody."""
        wanted = any(needs_key(row, whole=whole) for row in rows)
        keys = await self._key(subject) if wanted else {}
        ledger, key = bytes.fromhex(self._ledger), keys.get(subject)
        if wanted and key is None:
            return []  # it was destroyed just now, and the rows go with it
        return [entry_of(row, ledger, key if needs_key(row, whole=whole) else None) for row in rows]

    async def _key(self, subject: str) -> Mapping[str, SubjectKey]:
        if self._keys is None:
            raise Unavailable("The keys are not configured.", reason="KEYS_UNAVAILABLE")
        return (await self._keys.get([subject])).live


_: type[Ledger] = PostgresLedger
