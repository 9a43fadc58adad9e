"""Facts from the bus to handlers, nothing else: decisions and outcomes are folded, consent is heard, snapshots are built."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from assent.events.v1.consent_pb2 import LedgerChange
from assent.events.v1.envelope_pb2 import Envelope
from assent.orchestration.v1.record_pb2 import DecisionRecord
from ranking_service import handlers
from ranking_service.domain.learning import KEEP_MS, Decision, may_learn
from ranking_service.ports import Consent, Learner, Position, Publication, SnapshotStore, Specifications
from ranking_service.records import basis_of, decision_of, outcome_of, placed_something, record_of
from servicekit.app import Subscription
from servicekit.basis import Verifier
from servicekit.clock import Clock
from servicekit.errors import AssentError
from servicekit.folds import Fact

logger = logging.getLogger(__name__)

DECISIONS: Final = "DECISIONS"
OUTCOMES: Final = "OUTCOMES"
TICK_S: Final = 0.25
"""How often is built while outcomes come, and for `LATELY` ticks after."""
IDLE_S: Final = 1.0
"""How long is waited for outcomes that this replica folds, before looking for those that others folded."""
LATELY: Final = 8
TIDY_EVERY_S: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Learning:
    """What subscribers and the builder work with."""

    learner: Learner
    store: SnapshotStore
    publication: Publication
    specifications: Specifications
    consent: Consent
    verifier: Verifier
    clock: Clock
    learned: asyncio.Event = field(default_factory=asyncio.Event)

    def now_ms(self) -> int:
        """Now."""
        return self.clock.now_us() // 1000

    async def decisions_position(self, partition: int) -> int:
        """How far decisions are folded."""
        return await self.learner.position(DECISIONS, partition)

    async def outcomes_position(self, partition: int) -> int:
        """How far outcomes are folded."""
        return await self.learner.position(OUTCOMES, partition)

    async def apply_decisions(self, partition: int, epoch: int, facts: Sequence[Fact]) -> None:
        """Fold decisions of a partition."""
        recorded = [each.decision_recorded for _, each, _ in facts if each.HasField("decision_recorded")]
        decisions = [await self._decision(record_of(each)) for each in recorded]
        at = Position(DECISIONS, partition, facts[-1][0], epoch)
        await self.learner.learn_decisions(decisions, at, self.now_ms())

    async def apply_outcomes(self, partition: int, epoch: int, facts: Sequence[Fact]) -> None:
        """Fold outcomes of a partition."""
        outcomes = [outcome_of(each.outcome_recorded) for _, each, _ in facts if each.HasField("outcome_recorded")]
        at = Position(OUTCOMES, partition, facts[-1][0], epoch)
        await self.learner.learn_outcomes(outcomes, at, self.now_ms())
        self.learned.set()

    async def narrowed(self, envelope: Envelope) -> None:
        """A choice was narrowed."""
        change = envelope.consent_narrowed.change
        await handlers.narrow_subject(
            change.subject_id,
            ledger_index=change.index,
            now_ms=self.now_ms(),
            consent=self.consent,
            learner=self.learner,
            store=self.store,
            publication=self.publication,
        )

    async def erased(self, envelope: Envelope) -> None:
        """A subject is gone."""
        change = envelope.subject_erased.change
        await handlers.forget_subject(
            change.subject_id,
            request_id=_request(change),
            ledger_index=change.index,
            now_ms=self.now_ms(),
            learner=self.learner,
            store=self.store,
            publication=self.publication,
        )

    async def build(self) -> None:
        """Build and publish what is due, for ever."""
        loop = asyncio.get_running_loop()
        tidy_at, quick = loop.time(), LATELY
        while True:
            try:
                await handlers.build_snapshot(self.now_ms(), store=self.store, publication=self.publication)
                if loop.time() >= tidy_at:
                    await self.learner.tidy(self.now_ms() - KEEP_MS)
                    tidy_at = loop.time() + TIDY_EVERY_S
            except AssentError as error:
                logger.warning("building waits", extra={"reason": error.code})
            quick = await self._rest(quick)

    async def _rest(self, quick: int) -> int:
        """Wait until something may be due; how many of the next rests are short, because outcomes came lately."""
        await asyncio.sleep(TICK_S)
        if not quick:
            with suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self.learned.wait()
        if not self.learned.is_set():
            return max(0, quick - 1)
        self.learned.clear()
        return LATELY

    async def _decision(self, record: DecisionRecord) -> Decision:
        # What placed nothing teaches nothing, whatever its basis allows.
        basis = basis_of(record, self.verifier) if placed_something(record) else None
        if basis is None or not may_learn(basis.allowed):
            return decision_of(record, basis, None)
        return decision_of(record, basis, await self.specifications.get(record.bundle_digest))


def _request(change: LedgerChange) -> str:
    return f"erased-{change.ledger}-{change.epoch}-{change.index}"


def subscriptions(learning: Learning) -> list[Subscription]:
    """What ranking hears besides its folds."""
    heard = {"consent_narrowed": learning.narrowed, "subject_erased": learning.erased}
    return [Subscription(stream="CONSENT", durable="ranking-consent", handlers=heard)]
