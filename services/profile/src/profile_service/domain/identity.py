"""Who is whom: which subjects become one when identifiers turn out to belong together, and when that is refused.

Subjects are never rewritten by a merge. The absorbed one points to its survivor and keeps its identifiers, its events and its
fold; a view adds the folds of all members up. That makes the inverse of a merge the removal of one pointer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from servicekit.errors import FailedPrecondition

TYPES: Final = ("customer_number", "visitor", "device", "email_hash", "phone_hash", "card_token", "subject_id")
STRONG: Final = "customer_number"
"""One subject has at most one identifier of this type: two of them are two customers."""


@dataclass(frozen=True, slots=True)
class Known:
    """An identifier as it is stored: by its digest. `subject` is None while it points to nobody."""

    type: str
    digest: bytes
    subject: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject that answers for itself, the ids it absorbed, and the digests of its strong identifiers."""

    id: str
    created_at_us: int
    strong: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Linking:
    """What is to be done: `survivor` is None when a new subject is needed."""

    survivor: str | None
    absorbed: tuple[str, ...]
    attach: tuple[Known, ...]


def link(identifiers: Sequence[Known], subjects: Iterable[Subject]) -> Linking:
    """How these identifiers become one subject. The oldest subject survives, as the older experiment arms win.

    Raises FailedPrecondition: SHARED_IDENTIFIER when only shared identifiers are left, which never identify a person;
    IDENTIFIER_CONFLICT when two different strong identifiers would meet.
    """
    personal = [one for one in identifiers if not one.shared]
    if not personal:
        raise FailedPrecondition("A shared identifier does not link.", reason="SHARED_IDENTIFIER")
    wanted = {one.subject for one in personal}
    found = sorted((one for one in subjects if one.id in wanted), key=lambda one: (one.created_at_us, one.id))
    strong = {one.digest for one in personal if one.type == STRONG}.union(*(one.strong for one in found))
    if len(strong) > 1:
        raise FailedPrecondition("These identifiers belong to different customers.", reason="IDENTIFIER_CONFLICT")
    return Linking(
        survivor=found[0].id if found else None,
        absorbed=tuple(one.id for one in found[1:]),
        attach=tuple(one for one in personal if one.subject is None),
    )
