"""sequence: facts match the steps in order.

"e1..en match the steps in order, each fact used once, t(en) - t(e1) <= within, no `without` fact between them, none used by
an earlier firing. Other facts are skipped; the chain that starts latest wins; `without` wins over a step."

One chain per step suffices: of two chains that got equally far, the one that started later can be finished whenever the
other can, because only the start and the end are bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from automaton.facts import Fact
from automaton.matches import Match
from automaton.primitives.base import Firing, Keep, Seen, Untimed, seen


@dataclass(slots=True)
class Chains:
    """`far[k]` is the chain that has matched k + 1 steps, with the ordinal of its first fact."""

    far: list[tuple[int, list[Seen]] | None]
    taken: int = 0


@dataclass(frozen=True, slots=True)
class Sequence(Untimed):
    """The compiled steps."""

    steps: tuple[Match, ...]
    within: int
    without: Match
    keep: Keep

    @property
    def types(self) -> frozenset[str]:
        """The fact types it looks at."""
        return self.without.types.union(*(step.types for step in self.steps))

    def fresh(self) -> Chains:
        """No chain."""
        return Chains([None] * (len(self.steps) - 1))

    def feed(self, state: Chains, fact: Fact, *, hidden: bool) -> Firing | None:
        """Lengthen the chains, longest first, so that a chain takes the fact once."""
        if self.without(fact):
            state.far = [None] * len(state.far)
            return None
        if hidden:
            return None
        last = len(self.steps) - 1
        if self.steps[last](fact) and (chain := self._open(state, last - 1, fact.t)):
            return self._fire(state, [*chain[1], self.keep.of(fact)])
        for step in range(last - 1, -1, -1):
            if self.steps[step](fact):
                self._lengthen(state, step, fact)
        return None

    def _open(self, state: Chains, step: int, t: int) -> tuple[int, list[Seen]] | None:
        chain = state.far[step]
        return chain if chain and t - chain[1][0].t <= self.within else None

    def _lengthen(self, state: Chains, step: int, fact: Fact) -> None:
        if step == 0:
            state.taken += 1
            state.far[0] = (state.taken, [self.keep.of(fact)])
            return
        chain, there = self._open(state, step - 1, fact.t), state.far[step]
        if chain and (there is None or chain[0] > there[0]):
            state.far[step] = (chain[0], [*chain[1], self.keep.of(fact)])

    def _fire(self, state: Chains, chain: list[Seen]) -> Firing:
        state.far = [None] * len(state.far)
        evidence = tuple(kept.mark for kept in chain)
        return Firing(chain[-1].t, evidence, chain[0].fields)

    def idle(self, state: Chains) -> bool:
        """Whether no chain is open."""
        return not any(state.far)

    def dump(self, state: Chains) -> Any:
        """As JSON values."""
        return [state.taken, [chain and [chain[0], chain[1]] for chain in state.far]]

    def load(self, raw: Any) -> Chains:
        """From `dump`."""
        taken, far = raw
        return Chains([chain and (chain[0], [seen(kept) for kept in chain[1]]) for chain in far], taken)
