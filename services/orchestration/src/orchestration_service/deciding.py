"""Decide: run the pipeline, record, then answer. One request id, one decision.

Record before answer: the answer waits for the stream's acknowledgement. The stream de-duplicates by decision id, which is a function of
caller and request id, so of two concurrent answers the first recorded one is the decision, on whichever replica: the other reads it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Collection
from contextvars import Context
from dataclasses import dataclass

from assent.eligibility.v1.eligibility_service_pb2 import ReleaseRequest
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.domain.budget import budget_s
from orchestration_service.domain.ids import DecisionKey, decision_key
from orchestration_service.explaining import explain
from orchestration_service.pipeline import present
from orchestration_service.pipeline.draft import Draft, canonical
from orchestration_service.pipeline.observing import Outcome
from orchestration_service.pipeline.runner import run
from orchestration_service.pipeline.trust import WrongAnswer, shown_items
from orchestration_service.ports import Ports, Written
from orchestration_service.remembering import Answered, Remembered, refuse_other
from servicekit import telemetry
from servicekit.errors import AssentError, DeadlineExceeded

logger = logging.getLogger(__name__)

RECORD = "record"
STREAM = "DECISIONS"
RELEASE_S = 1.0


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision; `replayed`: another call recorded it."""

    record: DecisionRecord
    receipt: pb.Receipt
    replayed: bool = False

    def response(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """The answer to a channel app."""
        record = self.record
        answer = pb.DecideResponse(
            decision_id=record.decision_id,
            placements=record.placements,
            degradations=record.degradations,
            consent=record.consent,
            bundle_digest=record.bundle_digest,
            snapshot_version=record.snapshot_version,
            receipt=self.receipt,
            replayed=self.replayed,
        )
        if request.explain:
            answer.explanation.CopyFrom(explain(record, "customer"))
        return answer


class Decider:
    """Decides, and remembers for ten minutes what it decided."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._running: dict[str, asyncio.Task[Answered]] = {}
        self._releasing: set[asyncio.Task[None]] = set()
        self.remembered = Remembered(ports.clock)

    async def decide(
        self, request: pb.DecideRequest, *, caller: str, cause: str = "request", within_s: float | None = None
    ) -> pb.DecideResponse:
        """The decision for this request, within the client's deadline if it has one.

        Raises AlreadyExists when the id was used for another request, DeadlineExceeded when it is too late.
        """
        key, asked = decision_key(caller, request.request_id), canonical(request)
        known = self.remembered.get(key.decision_id)
        if known is not None:
            return known.again(asked)
        running = self._running.get(key.decision_id)
        if running is not None:
            return (await asyncio.shield(running)).again(asked)
        return (await asyncio.shield(self._start(request, asked, key, cause, within_s))).answer

    def _start(
        self, request: pb.DecideRequest, asked: bytes, key: DecisionKey, cause: str, within_s: float | None
    ) -> asyncio.Task[Answered]:
        """The work is a task of its own: a caller that goes away takes nothing from those who wait for the same decision."""
        if within_s is not None and within_s <= 0:
            raise DeadlineExceeded
        ends_at = time.monotonic() + budget_s(within_s)
        task = asyncio.create_task(self._decide(request, asked, key, cause, ends_at), name="decide")
        self._running[key.decision_id] = task
        task.add_done_callback(lambda done: self._ended(key.decision_id, done))
        return task

    def _ended(self, decision_id: str, task: asyncio.Task[Answered]) -> None:
        del self._running[decision_id]
        if not task.cancelled():
            task.exception()  # whoever still waits gets it; nobody may be left to

    async def _decide(
        self, request: pb.DecideRequest, asked: bytes, key: DecisionKey, cause: str, ends_at: float
    ) -> Answered:
        started = time.perf_counter()
        draft = self._draft(request, key, cause)
        await run(draft, self._ports, ends_at=ends_at)
        decided = await self._recorded(draft, ends_at)
        self._give_back(draft, decided)
        if decided is None:
            draft.degrade(RECORD, "RECORDING_UNAVAILABLE")
        _count(draft, time.perf_counter() - started)
        if decided is None:
            return Answered(asked, _unrecorded(draft), draft.subject_id)
        if decided.replayed:
            refuse_other(canonical(decided.record.request), asked)
        answered = Answered(asked, decided.response(request), decided.record.subject_id)
        self.remembered.keep(answered)
        return answered

    def _draft(self, request: pb.DecideRequest, key: DecisionKey, cause: str) -> Draft:
        return Draft(
            request=request,
            decision_id=key.decision_id,
            now_ms=self._ports.clock.now_us() // 1000,
            seed=key.seed,
            active=self._ports.catalog.active(),
            snapshot_version=self._ports.snapshots.head(),
            cause=cause,
        )

    async def _recorded(self, draft: Draft, ends_at: float) -> Decided | None:
        """The acknowledged decision; None when there is no telling that it was recorded in time, whatever the reason."""
        with Outcome(RECORD) as outcome:
            try:
                async with asyncio.timeout(max(ends_at - time.monotonic(), 0.001)):
                    return await self._record(draft)
            except Exception as error:  # noqa: BLE001  # whatever it is, nothing personal may be shown
                outcome.failed(error)
        return None

    async def _record(self, draft: Draft) -> Decided:
        """Where another decision of this id was first, that one."""
        record = draft.record()
        data = canonical(record)
        written = await self._ports.recorder.write(
            data, decision_id=draft.decision_id, key=draft.subject_id or draft.decision_id, now_ms=draft.now_ms
        )
        if not written.duplicate:
            return Decided(record, _receipt(written, data))
        first = await self._ports.recorder.read(written.sequence)
        record = DecisionRecord.FromString(first)
        if record.decision_id != draft.decision_id:
            raise WrongAnswer
        return Decided(record, _receipt(written, first), replayed=True)

    def _give_back(self, draft: Draft, decided: Decided | None) -> None:
        """Release what was asked for and is not shown. Reservations end by themselves too, so one attempt is enough."""
        shown = shown_items(decided.record.placements, decided.record.slate) if decided else ()
        spare = draft.asked.difference(shown)
        if spare:
            # Without the call's context: its deadline must not end this, and the answer does not wait for it.
            task = asyncio.create_task(self._release(draft.decision_id, spare), context=Context())
            self._releasing.add(task)
            task.add_done_callback(self._releasing.discard)

    async def _release(self, decision_id: str, items: Collection[str]) -> None:
        request = ReleaseRequest(decision_id=decision_id, items=sorted(items))
        try:
            async with asyncio.timeout(RELEASE_S):
                await self._ports.eligibility.release(request)
        except Exception as error:  # noqa: BLE001  # it was one attempt
            reason = error.code if isinstance(error, AssentError) else type(error).__name__
            logger.warning("reservations were left to end by themselves", extra={"reason": reason})


def _count(draft: Draft, seconds: float) -> None:
    channel = {telemetry.CHANNEL: draft.request.channel}
    telemetry.count(telemetry.DECISIONS, 1, channel)
    telemetry.observe(telemetry.DECISION_DURATION, seconds, channel)
    for known in draft.degradations:
        telemetry.count(telemetry.DEGRADATIONS, 1, {telemetry.DEGRADATION: known.code, telemetry.STAGE: known.stage})


def _unrecorded(draft: Draft) -> pb.DecideResponse:
    """The service defaults, nothing personal, no receipt."""
    return pb.DecideResponse(
        decision_id=draft.decision_id,
        placements=present.unpersonalized(draft),
        degradations=draft.degradations,
        bundle_digest=draft.active.digest,
    )


def _receipt(written: Written, data: bytes) -> pb.Receipt:
    return pb.Receipt(stream=STREAM, sequence=written.sequence, record_digest=hashlib.sha256(data).digest())
