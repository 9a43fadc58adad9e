"""Listening to DECISIONS: half a second of them is judged and stored together, since nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from assent.events.v1.envelope_pb2 import Envelope
from consent_service.domain.registry import Registry
from consent_service.ports import Ledger
from consent_service.registries import Registries
from consent_service.reliance.assessing import Assessed, Decided, assess
from consent_service.reliance.decisions import decided
from servicekit.app import Subscription
from servicekit.basis import Verifier
from servicekit.grouping import Grouped

STREAM: Final = "DECISIONS"
DURABLE: Final = "consent-reliance"
GATHER_S: Final = 0.5


class Kept(Protocol):
    """Where what was relied on is kept."""

    async def add(self, assessed: Sequence[Assessed]) -> None:
        """Keep all, in one transaction; what is there already stays."""
        ...


class Folding:
    """Assesses decisions as they come."""

    def __init__(self, kept: Kept, ledger: Ledger, registries: Registries, verifier: Verifier) -> None:
        self._kept = kept
        self._ledger = ledger
        self._registries = registries
        self._verifier = verifier
        self._grouped: Grouped[Decided] = Grouped(self._write)

    async def take(self, envelope: Envelope) -> None:
        """One decision; a repeat changes nothing. Returns once it is kept."""
        await self._grouped.add(decided(envelope.decision_recorded))

    async def _write(self, made: Sequence[Decided]) -> None:
        registry, assessed = await self._registry(), list[Assessed]()
        for each in made:
            assessed.append(assess(each, self._verifier, registry))
            await asyncio.sleep(0)  # a signature at a time: decisions wait for the checks in between
        await self._kept.add(assessed)

    async def _registry(self) -> Registry:
        """The one in force now: a purpose's lawful basis never changes, so it says what those before it said."""
        return await self._registries.in_force((await self._ledger.read("")).head, self._ledger)


def subscription(folding: Folding) -> Subscription:
    """What the service hears."""
    return Subscription(STREAM, DURABLE, {"decision_recorded": folding.take}, gather_s=GATHER_S)
