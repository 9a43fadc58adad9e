"""Contacts in memory, written to be read; the contract tests bind it to PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from itertools import count

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Answer, Contacts, Outcome, Reservation
from servicekit.errors import AlreadyExists, FailedPrecondition


@dataclass(frozen=True)
class Held:
    decision_id: str
    subject_id: str
    reservation: Reservation
    state: str = "live"

    def holds(self, now_ms: int) -> bool:
        return self.state == "committed" or (self.state == "live" and self.reservation.until_ms > now_ms)


class MemoryContacts:
    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.held: dict[tuple[str, str], Held] = {}
        self.versions: dict[str, int] = {}
        self.forgotten: set[str] = set()
        self._numbers = count(1)
        self._alone = asyncio.Lock()

    async def of(self, subject_ids, *, since_ms, now_ms):
        return sum(self.versions.get(each, 0) for each in set(subject_ids)), self._known(subject_ids, since_ms, now_ms)

    async def add(self, outcome: Outcome) -> bool:
        if outcome.outcome_id in self.outcomes or outcome.subject_id in self.forgotten:
            return False
        self.outcomes[outcome.outcome_id] = outcome
        if outcome.contact.outcome == "impression":
            self._commit(outcome)
        self._changed([outcome.subject_id])
        return True

    async def reserve(self, decision_id, subject_ids, wishes, *, admit, since_ms, now_ms, until_ms) -> Answer:
        async with self._alone:
            subjects = sorted(set(subject_ids) - self.forgotten)
            if not subjects:
                raise FailedPrecondition("Every subject is forgotten.", reason="SUBJECT_FORGOTTEN")
            earlier = {wish.item: self.held.get((decision_id, wish.item)) for wish in wishes}
            for wish in wishes:
                self._check_same(earlier[wish.item], wish.contact, subject_ids)
            held = [each.reservation for each in earlier.values() if each and each.holds(now_ms)]
            kept = {each.item for each in held}
            known, taken, refused = list(self._known(subject_ids, since_ms, now_ms)), [], []
            for wish in (wish for wish in wishes if wish.item not in kept):
                cause = admit(known, wish.contact)
                if cause is not None:
                    refused.append((wish.item, cause))
                    continue
                taken.append(Reservation(f"r{next(self._numbers)}", wish.item, wish.contact, until_ms))
                whose = had.subject_id if (had := earlier[wish.item]) else subjects[0]
                self.held[decision_id, wish.item] = Held(decision_id, whose, taken[-1])
                known.append(wish.contact)
            if taken:
                self._changed(subjects)
        return Answer((*held, *taken), tuple(refused))

    async def release(self, decision_id, items):
        found = [
            key for key, each in self.held.items()
            if key[0] == decision_id and each.state == "live" and (not items or key[1] in items)
        ]  # fmt: skip
        for key in found:
            self.held[key] = replace(self.held[key], state="released")
        self._changed({self.held[key].subject_id for key in found})
        return sorted(item for _, item in found)

    async def forget(self, subject_id: str) -> int:
        if subject_id not in self.forgotten:
            self._changed([subject_id])
        self.forgotten.add(subject_id)
        return self._remove(
            lambda outcome: outcome.subject_id == subject_id, lambda held: held.subject_id == subject_id
        )

    async def forget_before(self, ms: int) -> int:
        return self._remove(lambda outcome: outcome.contact.at_ms < ms, lambda held: held.reservation.until_ms < ms)

    def _known(self, subject_ids, since_ms, now_ms) -> list[Contact]:
        replaced = {outcome.replaces for outcome in self.outcomes.values()}
        happened = [
            each.contact for name, each in self.outcomes.items()
            if each.subject_id in subject_ids and name not in replaced and each.contact.at_ms > since_ms
        ]  # fmt: skip
        live = [h for h in self.held.values() if h.subject_id in subject_ids and h.state == "live" and h.holds(now_ms)]
        known = happened + [each.reservation.contact for each in live]
        return sorted(known, key=lambda contact: (contact.at_ms, contact.action, contact.outcome))

    def _commit(self, outcome: Outcome) -> None:
        same = [
            (each.state != "live", key) for key, each in self.held.items()
            if key[0] == outcome.decision_id and each.reservation.contact.action == outcome.contact.action
            and each.state != "committed"
        ]  # fmt: skip
        for _, key in sorted(same)[:1]:
            self.held[key] = replace(self.held[key], state="committed")

    @staticmethod
    def _check_same(held: Held | None, contact: Contact, subject_ids) -> None:
        if held is None:
            return
        had = held.reservation.contact
        if (had.action, had.channel) != (contact.action, contact.channel) or held.subject_id not in subject_ids:
            raise AlreadyExists("This item was reserved for something else.", reason="ITEM_REUSED", field="items")

    def _changed(self, subjects) -> None:
        for each in subjects:
            self.versions[each] = self.versions.get(each, 0) + 1

    def _remove(self, outcome_goes, held_goes) -> int:
        before = len(self.outcomes) + len(self.held)
        self.outcomes = {name: each for name, each in self.outcomes.items() if not outcome_goes(each)}
        self.held = {key: each for key, each in self.held.items() if not held_goes(each)}
        return before - len(self.outcomes) - len(self.held)


_: type[Contacts] = MemoryContacts
