"""Fakes of the content service, bound to the real ones by contract tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from catalog.model import Bundle
from content_service import domain
from content_service.domain import Active, Killed, Life, State
from content_service.ports import Announcer, Audit, Bundles, Registry
from servicekit.errors import NotFound


class MemoryBundles:
    """Bundles in a dictionary."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}
        self.documents: dict[str, bytes] = {}
        self.killed: set[str] = set()
        self.revision = 0

    async def propose(self, life: Life, document: bytes, audit: Audit) -> Life:
        self.documents.setdefault(life.digest, document)
        return self.lives.setdefault(life.digest, life)

    async def life(self, digest: str) -> Life:
        if digest not in self.lives:
            raise NotFound(reason="UNKNOWN_BUNDLE")
        return self.lives[digest]

    async def document(self, digest: str) -> bytes:
        await self.life(digest)
        return self.documents[digest]

    async def change(self, digest: str, move: Callable[[Life], Life], audit: Audit) -> Life:
        self.lives[digest] = move(await self.life(digest))
        return self.lives[digest]

    async def activate(self, digest: str, audit: Audit) -> tuple[Life, Active]:
        before = await self.life(digest)
        after = domain.activate(before, now_ms=audit.at_ms)
        if after != before:
            self.revision = max(self.revision + 1, audit.at_ms)
            for other in [life for life in self.lives.values() if life.state is State.ACTIVE]:
                self.lives[other.digest] = domain.retire(other, now_ms=audit.at_ms)
            self.lives[digest] = after
        return after, await self.active()

    async def kill(self, target: Killed, *, killed: bool, audit: Audit) -> Active:
        self.revision = max(self.revision + 1, audit.at_ms)
        (self.killed.add if killed else self.killed.discard)(str(target))
        return await self.active()

    async def active(self) -> Active:
        digest = next((life.digest for life in self.lives.values() if life.state is State.ACTIVE), None)
        return Active(digest, tuple(sorted(self.killed)), self.revision)

    async def list(self, state: State | None, *, before: int, limit: int) -> Sequence[tuple[int, Life]]:
        numbered = list(enumerate(self.lives.values(), start=1))
        wanted = [(number, life) for number, life in numbered if number < before and state in (None, life.state)]
        return wanted[::-1][:limit]


class HeardAnnouncements:
    """Remembers what was announced."""

    def __init__(self) -> None:
        self.heard: list[Active] = []

    async def announce(self, active: Active) -> None:
        self.heard.append(active)


class RecordingRegistry:
    """A ledger's registry that takes everything, or refuses with `refusal`."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.published: list[Bundle] = []

    async def publish(self, bundle: Bundle, approvers: Sequence[str]) -> None:
        if self.refusal:
            raise self.refusal
        self.published.append(bundle)


_bundles: type[Bundles] = MemoryBundles
_announcer: type[Announcer] = HeardAnnouncements
_registry: type[Registry] = RecordingRegistry


@pytest.fixture
def a_life() -> Callable[..., Life]:
    """A proposed bundle of unique digest."""
    made = iter(range(10_000))

    def make(**changes: object) -> Life:
        life = Life(digest=f"sha256:{next(made):064x}", proposed_by="ada", changed_at_ms=1)
        return replace(life, **changes)  # type: ignore[arg-type]

    return make
