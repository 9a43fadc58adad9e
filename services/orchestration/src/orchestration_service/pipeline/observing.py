"""The span, the time and the log line of a stage."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from servicekit import telemetry
from servicekit.errors import AssentError, DeadlineExceeded

logger = logging.getLogger(__name__)

OK = "ok"
SKIPPED = "skipped"
BUG = "INTERNAL"


class Outcome:
    """How a stage ended: ok, skipped, or the code of its failure."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.code = OK

    def skipped(self) -> None:
        """There was nothing to do."""
        self.code = SKIPPED

    def failed(self, error: Exception) -> None:
        """It failed; a bug is logged with its frames, everything else with its code."""
        self.code = _code(error)
        if self.code == BUG:
            logger.error("a stage failed", exc_info=error, extra={"stage": self._stage})
        else:
            logger.warning("a stage was left out", extra={"stage": self._stage, "reason": self.code})


@asynccontextmanager
async def observed(stage: str) -> AsyncIterator[Outcome]:
    """The block is the stage."""
    outcome, started = Outcome(stage), time.perf_counter()
    with telemetry.span(telemetry.DECIDE_STAGE, {telemetry.STAGE: stage}) as span:
        yield outcome
        span.set_attribute(telemetry.STAGE_OUTCOME, outcome.code)
    seen = {telemetry.STAGE: stage, telemetry.STAGE_OUTCOME: outcome.code}
    telemetry.observe(telemetry.STAGE_DURATION, time.perf_counter() - started, seen)


def _code(error: Exception) -> str:
    """The stable code of a failure: the kit's, with one for being late and one for bugs."""
    if isinstance(error, TimeoutError):
        return DeadlineExceeded.reason
    return error.code if isinstance(error, AssentError) else BUG
