"""PostgreSQL behind the ports: who is whom, and what was folded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.profile_pb2 import SubjectsLinked
from profile_service.domain import identity
from profile_service.domain.fold import Row
from profile_service.domain.identity import STRONG, Known, Linking, Subject
from profile_service.ports import Directory, Held, Journal, Members, Note, Profiles
from servicekit import outbox, queries
from servicekit.errors import Conflict
from servicekit.partitions import partition_of
from servicekit.postgres import Connection, Pool, connection, transaction
from servicekit.streams import subject as stream_subject

sql = queries.load("profile_service")


class PostgresDirectory:
    """Who is whom."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, identifiers: Sequence[Known]) -> Sequence[Known]:
        """The same identifiers in the same order, with the subject that answers and whether they are shared."""
        async with connection(self._pool) as tx:
            return await _find(tx, identifiers)

    async def resolve(self, identifier: Known) -> tuple[Members | None, bool]:
        """Whom an identifier stands for, None when that is nobody, and whether it is shared."""
        async with connection(self._pool) as tx:
            if identifier.type == "subject_id":
                rows = await sql.members(tx, subject_id=identifier.digest.decode())
                return _members(rows) if rows else None, False
            rows = await sql.resolve(tx, kind=identifier.type, digest=identifier.digest)
        return (_members(rows), rows[0]["shared"]) if rows else (None, False)

    async def create(self, wanted: Mapping[Known, str], *, now_us: int) -> None:
        """Give unknown identifiers new subjects of these ids; whoever was first wins."""
        async with transaction(self._pool) as tx:
            await _add(tx, wanted, now_us=now_us)

    async def subjects(self, identifiers: Sequence[Known]) -> Sequence[Subject]:
        """The subjects that these identifiers point to, with the strong identifiers of all their members."""
        async with connection(self._pool) as tx:
            return await _subjects(tx, identifiers)

    async def members(self, subject: str) -> Members | None:
        """Whom this id stands for; None for an unknown or erased one."""
        async with connection(self._pool) as tx:
            rows = await sql.members(tx, subject_id=subject)
        return _members(rows) if rows else None

    async def link(self, linking: Linking, seen: Sequence[Known], survivor: str, note: Note) -> None:
        """Apply a decision if nothing it rests on has changed since it was taken; Conflict otherwise."""
        async with transaction(self._pool) as tx:
            await sql.lock_links(tx)
            if list(await _find(tx, seen)) != list(seen) or identity.link(seen, await _subjects(tx, seen)) != linking:
                raise Conflict("The identifiers were linked meanwhile.", reason="LINKED_MEANWHILE")
            if linking.survivor is None:
                await _add_subjects(tx, [survivor], now_us=note.now_us)
            await _attach(tx, linking.attach, survivor)
            for absorbed in linking.absorbed:
                await _absorb(tx, absorbed, survivor, note)

    async def mark_shared(self, identifier: Known) -> None:
        """From now on this identifier belongs to several people and links nobody."""
        async with connection(self._pool) as tx:
            await sql.mark_shared(tx, kind=identifier.type, digest=identifier.digest)

    async def erase(self, subject: str, *, request_id: str, now_us: int) -> int:
        """Remove everything about the subject and its members, while nobody folds for them."""
        async with transaction(self._pool) as tx:
            await sql.lock_links(tx)
            done = await sql.erased(tx, subject_id=subject)
            if done:
                return int(done["rows_removed"])
            found = await sql.members(tx, subject_id=subject)
            ids = list(_members(found).members) if found else [subject]
            partitions = sorted({partition_of(one) for one in ids})
            _ = [row async for row in sql.lock_partitions(tx, partitions=partitions)]
            removed = int(await sql.remove_all(tx, ids=ids))
            await sql.bury(tx, ids=ids, request_id=request_id, rows_removed=removed, now_us=now_us)
            return removed


async def _find(tx: Connection, identifiers: Sequence[Known]) -> Sequence[Known]:
    found = [replace(one, subject=None, shared=False) for one in identifiers]
    hashed = [place for place, one in enumerate(identifiers) if one.type != "subject_id"]
    ours = [place for place, one in enumerate(identifiers) if one.type == "subject_id"]
    if hashed:
        kinds, digests = [identifiers[place].type for place in hashed], [identifiers[place].digest for place in hashed]
        async for row in sql.find_identifiers(tx, kinds=kinds, digests=digests):
            place = hashed[row["place"] - 1]
            found[place] = replace(found[place], subject=row["subject_id"], shared=row["shared"])
    if ours:
        async for row in sql.find_subjects(tx, ids=[identifiers[place].digest.decode() for place in ours]):
            place = ours[row["place"] - 1]
            found[place] = replace(found[place], subject=row["subject_id"])
    return found


