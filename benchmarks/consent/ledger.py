"""The ledger's engine on a durable PostgreSQL of its own: one writer, subjects whose keys it has, and commands of about 1 kB an entry."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.consent.signed_log import LEDGER, database
from consent_service.commands import Publish, RecordChoice, Withdraw
from consent_service.domain.acceptance import Actor, Evidence, Item, Screen
from consent_service.domain.choices import NoticeRef, Scope
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.words import ActorType, Kind
from consent_service.keys import CachedSubjectKeys, Found
from consent_service.ports import NoticeBytes, Request
from consent_service.registries import Registries
from consent_service.storage import PostgresLog
from consent_service.writer import LedgerWriter, With
from servicekit import postgres
from servicekit.basis import canonical
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings

WORDS = b"We may use what you tell us for the purposes that you choose here."
NOTICE = NoticeRef("choices", 1, "en", hashlib.sha256(WORDS).hexdigest())
CHANNELS = ("branch", "contact_centre", "mobile", "web")
CATEGORIES = ("behaviour", "demographic", "holding", "interaction", "transaction")
PURPOSES = tuple(f"offers.{name}" for name in ("cards", "credit", "insurance", "invest", "mortgage", "savings"))
TWELVE = ("offers", *PURPOSES, "advice", "insight", "research", "service", "sharing")
"""As many purposes as the targets speak of."""
DAY_US = 86_400_000_000


def document(purposes: Sequence[str] = ("offers", *PURPOSES), categories: Sequence[str] = CATEGORIES) -> bytes:
    """A registry, by default with a handful of purposes."""
    every = {"channels": list(CHANNELS), "categories": list(categories), "recipients": ["self"]}
    return canonical(
        {
            "v": 1,
            "default_regimes": ["gdpr"],
            "channels": list(CHANNELS),
            "recipients": ["self"],
            "regimes": [
                {
                    "id": "gdpr",
                    "allowed_bases": ["CONSENT"],
                    "max_event_age_us": 7 * DAY_US,
                    "window_us": 0,
                    "notice_required": True,
                }
            ],
            "purposes": [
                {
                    "id": purpose,
                    "title": purpose,
                    "bases": {"gdpr": "CONSENT"},
                    "categories": list(categories),
                    "recipients": ["self"],
                }
                for purpose in sorted(purposes)
            ],
            "notices": [
                {
                    **NOTICE._asdict(),
                    "status": "OPEN",
                    "effective_from_us": 0,
                    "covers": {"purposes": sorted(purposes), **every},
                }
            ],
        }
    )


class Held:
    """Keys that are there: what the writer's cache asks once per subject is no part of the measure."""

    def __init__(self) -> None:
        self._keys: dict[str, SubjectKey] = {}

    async def get(self, subjects: Collection[str]) -> Found:
        """Those that were made."""
        return Found({subject: self._keys[subject] for subject in subjects if subject in self._keys})

    async def create(self, subjects: Collection[str]) -> Found:
        """In memory."""
        for subject in subjects:
            self._keys.setdefault(subject, SubjectKey(os.urandom(32)))
        return await self.get(subjects)

    async def rewrap(self, most: int) -> int:
        """None."""
        del most
        return 0


class Agreeing:
    """A signer that has seen every head."""

    async def confirm(self, size: int, root: bytes, epoch: int) -> None:
        """Yes."""
        del size, root, epoch


_requests = itertools.count()
_run = os.urandom(8).hex()


def a_request() -> Request:
    """An id as clients make them, and the hash of a content."""
    found = f"{_run}{next(_requests):016x}"
    return Request(found, hashlib.sha256(found.encode()).digest())


def a_grant(subject: str, chance: random.Random) -> RecordChoice:
    """One grant, with the evidence that a channel app sends."""
    purpose = chance.choice(PURPOSES)
    scope = Scope(purpose, frozenset(CHANNELS[:3]), frozenset(CATEGORIES[1:4]), frozenset({"self"}))
    actor = Actor(ActorType.AGENT, f"agent-{chance.randrange(500)}", "two_factor", f"power/{chance.randrange(10**9)}")
    evidence = Evidence("toggle", f"preferences-{chance.randrange(9)}", "en", f"session/{chance.randbytes(12).hex()}")
    return RecordChoice(a_request(), subject, Screen((Item(Kind.GRANT, scope),), actor, evidence, NOTICE))


def a_withdrawal(subject: str, chance: random.Random) -> Withdraw:
    """One purpose taken back."""
    return Withdraw(a_request(), subject, (Scope(chance.choice(PURPOSES)),), reason="changed_my_mind")


@dataclass
class Engine:
    """The writer, DSNs by role, and the subjects with their keys."""

    writer: LedgerWriter
    dsns: dict[str, str]
    subjects: list[str]
    keys: Held


@asynccontextmanager
async def engine(folder: Path, subjects: int, registry: bytes | None = None) -> AsyncIterator[Engine]:
    """A writer at work, a registry in force, and as many subjects with a first grant each."""
    async with database(folder) as dsns:
        settings = DatabaseSettings(dsn=dsns["consent_writer"], max_size=3)
        async with postgres.pool(settings, schema="consent") as pool:
            held = Held()
            given = With(
                PostgresLog(pool, LEDGER),
                CachedSubjectKeys(held),
                Registries(),
                SystemClock(),
                Agreeing(),
                "bench",
            )
            writer = LedgerWriter(given)
            running = asyncio.create_task(writer.run())
            try:
                await writer.gate.opened()
                await writer.append(
                    Publish(a_request(), registry or document(), (NoticeBytes(NOTICE, WORDS),), ("one", "two"))
                )
                ids = [os.urandom(16).hex() for _ in range(subjects)]
                chance = random.Random(1)
                for start in range(0, subjects, 512):
                    await asyncio.gather(*(writer.append(a_grant(who, chance)) for who in ids[start : start + 512]))
                yield Engine(writer, dsns, ids, held)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
