"""When the signer refuses before it has read a leaf: the fork rule.

A database may be restored from a backup; what was signed before may not. So the signer goes on only from where it was, and each code names
what an operator has to do (docs/signer.md):

    FORK               the database is behind the last signed size, or has another root there: bring the missing entries back
    NO_LAST_SIGNED     a log, and no file that says how much of it was signed: adopt the latest note
    STALE_LAST_SIGNED  the database has a later checkpoint than the file: an old volume was put back, or a second signer is at work
    LAST_SIGNED_*      the file itself is not to be believed
    LEAF TILE HEAD CHECKPOINT   what is stored contradicts itself: somebody or something changed it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from servicekit.errors import FailedPrecondition

if TYPE_CHECKING:
    from consent_service.signing.last_signed import LastSigned


class Refused(FailedPrecondition):
    """The signer does not sign what is stored."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the database says of the log's end. `ledger` is the id, 32 hex digits."""

    ledger: str
    epoch: int
    size: int
    root: bytes
    frontier: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """The latest checkpoint in the database."""

    size: int
    root: bytes


def admit(last: LastSigned | None, head: Head | None, latest: Published | None, ledger: str) -> None:
    """Refuse unless the log may go on from the last signed checkpoint; `None` where there is no file, no head, no checkpoint."""
    if head is not None and head.ledger != ledger:
        raise Refused("The head is of another ledger.", reason="HEAD")
    size = head.size if head is not None else 0
    if last is None:
        if size or latest is not None:
            raise Refused("There are entries, and no last-signed file.", reason="NO_LAST_SIGNED")
        return
    if size < last.size:
        raise fork("The log is shorter than what was signed.")
    if latest is not None:
        _compare(last, latest)


def _compare(last: LastSigned, latest: Published) -> None:
    if latest.size > last.size:
        raise Refused("The database has a checkpoint that is later than the file.", reason="STALE_LAST_SIGNED")
    if latest.size == last.size and latest.root != last.root:
        raise fork("The checkpoint in the database is not the one that was signed.")


def fork(text: str) -> Refused:
    """The database tells another history than the one that was signed."""
    return Refused(text, reason="FORK")


def confirm(derived: Head, size: int, root: bytes, epoch: int) -> None:
    """Refuse unless this very head was derived: FORK when its root is another one, HEAD_CHANGED when it is not the head any more."""
    if (derived.size, derived.epoch) != (size, epoch):
        raise Refused("That is not the head of the log any more.", reason="HEAD_CHANGED")
    if derived.root != root:
        raise fork("The root at that size is not the one that the stored leaves give.")
