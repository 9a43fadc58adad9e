"""Runs the stages: each within its allotment, each failure into its row of the degradation table, each output digested."""

from __future__ import annotations

import asyncio
import logging
import time

from google.protobuf.message import Message

from orchestration_service.domain.budget import allotment
from orchestration_service.pipeline import present
from orchestration_service.pipeline.draft import Draft
from orchestration_service.pipeline.stages import PIPELINE, RECORD_SHARE, Stage
from orchestration_service.ports import Ports
from servicekit.deadline import ending_in
from servicekit.errors import AssentError

logger = logging.getLogger(__name__)

SHARES = (*(max(stage.share for stage in row) for row in PIPELINE), RECORD_SHARE)


async def run(draft: Draft, ports: Ports, *, ends_at: float) -> None:
    """Fill the draft; `ends_at` is a monotonic time that holds for the record too. Never raises for what is away or slow."""
    for position, row in enumerate(PIPELINE):
        seconds = allotment(ends_at - time.monotonic(), SHARES[position:])
        outputs = await asyncio.gather(*(_attempt(stage, draft, ports, seconds) for stage in row))
        for stage, (output, outcome) in zip(row, outputs, strict=True):
            draft.finished(stage.name, output, outcome)
    if any(known.stage == "render" for known in draft.degradations):
        present.answer_with_fallbacks(draft, ports.tracking_key)
    elif not draft.placements:
        present.present(draft, (), ports.tracking_key)


async def _attempt(stage: Stage, draft: Draft, ports: Ports, seconds: float) -> tuple[Message | None, str]:
    """What a stage gave and how it ended."""
    try:
        with ending_in(seconds):
            async with asyncio.timeout(seconds):
                output = await stage.run(draft, ports)
    except (AssentError, TimeoutError) as error:
        return _failed(stage, draft, error)
    except Exception as error:
        logger.exception("a stage failed", extra={"stage": stage.name})
        return _failed(stage, draft, error)
    return output, "ok" if output is not None else "skipped"


def _failed(stage: Stage, draft: Draft, error: Exception) -> tuple[None, str]:
    code = error.code if isinstance(error, AssentError) else type(error).__name__
    logger.warning("a stage was left out", extra={"stage": stage.name, "reason": code})
    stage.failed(draft, error)
    return None, code
