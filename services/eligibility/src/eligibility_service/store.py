"""PostgreSQL behind the ports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Admit, Answer, Contacts, Outcome, Reservation, Wish
from servicekit import queries
from servicekit.errors import AlreadyExists
from servicekit.postgres import Connection, Pool, connection, transaction

sql = queries.load("eligibility_service")


class PostgresContacts:
    """Contacts in the schema `eligibility`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, subject_ids: Collection[str], *, since_ms: int, now_ms: int) -> tuple[int, Sequence[Contact]]:
        """What counts, and its version."""
        async with connection(self._pool) as reader:
            known = await _contacts(reader, subject_ids, since_ms, now_ms)
            return await sql.version(reader, subject_ids=list(subject_ids)), known

    async def add(self, outcome: Outcome) -> bool:
        """Remember an outcome, once."""
        contact = outcome.contact
        async with transaction(self._pool) as tx:
            await _alone(tx, [outcome.subject_id])
            added = await sql.add_outcome(
                tx,
                outcome_id=outcome.outcome_id,
                replaces=outcome.replaces or None,
                decision_id=outcome.decision_id,
                subject_id=outcome.subject_id,
                outcome=contact.outcome,
                **_columns(contact),
            )
            if contact.outcome == "impression":
                await sql.commit_reservation(tx, decision_id=outcome.decision_id, action=contact.action)
            await sql.changed(tx, subject_ids=[outcome.subject_id])
        return bool(added == "INSERT 0 1")

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
            await _alone(tx, subject_ids)
            held = await _held(tx, decision_id, wishes)
            known = await _contacts(tx, subject_ids, since_ms, now_ms)
            accepted, refused = list(held.values()), []
            for wish in (wish for wish in wishes if wish.item not in held):
                cause = admit(known, wish.contact)
                if cause is not None:
                    refused.append((wish.item, cause))
                    continue
                accepted.append(await _hold(tx, decision_id, subject_ids[0], wish, until_ms))
                known.append(wish.contact)
            await sql.changed(tx, subject_ids=list(subject_ids))
        return Answer(tuple(accepted), tuple(refused))

    async def release(self, decision_id: str, items: Collection[str]) -> Sequence[str]:
        """Give back what still holds."""
        async with transaction(self._pool) as tx:
            return sorted([row["item"] async for row in sql.release(tx, decision_id=decision_id, items=list(items))])

    async def forget(self, subject_id: str) -> int:
        """Remove everything about a subject."""
        async with transaction(self._pool) as tx:
            steps = (sql.forget_events, sql.forget_reservations, sql.forget_subject)
            return sum([_count(await step(tx, subject_id=subject_id)) for step in steps])


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


def _contact(row: Any, outcome: str) -> Contact:
    return Contact(row["action"], row["grp"], row["issue"], row["channel"], row["class"], outcome, row["at_ms"])


async def _alone(tx: Connection, subject_ids: Sequence[str]) -> None:
    await sql.meet_subjects(tx, subject_ids=list(subject_ids))
    async for _ in sql.lock_subjects(tx, subject_ids=list(subject_ids)):
        pass


async def _contacts(reader: Connection, subject_ids: Collection[str], since_ms: int, now_ms: int) -> list[Contact]:
    rows = sql.contacts(reader, subject_ids=list(subject_ids), since_ms=since_ms, now_ms=now_ms)
    return [_contact(row, row["outcome"]) async for row in rows]


async def _held(tx: Connection, decision_id: str, wishes: Sequence[Wish]) -> dict[str, Reservation]:
    """Places that an earlier call took, by item; the same item must want the same."""
    wanted = {wish.item: wish.contact for wish in wishes}
    held: dict[str, Reservation] = {}
    async for row in sql.reservations(tx, decision_id=decision_id, items=list(wanted)):
        contact = wanted[row["item"]]
        if (contact.action, contact.channel) != (row["action"], row["channel"]):
            raise AlreadyExists("This item was reserved for another action", reason="ITEM_REUSED", field="items")
        held[row["item"]] = Reservation(str(row["reservation_id"]), row["item"], contact, row["expires_ms"])
    return held


async def _hold(tx: Connection, decision_id: str, subject_id: str, wish: Wish, until_ms: int) -> Reservation:
    reservation_id = await sql.add_reservation(
        tx,
        decision_id=decision_id,
        item=wish.item,
        subject_id=subject_id,
        expires_ms=until_ms,
        **_columns(wish.contact),
    )
    return Reservation(str(reservation_id), wish.item, wish.contact, until_ms)


_: type[Contacts] = PostgresContacts
