"""What an erasure appends: for each subject the entry that closes its chain, and a tombstone in place of its state. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from consent_service.domain.entries import Entry, Head, Lineage, Write
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.words import Kind, Status
from servicekit.errors import FailedPrecondition


def erase(head: Head, lineages: Sequence[Lineage], *, now_us: int, case: str) -> Write:
    """One entry for each subject that is not erased yet. All that are one person go together, or none does.

    Raises FailedPrecondition MEMBERS_CHANGED when these are not all of them, NOT_SEALED when one is not sealed.
    """
    living = [lineage for lineage in lineages if not lineage[0].erased]
    _require_whole(living, {lineage[0].subject for lineage in lineages})
    entries = tuple(
        Entry(
            index=head.size + number,
            epoch=head.epoch,
            kind=Kind.ERASURE,
            recorded_us=now_us,
            event_us=now_us,
            subject=lineage[0].subject,
            note={"case": case},
        )
        for number, lineage in enumerate(living)
    )
    states = tuple(map(tombstone, entries))
    return Write(entries, states, tuple((state.subject, state.members) for state in states))


def _require_whole(living: Sequence[Lineage], named: set[str]) -> None:
    roots = [lineage[-1] for lineage in living]
    if not {member for root in roots for member in root.members} <= named:
        raise FailedPrecondition("More subjects are this person now.", reason="MEMBERS_CHANGED")
    if any(root.status is not Status.SEALED for root in roots):
        raise FailedPrecondition("The subject is not sealed.", reason="NOT_SEALED")


def tombstone(entry: Entry) -> SubjectState:
    """What is left of a subject: its id, that it is erased, and, until the stream knows it, where that is written."""
    assert entry.subject is not None
    return replace(unknown(entry.subject), erased=True, last_index=entry.index)
