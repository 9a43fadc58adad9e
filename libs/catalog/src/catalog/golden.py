"""Golden cases: one customer and moment each, and what must come of it. The engine under test is an argument."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from catalog.frozen import FrozenMap
from catalog.model import Bundle, Given, GoldenCase


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an engine says: survivors, every code of each rejected action, and, if it ranks, what is shown where."""

    survivors: frozenset[str]
    rejected: Mapping[str, frozenset[str]]
    shown: Mapping[str, tuple[str, ...]] = field(default_factory=FrozenMap)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case and its differences; none means it passed."""

    name: str
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.differences


Engine = Callable[[Bundle, Given], Outcome]


def run_case(bundle: Bundle, case: GoldenCase, engine: Engine) -> CaseResult:
    """Run one case. `reject` lists all codes: one more or fewer is a difference. What is not named is not judged."""
    outcome = engine(bundle, case.given)
    return CaseResult(case.name, tuple(_differences(case, outcome)))


def run_cases(bundle: Bundle, engine: Engine) -> tuple[CaseResult, ...]:
    """Run every case of the bundle."""
    return tuple(run_case(bundle, case, engine) for case in bundle.cases)


def _differences(case: GoldenCase, outcome: Outcome) -> Iterator[str]:
    for action in case.expect.survive:
        if action not in outcome.survivors:
            yield f"{action} should survive: {' '.join(sorted(outcome.rejected.get(action, ())))}"
    for action, codes in case.expect.reject.items():
        seen = outcome.rejected.get(action, frozenset())
        if action in outcome.survivors or seen != frozenset(codes):
            yield f"{action} should be rejected with {' '.join(sorted(codes))}, not {' '.join(sorted(seen)) or 'at all'}"
    for placement, actions in case.expect.shown.items():
        if placement in outcome.shown and outcome.shown[placement] != actions:
            yield f"{placement} should show {' '.join(actions)}, not {' '.join(outcome.shown[placement])}"
