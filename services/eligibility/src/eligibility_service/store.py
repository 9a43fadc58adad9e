"""PostgreSQL behind the ports.

A place may be taken only while the subjects' contact state is the one that admitted it. Everything that changes contact state grows the
version of the subject's row in the same transaction, so one statement can take places if the versions are still those that were
looked at. When they are not, or a wish is refused or was granted before, the rows are locked and everything is looked at again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Admit, Answer, Contacts, Outcome, Reservation, Wish
from servicekit import queries
from servicekit.errors import AlreadyExists, Conflict, FailedPrecondition
from servicekit.postgres import Connection, Pool, connection, transaction

sql = queries.load("eligibility_service")

LOOKS = 512
"""How many decisions may be between their look at contact state and their reservation before the oldest has to look again."""


@dataclass(frozen=True, slots=True)
class Look:
    """Contact state of one moment. `versions` has each subject that is not forgotten; one that was never met is at 0."""

    version: int
    versions: Mapping[str, int]
    contacts: Sequence[Contact]


@dataclass(frozen=True, slots=True)
class View:
    """Whose contact state is looked at, sorted, and from when on things count."""

    subject_ids: tuple[str, ...]
    since_ms: int
    now_ms: int


@dataclass(frozen=True, slots=True)
class Asking:
    """What a call to reserve asks for."""

    decision_id: str
    wishes: Sequence[Wish]
    admit: Admit
    until_ms: int


class PostgresContacts:
    """Contacts in the schema `eligibility`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looks: OrderedDict[View, Look] = OrderedDict()

    async def of(self, subject_ids: Collection[str], *, since_ms: int, now_ms: int) -> tuple[int, Sequence[Contact]]:
        """What counts, and its version; the decision's reservation usually follows, and then need not look again."""
        view = View(tuple(sorted(set(subject_ids))), since_ms, now_ms)
        async with connection(self._pool) as reader:
            look = await _look(reader, view)
        self._looks[view] = look
        if len(self._looks) > LOOKS:
            self._looks.popitem(last=False)
        return look.version, look.contacts

    async def add(self, outcome: Outcome) -> bool:
        """Remember an outcome, once."""
        async with transaction(self._pool) as tx:
            if await sql.grow(tx, subject_id=outcome.subject_id, outcome_id=outcome.outcome_id) is None:
                return False
            added = await sql.add_outcome(
                tx,
                outcome_id=outcome.outcome_id,
                replaces=outcome.replaces or None,
                decision_id=outcome.decision_id,
                subject_id=outcome.subject_id,
                outcome=outcome.contact.outcome,
                **_columns(outcome.contact),
            )
            return bool(added)

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
        """Take places one after the other, as if alone on these subjects."""
        view = View(tuple(sorted(set(subject_ids))), since_ms, now_ms)
        asking = Asking(decision_id, wishes, admit, until_ms)
        return await self._reserve_at_once(view, asking) or await self._reserve_alone(view, asking)

    async def _reserve_at_once(self, view: View, asking: Asking) -> Answer | None:
        """Places for all wishes, if that needs nobody to wait: by the look that the decision had, or else by a new one."""
        had = self._looks.pop(view, None)
        try:
            async with connection(self._pool) as writer:
                answer = await _take_if_unchanged(writer, had, asking) if had else None
                return answer or await _take_if_unchanged(writer, await _look(writer, view), asking)
        except Conflict:
            return None  # the same call is under way twice, and the other was first

    async def _reserve_alone(self, view: View, asking: Asking) -> Answer:
        async with transaction(self._pool) as tx:
            subjects = await _alone(tx, view.subject_ids)
            if not subjects:
                raise FailedPrecondition("Every subject is forgotten.", reason="SUBJECT_FORGOTTEN")
            held = await _held(tx, view, asking)
            granted, refused = _judged(
                asking.admit,
                (await _look(tx, view)).contacts,
                [wish for wish in asking.wishes if wish.item not in held],
            )
            taken = [await _take(tx, asking, subjects, wish) for wish in granted]
            if taken:
                await sql.changed(tx, subject_ids=subjects)
        return Answer((*held.values(), *taken), tuple(refused))

    async def release(self, decision_id: str, items: Collection[str]) -> Sequence[str]:
        """Give back what still holds."""
        async with connection(self._pool) as writer:
            return sorted(row["item"] for row in await sql.release(writer, decision_id=decision_id, items=list(items)))

    async def forget(self, subject_id: str) -> int:
        """Remove everything about a subject; its empty row stays, so that a late outcome finds it forgotten."""
        async with transaction(self._pool) as tx:
            await _alone(tx, [subject_id])
            await sql.mark_forgotten(tx, subject_id=subject_id)
            steps = (sql.forget_events, sql.forget_reservations)
            removed = sum([_count(await step(tx, subject_id=subject_id)) for step in steps])
        for view in [view for view in self._looks if subject_id in view.subject_ids]:
            del self._looks[view]
        return removed

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


