"""Decide: run the pipeline, record, then answer. One request id, one decision.

Record before answer: the answer waits for the stream's acknowledgement. The stream de-duplicates by decision id, which is a function of
caller and request id, so of two concurrent answers the first recorded one is the decision, on whichever replica: the other reads it back.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass

from assent.eligibility.v1.eligibility_service_pb2 import ReleaseRequest
from assent.orchestration.v1 import orchestration_service_pb2 as pb
from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.domain.budget import DEFAULT_S, MARGIN
from orchestration_service.domain.ids import DecisionKey, decision_key
from orchestration_service.explaining import explain
from orchestration_service.pipeline import defaults, present
from orchestration_service.pipeline.draft import Draft, canonical
from orchestration_service.pipeline.runner import run
from orchestration_service.ports import Ports, Written
from servicekit.deadline import remaining_s
from servicekit.errors import AlreadyExists, AssentError, DeadlineExceeded

STREAM = "DECISIONS"
REMEMBERED = 10_000
REMEMBERED_MS = 10 * 60 * 1000
NO_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision."""

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
        self._running: dict[str, asyncio.Task[pb.DecideResponse]] = {}
        self._remembered: OrderedDict[str, tuple[int, bytes, pb.DecideResponse]] = OrderedDict()

    async def decide(self, request: pb.DecideRequest, *, caller: str, cause: str = "request") -> pb.DecideResponse:
        """The decision for this request. Raises AlreadyExists when the id was used for another, DeadlineExceeded when it is too late."""
        key = decision_key(caller, request.request_id)
        known = self._recall(key.decision_id, request)
        if known is not None:
            return known
        task = self._running.get(key.decision_id)
        if task is None:
            task = asyncio.create_task(self._decide(request, key, cause), name="decide")
            self._running[key.decision_id] = task
            task.add_done_callback(lambda _: self._running.pop(key.decision_id, None))
            return await asyncio.shield(task)
        await asyncio.shield(task)
        return self._recall(key.decision_id, request) or await self.decide(request, caller=caller, cause=cause)

    async def _decide(self, request: pb.DecideRequest, key: DecisionKey, cause: str) -> pb.DecideResponse:
        ends_at = time.monotonic() + _budget()
        draft = self._draft(request, key, cause)
        await run(draft, self._ports, ends_at=ends_at)
        try:
            decided = await self._record(draft, ends_at)
        except (AssentError, TimeoutError) as error:
            if isinstance(error, AlreadyExists):
                raise
            return await self._unrecorded(draft)
        answer = decided.response(request)
        self._remember(answer, request)
        return answer

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

    async def _record(self, draft: Draft, ends_at: float) -> Decided:
        """The acknowledged record; where another one of this id was first, that one."""
        record = draft.record()
        data = canonical(record)
        async with asyncio.timeout_at(asyncio.get_running_loop().time() + max(ends_at - time.monotonic(), 0.001)):
            written = await self._ports.recorder.write(
                data, decision_id=draft.decision_id, key=draft.subject_id or draft.decision_id, now_ms=draft.now_ms
            )
            if not written.duplicate:
                return Decided(record, _receipt(written, data))
            first = await self._ports.recorder.read(written.sequence)
        return _first_decision(first, written, draft.request)

    async def _unrecorded(self, draft: Draft) -> pb.DecideResponse:
        """What may be said without a record: the service defaults, nothing personal; what was reserved is given back."""
        plain = Draft(draft.request, draft.decision_id, draft.now_ms, draft.seed, draft.active, 0)
        plain.slate = defaults.static_slate(plain, {s.action: s for s in defaults.survivors(plain)})
        present.answer_with_fallbacks(plain, self._ports.tracking_key)
        draft.degrade("record", "RECORDING_UNAVAILABLE")
        if draft.reserved is not None:
            await self._release(draft)
        return pb.DecideResponse(
            decision_id=draft.decision_id,
            placements=plain.placements,
            degradations=draft.degradations,
            bundle_digest=draft.active.digest,
        )

    async def _release(self, draft: Draft) -> None:
        """Reservations end by themselves too, so one attempt is enough."""
        try:
            async with asyncio.timeout(0.05):
                await self._ports.eligibility.release(ReleaseRequest(decision_id=draft.decision_id))
        except (AssentError, TimeoutError):
            return

    def _recall(self, decision_id: str, request: pb.DecideRequest) -> pb.DecideResponse | None:
        """The answer given before, within ten minutes."""
        known = self._remembered.get(decision_id)
        if known is None or known[0] + REMEMBERED_MS < self._ports.clock.now_us() // 1000:
            return None
        _same(known[1], request)
        again = pb.DecideResponse()
        again.CopyFrom(known[2])
        again.replayed = True
        return again

    def _remember(self, answer: pb.DecideResponse, request: pb.DecideRequest) -> None:
        now_ms = self._ports.clock.now_us() // 1000
        self._remembered[answer.decision_id] = (now_ms, canonical(request), answer)
        while len(self._remembered) > REMEMBERED:
            self._remembered.popitem(last=False)


def _budget() -> float:
    """Seconds for all stages and the record."""
    left = remaining_s(NO_DEADLINE_S)
    if left <= 0:
        raise DeadlineExceeded
    return DEFAULT_S if left >= NO_DEADLINE_S else left * MARGIN


def _first_decision(data: bytes, written: Written, request: pb.DecideRequest) -> Decided:
    record = DecisionRecord.FromString(data)
    _same(canonical(record.request), request)
    return Decided(record, _receipt(written, data), replayed=True)


def _same(known: bytes, request: pb.DecideRequest) -> None:
    if known != canonical(request):
        raise AlreadyExists(
            "This request id was used with another body", reason="REQUEST_ID_REUSED", field="request_id"
        )


def _receipt(written: Written, data: bytes) -> pb.Receipt:
    return pb.Receipt(stream=STREAM, sequence=written.sequence, record_digest=hashlib.sha256(data).digest())
