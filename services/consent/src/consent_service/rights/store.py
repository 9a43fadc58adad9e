"""Cases in PostgreSQL, as the role `consent`; deletion as `consent_eraser`; a subject's entries as `consent_reader`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from consent_service.domain.commitments import Sealed
from consent_service.rights.cases import Case, Decision, Erasure, Signed, Stage, Verb
from consent_service.rights.ports import Cases, Eraser, Own, Records
from consent_service.storage.rows import primary
from servicekit import postgres, queries
from servicekit.errors import Conflict, NotFound

sql = queries.load("consent_service.rights")

Row = Mapping[str, Any]
ATTEMPTS: Final = 5


class PostgresCases:
    """One row for a case, one for each subject it covers."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def open(self, case: Case) -> Case:
        """A unique index lets one case cover a subject at a time: whoever is second gets the first one's."""
        for _ in range(ATTEMPTS):
            async with primary(), postgres.connection(self._pool) as connection:
                found: str | None = await sql.open_case_of(connection, subjects=list(case.subjects))
            if found is not None:
                return await self.get(found)
            try:
                await self._add(case)
            except Conflict:
                continue
            return await self.get(case.id)
        raise Conflict("Others ask for the same.")

    async def _add(self, case: Case) -> None:
        async with primary(), postgres.transaction(self._pool) as connection:
            await sql.add_case(
                connection,
                case_id=case.id,
                ground=case.ground,
                requested_us=case.requested_us,
                requested_by=case.requested_by,
                people=len(case.subjects),
            )
            await sql.cover(connection, case_id=case.id, subjects=list(case.subjects))

    async def get(self, case_id: str) -> Case:
        """With whom it covers."""
        async with primary(), postgres.connection(self._pool) as connection:
            row = await sql.read_case(connection, case_id=case_id)
        if row is None:
            raise NotFound("There is no such case.", reason="UNKNOWN_CASE", field="case_id")
        return _case(row)

    async def due(self, now_us: int) -> Sequence[str]:
        """By an index of those that are not over."""
        async with primary(), postgres.connection(self._pool) as connection:
            return [row["case_id"] for row in await sql.due_cases(connection, now_us=now_us)]

    async def change(self, before: Case, after: Case) -> Case:
        """Compared by revision."""
        async with primary(), postgres.transaction(self._pool) as connection:
            moved = await sql.change_case(connection, **_row(after), revision=before.revision)
            if moved is None:
                raise Conflict("The case has changed meanwhile.")
            if set(after.subjects) - set(before.subjects):
                await sql.cover(connection, case_id=after.id, subjects=list(after.subjects))
            if after.unsealed or after.stage is Stage.CERTIFIED:
                await sql.uncover(connection, case_id=after.id)
        return await self.get(after.id)

    async def hand_out(self, export_id: str, subject: str, at_us: int, by: str) -> None:
        """One row."""
        async with primary(), postgres.connection(self._pool) as connection:
            await sql.add_handed_out(connection, export_id=export_id, subject_id=subject, at_us=at_us, handed_by=by)


class PostgresEraser:
    """One transaction for what belongs together."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def forget(self, subjects: Collection[str], case_id: str = "") -> None:
        """States first: a tombstone's row is locked before anything of the subject goes."""
        given = sorted(set(subjects))
        if not given:
            return
        async with primary(), postgres.transaction(self._pool) as connection:
            await sql.entomb(connection, subjects=given)
            await _clear(connection, given, case_id, await sql.forget_events(connection, subjects=given))

    async def finish(self, case: Case) -> bool:
        """The relay's cursor says what the stream knows."""
        last = max((erasure.index for erasure in case.erasures), default=-1)
        async with primary(), postgres.transaction(self._pool) as connection:
            if not await sql.announced(connection, idx=last):
                return False
            await _clear(connection, case.subjects, case.id)
            await sql.unlink_tombstones(connection, subjects=list(case.subjects))
            await sql.forget_case(connection, case_id=case.id)
        return True

    async def erased(self, *, after: str = "", most: int = 1000) -> Sequence[str]:
        """By the primary key."""
        async with primary(), postgres.connection(self._pool) as connection:
            return [row["subject_id"] for row in await sql.erased_subjects(connection, since=after, most=most)]

    async def forget_leftovers(self) -> int:
        """One statement."""
        async with primary(), postgres.connection(self._pool) as connection:
            found: int = await sql.leftover_reliance(connection)
            return found


