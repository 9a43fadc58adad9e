"""What the service asks of keys. Whoever uses keys cannot end them, and whoever ends them cannot read them: two ports, two roles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consent_service.domain.commitments import SubjectKey


@dataclass(frozen=True, slots=True)
class Found:
    """The keys of some subjects; one that is in neither has none yet."""

    live: Mapping[str, SubjectKey] = field(default_factory=dict)
    destroyed: frozenset[str] = frozenset()


class SubjectKeys(Protocol):
    """The keys of subjects. Each method raises Unavailable KEYS_UNAVAILABLE while the database or the KEKs are away."""

    async def get(self, subjects: Collection[str]) -> Found:
        """The keys that there are."""
        ...

    async def create(self, subjects: Collection[str]) -> Found:
        """A new key for each subject that has none; who has one keeps it, and a destroyed key is not made again."""
        ...

    async def rewrap(self, most: int) -> int:
        """Put up to `most` live keys under the newest KEK, which is made when it is due; how many were moved."""
        ...


class KeyShredder(Protocol):
    """Ends keys. Each method raises Unavailable KEYS_UNAVAILABLE while the database is away."""

    async def destroy(self, subjects: Collection[str]) -> None:
        """End the keys of these subjects for ever, also of those that have none. Repeating it changes nothing."""
        ...

    async def destroyed(self, *, after: str = "", most: int = 1000) -> Sequence[str]:
        """Subjects whose keys are gone, in order of their ids: a page, for reconciling with the ledger."""
        ...

    async def destroy_keks(self) -> Sequence[int]:
        """End each KEK whose time is over and on which no live key hangs; the epochs that ended."""
        ...


class Keks(Protocol):
    """Key-encryption keys, by the provider's name for them: a folder of files, or the bank's KMS."""

    async def create(self, epoch: int) -> str:
        """The name of the KEK of this epoch, made unless it is there."""
        ...

    async def wrap(self, ref: str, keys: Sequence[bytes]) -> list[bytes]:
        """Each key wrapped."""
        ...

    async def unwrap(self, ref: str, wrapped: Sequence[bytes]) -> list[bytes]:
        """Each key again; Unavailable when the KEK is not there or does not fit."""
        ...

    async def destroy(self, ref: str) -> None:
        """End this KEK. Repeating it changes nothing."""
        ...
