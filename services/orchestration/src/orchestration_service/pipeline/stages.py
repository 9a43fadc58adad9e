"""The pipeline, as a list. Adding a stage is adding a row.

A stage is a name, what it does, its share of the budget, and what becomes of the decision when it fails. It knows nothing of
deadlines, tracing, digests and recording: the runner owns those. Stages of one row run side by side.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from orchestration_service.pipeline import choose, gather, present
from orchestration_service.pipeline.draft import Draft
from orchestration_service.ports import Ports


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a decision. `run` returns what it found, None when there was nothing to do; `failed` degrades the draft."""

    name: str
    run: Callable[[Draft, Ports], Awaitable[Message | None]]
    failed: Callable[[Draft, Exception], None]
    share: float


PIPELINE: tuple[tuple[Stage, ...], ...] = (
    (Stage("resolve", gather.resolve, gather.unresolved, 3),),
    (Stage("basis", gather.basis, gather.no_basis, 4),),
    (
        Stage("view", gather.view, gather.no_view, 3),
        Stage("signals", gather.signals, gather.no_signals, 3),
        Stage("contact", gather.contact, gather.no_contact, 3),
    ),
    (Stage("evaluate", choose.evaluate, choose.no_evaluation, 3),),
    (Stage("rank", choose.rank, choose.no_ranking, 3),),
    (
        Stage("reserve", choose.reserve, choose.no_reservation, 2),
        Stage("render", present.render, present.no_render, 2),
    ),
    (Stage("rerender", present.rerender, present.no_render, 2),),
)
RECORD_SHARE = 3.0
"""What is kept back for the record."""