async def _clear(connection: postgres.Connection, subjects: Collection[str], case_id: str, events: int = 0) -> None:
    """Take the ids out of what others wrote about these subjects, and account for it in the case."""
    given = list(subjects)
    reliances = await sql.forget_reliance(connection, subjects=given)
    exports = [row["at_us"] for row in await sql.forget_exports(connection, subjects=given)]
    if case_id:
        await sql.account(
            connection,
            case_id=case_id,
            events=events,
            reliances=reliances,
            handed_out=len(exports),
            exports=sorted(set(exports)),
        )


class PostgresRecords:
    """Rows with their leaves."""

    def __init__(self, pool: postgres.Pool) -> None:
        self._pool = pool

    async def page(self, subject: str, *, after: int, size: int, most: int) -> Sequence[Own]:
        """By the subject's index."""
        async with primary(), postgres.connection(self._pool) as connection:
            rows = await sql.own_entries(connection, subject_id=subject, after=after, size=size, most=most)
        return [_own(row) for row in rows]


def _own(row: Row) -> Own:
    return Own(
        index=row["idx"],
        epoch=row["epoch"],
        event_id=row["event_id"],
        recorded_us=row["recorded_us"],
        pub=row["pub"].encode(),
        leaf=row["leaf"],
        sealed=Sealed(row["nonce"], row["sealed"]) if row["sealed"] is not None else None,
        request_entries=row["request_entries"],
    )


def _case(row: Row) -> Case:
    signed = row["certificate"]
    return Case(
        id=row["case_id"],
        subjects=tuple(row["subjects"]),
        ground=row["ground"],
        requested_us=row["requested_us"],
        requested_by=row["requested_by"],
        stage=Stage(row["status"]),
        people=row["people"],
        decisions=tuple(Decision(**{**each, "verb": Verb(each["verb"])}) for each in row["decisions"]),
        hold_until_us=row["hold_until_us"],
        retain_until_us=row["retain_until_us"],
        unsealed=row["unsealed"],
        started_us=row["started_us"],
        died_us=row["died_us"],
        erasures=tuple(Erasure(each["index"], b64decode(each["tag"])) for each in row["erasures"]),
        deleted=row["deleted"],
        exports=tuple(row["exports"]),
        certificate=Signed(signed, row["certificate_kid"], row["certificate_signature"]) if signed else None,
        revision=row["revision"],
    )


def _row(case: Case) -> dict[str, Any]:
    signed = case.certificate
    return {
        "case_id": case.id,
        "status": case.stage.value,
        "hold_until_us": case.hold_until_us,
        "retain_until_us": case.retain_until_us,
        "decisions": [_decision(decision) for decision in case.decisions],
        "people": case.people,
        "unsealed": case.unsealed,
        "started_us": case.started_us,
        "died_us": case.died_us,
        "erasures": [{"index": each.index, "tag": b64encode(each.tag).decode()} for each in case.erasures],
        "certificate": signed.body if signed else None,
        "kid": signed.key_id if signed else None,
        "signature": signed.signature if signed else None,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    said = {
        "verb": decision.verb.value,
        "by": decision.by,
        "at_us": decision.at_us,
        "role": decision.role,
        "until_us": decision.until_us,
        "reason": decision.reason,
    }
    return {name: value for name, value in said.items() if value not in ("", None) or name == "by"}


_: tuple[type[Cases], type[Eraser], type[Records]] = (PostgresCases, PostgresEraser, PostgresRecords)
