"""What the handlers need from outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from eligibility_service.domain.contact import Contact
from eligibility_service.domain.policy import Policy


class Policies(Protocol):
    """Compiled bundles."""

    async def get(self, digest: str) -> Policy:
        """Raises FailedPrecondition BUNDLE_UNKNOWN."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a treatment, as it was recorded."""

    outcome_id: str
    replaces: str
    decision_id: str
    subject_id: str
    contact: Contact


@dataclass(frozen=True, slots=True)
class Wish:
    """An item of a decision that wants a place."""

    item: str
    contact: Contact


@dataclass(frozen=True, slots=True)
class Reservation:
    """A place that is held until `until_ms`."""

    reservation_id: str
    item: str
    contact: Contact
    until_ms: int


Admit = Callable[[Sequence[Contact], Contact], str | None]
"""Given everything that counts already, why this contact is refused: the policy or limit, or None."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Which wishes have a place now, and why the others do not."""

    accepted: tuple[Reservation, ...]
    refused: tuple[tuple[str, str], ...]


class Contacts(Protocol):
    """Contacts and reservations of subjects."""

    async def of(self, subject_ids: Collection[str], *, since_ms: int, now_ms: int) -> tuple[int, Sequence[Contact]]:
        """A version that grows with each change, and at least what it counts: outcomes since `since_ms`, reservations that hold."""
        ...

    async def add(self, outcome: Outcome) -> bool:
        """Remember an outcome, once; an impression commits a reservation. False for a repeat, and for a forgotten subject."""
        ...

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
        """Take places one after the other, alone on these subjects.

        An item that holds a place keeps it; one whose place was released or has expired asks anew.
        Raises AlreadyExists for an item with other content, FailedPrecondition SUBJECT_FORGOTTEN when every subject is.
        """
        ...

    async def release(self, decision_id: str, items: Collection[str]) -> Sequence[str]:
        """Give back what still holds; no items means all. Idempotent."""
        ...

    async def forget(self, subject_id: str) -> int:
        """Remove everything about a subject, and take nothing about it any more; how many rows there were."""
        ...

    async def forget_before(self, ms: int) -> int:
        """Remove what happened, or ended, before then; how many rows there were."""
        ...
