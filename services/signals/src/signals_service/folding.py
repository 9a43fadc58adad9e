"""The fold over SESSION_EVENTS: batches in, signals out, one transaction per step.

Detections, session states, position and epoch commit together; ids are functions of the facts, so a repeat after a crash
changes nothing. Right after the commit, what warrants a decision goes out over core NATS; the outbox brings all to SIGNALS.
Time is the stream's: where something waits in a quiet partition its owner appends a message that only tells the time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Final

from assent.events.v1.signal_pb2 import SIGNAL_CHANGE_DETECTED
from automaton import Change, Detected, Detection, Ended
from servicekit import telemetry
from servicekit.bundles import Active
from servicekit.clock import Clock
from servicekit.errors import AssentError
from servicekit.folds import Fact as Stored
from servicekit.leases import Leases
from signals_service import translation
from signals_service.domain.showing import StoredSignal
from signals_service.lane import Lane
from signals_service.ports import Catalog, Definitions, Events, Live, NewSignal, Position, States, Step

logger = logging.getLogger(__name__)

TICK_S: Final = 0.05
TICK_AGAIN_MS: Final = 1_000
OWNED_S: Final = 1.0


class Fold:
    """The partitions that this replica works on."""

    def __init__(self, *, catalog: Catalog, states: States, events: Events, live: Live, clock: Clock) -> None:
        self._catalog = catalog
        self._states = states
        self._events = events
        self._live = live
        self._clock = clock
        self._lanes: dict[int, Lane] = {}
        self._ticked: dict[int, int] = {}

    async def position(self, pp: int) -> int:
        """The sequence that a partition's state stands at."""
        return await self._states.position(pp)

    async def apply(self, pp: int, epoch: int, facts: Sequence[Stored]) -> None:
        """Commit what these messages change. Raises Fenced; on any error memory is forgotten and read again."""
        active = self._catalog.active()
        lane = await self._lane(pp, epoch, active)
        try:
            await self._step(lane, active, [fact for fact in facts if fact[0] > lane.position])
        except BaseException:
            self._lanes.pop(pp, None)
            raise

    async def _lane(self, pp: int, epoch: int, active: Active[Definitions]) -> Lane:
        lane = self._lanes.get(pp)
        if lane is None or lane.epoch != epoch:
            lane = Lane(pp, epoch, await self._states.position(pp), active.bundle.program, active.digest)
            lane.restore(await self._states.sessions(pp))
            self._lanes[pp] = lane
        lane.use(active.bundle.program, active.digest)
        return lane

    async def _step(self, lane: Lane, active: Active[Definitions], facts: Sequence[Stored]) -> None:
        if not facts:
            return
        changes: list[Change] = []
        touched: list[str] = []
        conflicts: list[tuple[int, int]] = []
        for sequence, envelope, stream_ms in facts:
            stored = envelope.session_batch if envelope.HasField("session_batch") else None
            touched += [stored.session] if stored is not None else []
            changes += lane.take(stored, stream_ms)
            conflicts += [(sequence, seq) for seq in lane.take_conflicts()]
        lane.position = facts[-1][0]
        step = self._change(lane, active, changes, touched)
        new = await self._states.commit(step)
        await self._say(step, new)
        for sequence, seq in conflicts:
            await self._events.refuse(Position(lane.pp, sequence), seq, "SEQ_CONFLICT", ("seq",), step.now_ms)

    def _change(self, lane: Lane, active: Active[Definitions], changes: list[Change], touched: list[str]) -> Step:
        rows = dict(lane.rows)
        saved, removed = lane.dirty(touched)
        detected = []
        for change in changes:
            row = rows.get(change.detection.key) if isinstance(change, Detected) else None
            if isinstance(change, Detected) and row and f"signal:{change.detection.signal}" not in active.killed:
                signal = _stored(change.detection, row.subject, active.digest)
                found = change.detection
                detected.append(NewSignal(signal, lane.pp, row.channel, found.shadow, found.known_at))
        return Step(
            pp=lane.pp,
            epoch=lane.epoch,
            position=lane.position,
            stream_ms=lane.stream_ms,
            now_ms=self._clock.now_us() // 1000,
            saved=saved,
            removed=removed,
            erased=lane.take_erased(),
            detected=detected,
            ended=[change for change in changes if isinstance(change, Ended)],
        )

    async def _say(self, step: Step, new: frozenset[str]) -> None:
        """Tell at once what is new and warrants a decision."""
        over = {change.id for change in step.ended}
        for one in step.detected:
            signal = one.signal
            if signal.id not in new:
                continue
            telemetry.count(telemetry.SIGNALS_CHANGED, 1, {telemetry.SIGNAL_KIND: signal.kind})
            if signal.warrants and signal.subject and not one.shadow and signal.id not in over:
                envelope = translation.signal_changed(
                    signal, SIGNAL_CHANGE_DETECTED, reason="", at_ms=signal.at, now_ms=step.now_ms
                )
                await self._live.say(signal.subject, envelope)

    def changed(self, held: Mapping[int, int]) -> None:
        """Forget partitions that others work on now."""
        for pp in [pp for pp, lane in self._lanes.items() if held.get(pp) != lane.epoch]:
            del self._lanes[pp]

    async def keep_time(self) -> None:
        """Where something waits in a quiet partition, append the time: a task of the service's App."""
        while True:
            now_ms = self._clock.now_us() // 1000
            for pp, lane in list(self._lanes.items()):
                wakes = lane.wakes_at()
                if wakes is not None and wakes <= now_ms and now_ms - self._ticked.get(pp, 0) >= TICK_AGAIN_MS:
                    self._ticked[pp] = now_ms
                    await self._tick(pp, now_ms)
            await asyncio.sleep(TICK_S)

    async def _tick(self, pp: int, now_ms: int) -> None:
        try:
            await self._events.tick(pp, translation.tick(pp, now_ms, os.urandom(10)))
        except AssentError:
            self._ticked.pop(pp, None)

    async def say_owned(self, leases: Leases) -> None:
        """Have readers know that somebody works on the partitions held: a task of the service's App."""
        while True:
            try:
                await self._states.say_owned(leases.held)
            except AssentError as error:
                logger.info("the owner could not be heard: %s", error.code)
            await asyncio.sleep(OWNED_S)


def _stored(found: Detection, subject: str, bundle: str) -> StoredSignal:
    return StoredSignal(
        id=found.id,
        revision=0,
        definition=found.signal,
        version=found.version,
        hash=found.hash,
        kind=found.kind,
        strength=found.strength,
        warrants=found.warrants,
        internal=found.internal,
        purpose=found.purpose,
        categories=tuple(sorted(found.needs)),
        session=found.key,
        subject=subject,
        per=found.per,
        fields=found.fields,
        count=found.count,
        evidence=found.evidence,
        first_at=found.first_at,
        at=found.at,
        expires_at=found.expires_at,
        ledger_index=found.ledger_index,
        bundle=bundle,
    )
