"""The span, the time and the log line of a stage."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Self

from servicekit import telemetry
from servicekit.errors import AssentError, DeadlineExceeded

logger = logging.getLogger(__name__)

OK = "ok"
SKIPPED = "skipped"
BUG = "INTERNAL"


class Outcome:
    """How a stage ended: ok, skipped, or the code of its failure. The block is the stage; a class, since ten are passed per decision."""

    __slots__ = ("_span", "_spanning", "_stage", "_started", "code")

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self.code = OK

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._spanning = telemetry.span(telemetry.DECIDE_STAGE, {telemetry.STAGE: self._stage})
        self._span = self._spanning.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._span.set_attribute(telemetry.STAGE_OUTCOME, self.code)
        self._spanning.__exit__(kind, error, trace)
        seen = {telemetry.STAGE: self._stage, telemetry.STAGE_OUTCOME: self.code}
        telemetry.observe(telemetry.STAGE_DURATION, time.perf_counter() - self._started, seen)

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


def _code(error: Exception) -> str:
    """The stable code of a failure: the kit's, with one for being late and one for bugs."""
    if isinstance(error, TimeoutError):
        return DeadlineExceeded.reason
    return error.code if isinstance(error, AssentError) else BUG
