"""PostgreSQL behind the ports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Admit, Answer, Contacts, Outcome, Reservation, Wish
from servicekit import queries
from servicekit.errors import AlreadyExists, FailedPrecondition
from servicekit.postgres import Connection, Pool, connection, transaction

sql = queries.load("eligibility_service")


class PostgresContacts:
    """Contacts in the schema `eligibility`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, subject_ids: Collection[str], *, since_ms: int, now_ms: int) -> tuple[int, Sequence[Contact]]:
        """What counts, and its version: one statement, so that both are of one moment."""
        async with connection(self._pool) as reader:
            found = sql.versioned_contacts(reader, subject_ids=list(subject_ids), since_ms=since_ms, now_ms=now_ms)
            rows = [row async for row in found]
        return rows[0]["version"], [_contact(row) for row in rows if row["action"] is not None]

    async def add(self, outcome: Outcome) -> bool:
        """Remember an outcome, once."""
        contact = outcome.contact
        async with transaction(self._pool) as tx:
            if not await _alone(tx, [outcome.subject_id]):
                return False
            added = await sql.add_outcome(
                tx,
                outcome_id=outcome.outcome_id,
                replaces=outcome.replaces or None,
                decision_id=outcome.decision_id,
                subject_id=outcome.subject_id,
                outcome=contact.outcome,
                **_columns(contact),
            )
            if not _count(added):
                return False
            if contact.outcome == "impression":
                await sql.commit_reservation(tx, decision_id=outcome.decision_id, action=contact.action)
            await sql.changed(tx, subject_ids=[outcome.subject_id])
            return True

    async def reserve(
        self,
        decision_id: str,
        subject_ids: Sequence[str],
        wishes: Sequence[Wish],
        *,
        admit: Admit,
        since_ms: int,
        now_ms: int,
        until_ms: int,
    ) -> Answer:
        """Take places one after the other, alone on these subjects."""
        async with transaction(self._pool) as tx:
            subjects = await _alone(tx, subject_ids)
            if not subjects:
                raise FailedPrecondition("Every subject is forgotten.", reason="SUBJECT_FORGOTTEN")
            held = await _held(tx, decision_id, subject_ids, wishes, now_ms)
            known = await _contacts(tx, subject_ids, since_ms, now_ms)
            taken: list[Reservation] = []
            refused: list[tuple[str, str]] = []
            for wish in (wish for wish in wishes if wish.item not in held):
                cause = admit(known, wish.contact)
                if cause is None:
                    taken.append(await _take(tx, decision_id, subjects[0], wish, until_ms))
                    known.append(wish.contact)
                else:
                    refused.append((wish.item, cause))
            if taken:
                await sql.changed(tx, subject_ids=subjects)
        return Answer((*held.values(), *taken), tuple(refused))

    async def release(self, decision_id: str, items: Collection[str]) -> Sequence[str]:
        """Give back what still holds."""
        async with transaction(self._pool) as tx:
            rows = [row async for row in sql.release(tx, decision_id=decision_id, items=list(items))]
            if rows:
                await sql.changed(tx, subject_ids=sorted({row["subject_id"] for row in rows}))
        return sorted(row["item"] for row in rows)

    async def forget(self, subject_id: str) -> int:
        """Remove everything about a subject; its empty row stays, so that a late outcome finds it forgotten."""
        async with transaction(self._pool) as tx:
            await _alone(tx, [subject_id])
            await sql.mark_forgotten(tx, subject_id=subject_id)
            steps = (sql.forget_events, sql.forget_reservations)
            return sum([_count(await step(tx, subject_id=subject_id)) for step in steps])

    async def forget_before(self, ms: int) -> int:
        """Remove what is older."""
        async with connection(self._pool) as writer:
            steps = (sql.forget_old_events, sql.forget_old_reservations)
            return sum([_count(await step(writer, before_ms=ms)) for step in steps])


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _columns(contact: Contact) -> dict[str, object]:
    return {
        "action": contact.action,
        "grp": contact.group,
        "issue": contact.issue,
        "channel": contact.channel,
        "class_": contact.contact_class,
        "at_ms": contact.at_ms,
    }


def _contact(row: Any) -> Contact:
    return Contact(*(row[name] for name in ("action", "grp", "issue", "channel", "class", "outcome", "at_ms")))


async def _alone(tx: Connection, subject_ids: Sequence[str]) -> list[str]:
    """Lock the subjects' rows in order; those that are not forgotten."""
    wanted = sorted(set(subject_ids))
    await sql.meet_subjects(tx, subject_ids=wanted)
    return [row["subject_id"] async for row in sql.lock_subjects(tx, subject_ids=wanted) if not row["forgotten"]]


async def _contacts(reader: Connection, subject_ids: Collection[str], since_ms: int, now_ms: int) -> list[Contact]:
    rows = sql.contacts(reader, subject_ids=list(subject_ids), since_ms=since_ms, now_ms=now_ms)
    return [_contact(row) async for row in rows]


async def _held(
    tx: Connection, decision_id: str, subject_ids: Sequence[str], wishes: Sequence[Wish], now_ms: int
) -> dict[str, Reservation]:
    """Places that an earlier call took and that still hold, by item; the same item must want the same."""
    wanted = {wish.item: wish.contact for wish in wishes}
    held: dict[str, Reservation] = {}
    async for row in sql.reservations(tx, decision_id=decision_id, items=list(wanted)):
        contact = wanted[row["item"]]
        if (contact.action, contact.channel) != (row["action"], row["channel"]) or row["subject_id"] not in subject_ids:
            raise AlreadyExists("This item was reserved for something else.", reason="ITEM_REUSED", field="items")
        if row["state"] == "committed" or (row["state"] == "live" and row["expires_ms"] > now_ms):
            held[row["item"]] = Reservation(str(row["reservation_id"]), row["item"], contact, row["expires_ms"])
    return held


async def _take(tx: Connection, decision_id: str, subject_id: str, wish: Wish, until_ms: int) -> Reservation:
    reservation_id = await sql.take(
        tx,
        decision_id=decision_id,
        item=wish.item,
        subject_id=subject_id,
        expires_ms=until_ms,
        **_columns(wish.contact),
    )
    return Reservation(str(reservation_id), wish.item, wish.contact, until_ms)


_: type[Contacts] = PostgresContacts
