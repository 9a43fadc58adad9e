"""What the handlers need from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.model import Bundle
from content_service.domain import Active, Killed, Life, State


@dataclass(frozen=True, slots=True)
class Audit:
    """Who does something, and why: one line of the bundle's history."""

    by: str
    why: str
    at_ms: int


class Bundles(Protocol):
    """Stores bundles, their lives and what is stopped; every change is one transaction with its audit line."""

    async def propose(self, life: Life, document: bytes, audit: Audit) -> Life:
        """Store a new bundle; one that is stored already keeps its life."""
        ...

    async def life(self, digest: str) -> Life:
        """Raises NotFound."""
        ...

    async def document(self, digest: str) -> bytes:
        """The canonical JSON. Raises NotFound."""
        ...

    async def change(self, digest: str, move: Callable[[Life], Life], audit: Audit) -> Life:
        """Apply `move` to the stored life. Raises NotFound, and what `move` raises."""
        ...

    async def activate(self, digest: str, audit: Audit) -> tuple[Life, Active]:
        """Make this bundle the one that counts and retire the one before. Raises NotFound, FailedPrecondition."""
        ...

    async def kill(self, target: Killed, *, killed: bool, audit: Audit) -> Active:
        """Stop something, or let it go on."""
        ...

    async def active(self) -> Active:
        """What counts now."""
        ...

    async def list(self, state: State | None, *, before: int, limit: int) -> Sequence[tuple[int, Life]]:
        """Bundles by falling number of their proposal, those below `before` only."""
        ...


class Announcer(Protocol):
    """Tells every service which bundle counts."""

    async def announce(self, active: Active) -> None:
        """Return once the bucket has it."""
        ...


class Registry(Protocol):
    """The ledger's registry."""

    async def publish(self, bundle: Bundle, approvers: Sequence[str]) -> None:
        """Raises FailedPrecondition with the ledger's reason when it refuses."""
        ...
