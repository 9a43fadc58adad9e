"""Runs the stages: each within its allotment, each failure into its row of the degradation table, each output digested."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from google.protobuf.message import Message

from orchestration_service.domain.budget import allotment
from orchestration_service.pipeline import present
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.observing import Outcome
from orchestration_service.pipeline.stages import PIPELINE, RECORD_SHARE, Stage
from orchestration_service.ports import Ports
from servicekit.deadline import Within

Ended = tuple[Message | None, str]
SHARES = (*(max(stage.share for stage in row) for row in PIPELINE), RECORD_SHARE)


async def run(draft: Draft, ports: Ports, *, ends_at: float) -> None:
    """Fill the draft; `ends_at` is a monotonic time that holds for the record too. Never raises for what is away, slow or wrong."""
    for position, row in enumerate(PIPELINE):
        seconds = allotment(ends_at - time.monotonic(), SHARES[position:])
        for stage, (output, outcome) in zip(row, await _side_by_side(row, draft, ports, seconds), strict=True):
            draft.finished(stage.name, output, outcome)
    if any(known.stage == "render" for known in draft.degradations):
        present.answer_with_fallbacks(draft, ports.tracking_key)
    else:
        present.answer_with_words(draft, ports.tracking_key)


async def _side_by_side(row: Sequence[Stage], draft: Draft, ports: Ports, seconds: float) -> Sequence[Ended]:
    """How the stages of a row ended; one alone needs no task of its own."""
    if len(row) == 1:
        return [await _attempt(row[0], draft, ports, seconds)]
    return await asyncio.gather(*(_attempt(stage, draft, ports, seconds) for stage in row))


async def _attempt(stage: Stage, draft: Draft, ports: Ports, seconds: float) -> Ended:
    """What a stage gave and how it ended; whatever it raises is its failure."""
    with Outcome(stage.name) as outcome:
        try:
            with Within(seconds):
                output = await stage.run(draft, ports)
        except Exception as error:  # noqa: BLE001  # every failure has its row
            outcome.failed(error)
            stage.failed(draft, error)
            return None, outcome.code
        if output is None:
            outcome.skipped()
        return output, outcome.code