async def _look(reader: Connection, view: View) -> Look:
    rows: list[Any] = await sql.known(reader, subject_ids=view.subject_ids, since_ms=view.since_ms, now_ms=view.now_ms)
    met = [row for row in rows if row["action"] is None]
    versions = dict.fromkeys(view.subject_ids, 0) | {row["subject_id"]: row["version"] for row in met}
    contacts = [Contact(*row[3:]) for row in rows if row["action"] is not None]
    contacts.sort(key=lambda contact: (contact.at_ms, contact.action, contact.outcome))
    gone = {row["subject_id"] for row in met if row["forgotten"]}
    return Look(sum(versions.values()), {name: at for name, at in versions.items() if name not in gone}, contacts)


def _judged(
    admit: Admit, contacts: Sequence[Contact], wishes: Sequence[Wish]
) -> tuple[list[Wish], list[tuple[str, str]]]:
    """Which wishes have a place, each counted before the next is looked at, and why the others do not."""
    known, granted, refused = list(contacts), list[Wish](), list[tuple[str, str]]()
    for wish in wishes:
        cause = admit(known, wish.contact)
        if cause is None:
            granted.append(wish)
            known.append(wish.contact)
        else:
            refused.append((wish.item, cause))
    return granted, refused


async def _take_if_unchanged(writer: Connection, look: Look, asking: Asking) -> Answer | None:
    """Places for all wishes, in one round trip, if the look leaves them and still holds."""
    if not look.versions or _judged(asking.admit, look.contacts, asking.wishes)[1]:
        return None
    contacts = [wish.contact for wish in asking.wishes]
    rows = await sql.take_if_unchanged(
        writer,
        subject_ids=list(look.versions),
        versions=list(look.versions.values()),
        decision_id=asking.decision_id,
        items=[wish.item for wish in asking.wishes],
        actions=[contact.action for contact in contacts],
        grps=[contact.group for contact in contacts],
        issues=[contact.issue for contact in contacts],
        channels=[contact.channel for contact in contacts],
        classes=[contact.contact_class for contact in contacts],
        at_ms=[contact.at_ms for contact in contacts],
        expires_ms=asking.until_ms,
    )
    ids = {row["item"]: str(row["reservation_id"]) for row in rows}
    taken = (Reservation(ids[wish.item], wish.item, wish.contact, asking.until_ms) for wish in asking.wishes if ids)
    return Answer(tuple(taken), ()) if ids else None


async def _alone(tx: Connection, subject_ids: Collection[str]) -> list[str]:
    """Lock the subjects' rows in order; those that are not forgotten."""
    await sql.meet_subjects(tx, subject_ids=list(subject_ids))
    return [
        row["subject_id"] async for row in sql.lock_subjects(tx, subject_ids=list(subject_ids)) if not row["forgotten"]
    ]


async def _held(tx: Connection, view: View, asking: Asking) -> dict[str, Reservation]:
    """Places that an earlier call took and that still hold, by item; the same item must want the same."""
    wanted = {wish.item: wish.contact for wish in asking.wishes}
    held: dict[str, Reservation] = {}
    async for row in sql.reservations(tx, decision_id=asking.decision_id, items=list(wanted)):
        contact = wanted[row["item"]]
        same = (contact.action, contact.channel) == (row["action"], row["channel"])
        if not same or row["subject_id"] not in view.subject_ids:
            raise _reused()
        if row["state"] == "committed" or (row["state"] == "live" and row["expires_ms"] > view.now_ms):
            held[row["item"]] = Reservation(str(row["reservation_id"]), row["item"], contact, row["expires_ms"])
    return held


async def _take(tx: Connection, asking: Asking, subjects: Sequence[str], wish: Wish) -> Reservation:
    reservation_id = await sql.take(
        tx,
        decision_id=asking.decision_id,
        item=wish.item,
        subject_ids=subjects,
        expires_ms=asking.until_ms,
        **_columns(wish.contact),
    )
    if reservation_id is None:
        raise _reused()
    return Reservation(str(reservation_id), wish.item, wish.contact, asking.until_ms)


def _reused() -> AlreadyExists:
    return AlreadyExists("This item was reserved for something else.", reason="ITEM_REUSED", field="items")


_: type[Contacts] = PostgresContacts
