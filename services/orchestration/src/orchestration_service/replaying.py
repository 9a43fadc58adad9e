"""Run the pure stages of a recorded decision again, and name the first whose bytes differ."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from assent.orchestration.v1.record_pb2 import DecisionRecord
from orchestration_service.pipeline import choose, present
from orchestration_service.pipeline.draft import Draft, canonical
from orchestration_service.pipeline.observing import OK, SKIPPED
from orchestration_service.ports import Ports
from servicekit import telemetry
from servicekit.basis import SignedBasis
from servicekit.bundles import Active

SOURCES = {"view": "profile", "signals": "signals", "contact": "contact"}
"""What evaluation is told when a stage has failed."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A stage whose output is not the recorded one."""

    stage: str
    recorded: bytes
    replayed: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found."""

    stages: tuple[str, ...]
    difference: Difference | None = None


async def replay(record: DecisionRecord, ports: Ports) -> Replay:
    """Replay the stages that were run and ended well. Raises FailedPrecondition when bundle or snapshot are gone."""
    draft = await recorded_draft(record, ports)
    done: list[str] = []
    for stage, recorded, run_again in _pure_stages(record, draft, ports):
        done.append(stage)
        with telemetry.span(telemetry.REPLAY_STAGE, {telemetry.STAGE: stage}):
            again = await run_again()
        if canonical(again) != canonical(recorded):
            return Replay(tuple(done), Difference(stage, _digest(recorded), _digest(again)))
    return Replay(tuple(done))


def _pure_stages(
    record: DecisionRecord, draft: Draft, ports: Ports
) -> list[tuple[str, Message, Callable[[], Awaitable[Message]]]]:
    stages: list[tuple[str, Message, Callable[[], Awaitable[Message]]]] = []
    if record.HasField("evaluated"):
        stages.append(
            ("evaluate", record.evaluated, lambda: ports.eligibility.evaluate(choose.evaluate_request(draft)))
        )
    if record.HasField("ranked"):
        stages.append(("rank", record.ranked, lambda: ports.ranking.rank(choose.rank_request(draft, replay=True))))
    if record.HasField("rendered"):
        stages.append(
            ("render", record.rendered, lambda: ports.content.render(present.render_request(draft, draft.slate)))
        )
    return stages


async def recorded_draft(record: DecisionRecord, ports: Ports) -> Draft:
    """The draft as it was when its stages ran."""
    killed = frozenset(record.killed)
    draft = Draft(
        request=record.request,
        decision_id=record.decision_id,
        now_ms=record.now_ms,
        seed=record.seed,
        active=Active(record.bundle_digest, await ports.catalog.get(record.bundle_digest), killed, 0),
        snapshot_version=record.snapshot_version,
        cause=record.cause,
    )
    draft.subject_id, draft.members = record.subject_id, tuple(record.members)
    draft.arms = dict(record.arms)
    for name in ("view", "signals", "contact", "evaluated", "ranked", "reserved", "rendered"):
        if record.HasField(name):
            setattr(draft, name, getattr(record, name))
    if record.HasField("basis"):
        draft.signed = record.basis
        signed = SignedBasis(record.basis.body, record.basis.key_id, record.basis.signature)
        draft.basis = ports.verifier.recorded(signed)
    failed = {known.stage for known in record.stages if known.outcome not in {OK, SKIPPED}}
    draft.unavailable = {source for stage, source in SOURCES.items() if stage in failed}
    draft.slate = list(record.slate)
    return draft


def _digest(message: Message) -> bytes:
    return hashlib.sha256(canonical(message)).digest()