async def _subjects(tx: Connection, identifiers: Sequence[Known]) -> Sequence[Subject]:
    ids = sorted({known.subject for known in identifiers if known.subject})
    return [
        Subject(row["subject_id"], row["created_at_us"], frozenset(row["strong"]))
        async for row in sql.surviving(tx, ids=ids)
    ]


async def _add_subjects(tx: Connection, ids: Sequence[str], *, now_us: int) -> None:
    await sql.add_subjects(tx, ids=ids, partitions=[partition_of(one) for one in ids], now_us=now_us)


async def _add(tx: Connection, wanted: Mapping[Known, str], *, now_us: int) -> None:
    await _add_subjects(tx, list(wanted.values()), now_us=now_us)
    added = {row["subject_id"] async for row in _adding(tx, wanted)}
    late = [subject for subject in wanted.values() if subject not in added]
    if late:
        await sql.remove_subjects(tx, ids=late)


def _adding(tx: Connection, wanted: Mapping[Known, str]):  # type: ignore[no-untyped-def]  # noqa: ANN202  # aiosql's iterator
    kinds, digests = [one.type for one in wanted], [one.digest for one in wanted]
    return sql.add_identifiers(tx, kinds=kinds, digests=digests, ids=list(wanted.values()))


async def _attach(tx: Connection, identifiers: Sequence[Known], survivor: str) -> None:
    wanted = dict.fromkeys(identifiers, survivor)
    added = [row async for row in _adding(tx, wanted)]
    if len(added) != len(wanted):
        raise Conflict("The identifiers were linked meanwhile.", reason="LINKED_MEANWHILE")


async def _absorb(tx: Connection, absorbed: str, survivor: str, note: Note) -> None:
    await sql.add_link(
        tx,
        absorbed=absorbed,
        survivor=survivor,
        evidence=note.evidence,
        request_id=note.request_id,
        now_us=note.now_us,
    )
    await sql.point_to(tx, absorbed=absorbed, survivor=survivor)
    now_ms = note.now_us // 1000
    announced = Envelope(
        event_id=f"linked-{absorbed}-{survivor}-{note.now_us}",
        key=survivor,
        occurred_at_ms=now_ms,
        recorded_at_ms=now_ms,
        producer="profile",
        subjects_linked=SubjectsLinked(survivor=survivor, absorbed=absorbed, linked=True),
    )
    await outbox.add(tx, announced, stream_subject("profile", survivor))


def _members(rows: Sequence[Any]) -> Members:
    survivor = rows[0]["survivor"]
    absorbed = {row["absorbed"] for row in rows if row["absorbed"] is not None}
    return Members(survivor, tuple(sorted({survivor, *absorbed})))


class PostgresProfiles:
    """What was folded, and which events it was folded from."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def known(self, keys: Sequence[bytes]) -> frozenset[bytes]:
        """Those of the keys that were folded before."""
        async with connection(self._pool) as tx:
            return frozenset([row["event_key"] async for row in sql.known_events(tx, keys=keys)])

    async def held(
        self, subject: str, first_segment: int, last_segment: int, *, seen: Mapping[str, int] | None = None
    ) -> Held | None:
        """The registers and the segments of the subject and its members; None for an unknown subject."""
        span = (first_segment, last_segment)
        found = await self._rows(subject, span, min(seen.values()) if seen else 0)
        if seen and found:
            if _same(found, seen):
                return Held(found[0]["position"], _positions(found), None)
            found = await self._rows(subject, span, 0)
        return Held(found[0]["position"], _positions(found), _parsed(found)) if found else None

    async def _rows(self, subject: str, span: tuple[int, int], known: int) -> list[Any]:
        async with connection(self._pool) as tx:
            asked = sql.held(tx, subject_id=subject, first_segment=span[0], last_segment=span[1], known=known)
            return list(await asked)

    async def position(self, partition: int) -> int:
        """How far a partition was folded."""
        async with connection(self._pool) as tx:
            return int(await sql.position_of(tx, partition=partition))


def _positions(found: Sequence[Any]) -> Mapping[str, int]:
    return {row["subject_id"]: row["position"] for row in found}


def _same(found: Sequence[Any], seen: Mapping[str, int]) -> bool:
    """Whether the members are those of `seen` and no row is newer: whatever changes a row is behind its partition's position."""
    if {row["subject_id"] for row in found} != seen.keys():
        return False
    return all(
        row["position"] >= seen[row["subject_id"]] and (row["version"] or 0) <= seen[row["subject_id"]] for row in found
    )


def _parsed(found: Sequence[Any]) -> Mapping[str, Mapping[int, Row]]:
    rows: dict[str, dict[int, Row]] = {}
    for member, _position, segment, _version, body in found:
        ours = rows.setdefault(member, {})
        if segment is not None:
            ours[segment] = json.loads(body)
    return rows


_: type[Directory] = PostgresDirectory
_journal: type[Journal] = PostgresProfiles
_profiles: type[Profiles] = PostgresProfiles
assert STRONG == "customer_number", "the query `surviving` names it"
