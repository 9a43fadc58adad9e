"""What a demonstration prints: plain words, and tables where people would rather look than read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from assent.orchestration.v1 import orchestration_service_pb2 as orchestration
from assent.orchestration.v1.explanation_pb2 import CandidateExplanation, Explanation

REASONS_SHOWN = 3


class Report:
    """Prints on one console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._step = 0

    def step(self, title: str) -> None:
        """The next step of the story."""
        self._step += 1
        self.console.print()
        self.console.rule(f"[bold]{self._step}. {escape(title)}", align="left")

    def say(self, words: str) -> None:
        """A line."""
        self.console.print(escape(words), highlight=False)

    def answer(self, decision: orchestration.DecideResponse) -> None:
        """What the customer would see, slot by slot."""
        for placement in decision.placements:
            shown = [_treatment(treatment) for treatment in placement.treatments] or ["[dim]nothing"]
            self.console.print(Panel("\n".join(shown), title=placement.placement, title_align="left", width=88))
        codes = ", ".join(degradation.code for degradation in decision.degradations)
        self.console.print(
            f"[dim]decision {decision.decision_id} | rests on ledger index {decision.consent.index} for "
            f"{', '.join(decision.consent.purposes) or 'no purpose'} | recorded as {decision.receipt.stream}/"
            f"{decision.receipt.sequence}{' | left out: ' + codes if codes else ''}",
            highlight=False,
        )

    def funnel(self, explanation: Explanation) -> None:
        """Every candidate and what became of it."""
        table = Table(title="Why, and why not", title_justify="left", width=100)
        for column in ("action", "became", "because"):
            table.add_column(column)
        for candidate in explanation.candidates:
            table.add_row(candidate.action, candidate.result, _because(candidate))
        self.console.print(table)

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table; numbers stand to the right."""
        table = Table(title=title, title_justify="left")
        body = [list(row) for row in rows]
        for position, column in enumerate(columns):
            numbers = all(isinstance(row[position], int | float) for row in body)
            table.add_column(column, justify="right" if numbers else "left")
        for row in body:
            table.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row))
        self.console.print(table)


def _treatment(treatment: orchestration.Treatment) -> str:
    content = treatment.content
    head = f"[bold]{escape(content.title or treatment.action)}[/]"
    button = f"\n[reverse] {escape(content.call_to_action)} [/]" if content.call_to_action else ""
    return f"{head}\n{escape(content.body)}{button}\n[dim]{treatment.action}, because {treatment.reason}[/]"


def _because(candidate: CandidateExplanation) -> str:
    if candidate.result in {"placed", "reserve", "outranked"}:
        score = candidate.score
        return (
            f"priority {score.priority:.6g} = P {score.propensity / 2**30:.4g} x V {score.value:g}"
            f" x C {score.context_weight:g} x L {score.lever:g}"
        )
    codes = list(dict.fromkeys(reason.code for reason in candidate.reasons))
    more = f" and {len(codes) - REASONS_SHOWN} more" if len(codes) > REASONS_SHOWN else ""
    return ", ".join(codes[:REASONS_SHOWN]) + more
