"""PostgreSQL behind the ports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from content_service import domain
from content_service.domain import Active, Killed, Life, State
from content_service.ports import Audit, Bundles
from servicekit import queries
from servicekit.errors import NotFound
from servicekit.postgres import Connection, Pool, connection, transaction

sql = queries.load("content_service")


def _life(row: Any) -> Life:
    return Life(
        digest=row["digest"],
        proposed_by=row["proposed_by"],
        changed_at_ms=row["changed_at_ms"],
        state=State(row["state"]),
        touches=frozenset(row["touches"]),
        approved_by=tuple(row["approved_by"]),
    )


def _found(value: Any) -> Any:
    if value is None:
        raise NotFound("There is no bundle of that digest", reason="UNKNOWN_BUNDLE", field="digest")
    return value


async def _note(tx: Connection, step: str, audit: Audit, *, digest: str | None = None, subject: str = "bundle") -> None:
    await sql.add_event(
        tx, digest=digest, step=step, subject=subject, by_whom=audit.by, why=audit.why, at_ms=audit.at_ms
    )


class PostgresBundles:
    """Bundles in the schema `content`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def propose(self, life: Life, document: bytes, audit: Audit) -> Life:
        """Store a new bundle; one that is stored already keeps its life."""
        async with transaction(self._pool) as tx:
            added = await sql.add_bundle(
                tx,
                digest=life.digest,
                document=document,
                state=life.state,
                touches=sorted(life.touches),
                proposed_by=life.proposed_by,
                changed_at_ms=life.changed_at_ms,
            )
            if added == "INSERT 0 1":
                await _note(tx, "propose", audit, digest=life.digest)
            return _life(await sql.life(tx, digest=life.digest))

    async def life(self, digest: str) -> Life:
        """Where a bundle is."""
        async with connection(self._pool) as reader:
            return _life(_found(await sql.life(reader, digest=digest)))

    async def document(self, digest: str) -> bytes:
        """The canonical JSON."""
        async with connection(self._pool) as reader:
            return bytes(_found(await sql.document(reader, digest=digest)))

    async def change(self, digest: str, move: Callable[[Life], Life], audit: Audit) -> Life:
        """Apply `move` to the stored life, alone."""
        async with transaction(self._pool) as tx:
            before = _life(_found(await sql.lock_life(tx, digest=digest)))
            after = move(before)
            if after != before:
                await _store(tx, after)
                await _note(tx, f"{before.state} to {after.state}", audit, digest=digest)
            return after

    async def activate(self, digest: str, audit: Audit) -> tuple[Life, Active]:
        """Retire the bundle that counts, and make this one count."""
        async with transaction(self._pool) as tx:
            life = _life(_found(await sql.lock_life(tx, digest=digest)))
            after = domain.activate(life, now_ms=audit.at_ms)
            if after == life:
                return life, await _active(tx)
            await sql.next_revision(tx, at_ms=audit.at_ms)
            await _retire(tx, audit)
            await _store(tx, after)
            await _note(tx, "activate", audit, digest=digest)
            return after, await _active(tx)

    async def kill(self, target: Killed, *, killed: bool, audit: Audit) -> Active:
        """Stop something, or let it go on."""
        async with transaction(self._pool) as tx:
            await sql.next_revision(tx, at_ms=audit.at_ms)
            change = sql.add_killed if killed else sql.remove_killed
            await change(tx, kind=target.kind, id=target.id)
            await _note(tx, "kill" if killed else "unkill", audit, subject=str(target))
            return await _active(tx)

    async def active(self) -> Active:
        """What counts now."""
        async with connection(self._pool) as reader:
            return await _active(reader)

    async def list(self, state: State | None, *, before: int, limit: int) -> Sequence[tuple[int, Life]]:
        """Bundles, newest first."""
        async with connection(self._pool) as reader:
            return [
                (row["number"], _life(row)) async for row in sql.lives(reader, state=state, below=before, at_most=limit)
            ]


async def _store(tx: Connection, life: Life) -> None:
    await sql.store_life(
        tx, digest=life.digest, state=life.state, approved_by=list(life.approved_by), changed_at_ms=life.changed_at_ms
    )


async def _retire(tx: Connection, audit: Audit) -> None:
    """Retire what counted, if anything did."""
    digest = await sql.active_digest(tx)
    if digest is not None:
        await _store(tx, domain.retire(_life(await sql.lock_life(tx, digest=digest)), now_ms=audit.at_ms))
        await _note(tx, "retire", audit, digest=digest)


async def _active(tx: Connection) -> Active:
    row = await sql.active(tx)
    return Active(row["digest"], tuple(row["killed"]), row["revision"])


_: type[Bundles] = PostgresBundles
