"""Filling placements (ranking.md section 8): greedy, in the bundle's order, under rules that every arm keeps.

Rules: an action is placed once; no two placed actions share an `exclusive` tag; a placement takes at most `max_per_group`
and `max_per_issue`, and nothing below its `min_priority` (mandatory actions are exempt from that one). Mandatory actions
are placed in a first round over all placements: an exclusive tag in an earlier placement cannot displace one of a later.
Reserves continue the slate under the same rules, one per placement and turn, so every subset of slate and reserves keeps
them too: whoever replaces a refused item need not check again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from ranking_service.domain.query import Placed
from ranking_service.domain.specification import Action, Placement

RESERVES: Final = 5


class Entry(NamedTuple):
    """A candidate that takes part, in the arm's order. `priority` is that of the arm `full`, which `min_priority` means."""

    action: Action
    placements: frozenset[str]
    priority: float


class Slate:
    """The slate while it is being filled."""

    def __init__(self, placements: Sequence[Placement], limits: Mapping[str, int]) -> None:
        self._placements = placements
        self._limits = limits
        self._used: set[str] = set()
        self._tags: set[str] = set()
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._taken: dict[str, list[str]] = {placement.id: [] for placement in placements}

    def fits(self, entry: Entry, placement: Placement) -> bool:
        """Whether a placement may take it now."""
        action = entry.action
        return (
            placement.id in entry.placements
            and action.id not in self._used
            and (action.mandatory or placement.min_priority is None or entry.priority >= placement.min_priority)
            and self._tags.isdisjoint(action.exclusive)
            and self._below(placement.max_per_group, (placement.id, "group", action.group))
            and self._below(placement.max_per_issue, (placement.id, "issue", action.issue))
        )

    def _below(self, limit: int | None, counted: tuple[str, str, str]) -> bool:
        return limit is None or self._counts[counted] < limit

    def take(self, entry: Entry, placement: Placement) -> None:
        """Give it the placement's next slot."""
        action = entry.action
        self._used.add(action.id)
        self._tags |= action.exclusive
        self._counts[placement.id, "group", action.group] += 1
        self._counts[placement.id, "issue", action.issue] += 1
        self._taken[placement.id].append(action.id)

    def is_open(self, placement: Placement) -> bool:
        """Whether it has an empty slot."""
        return len(self._taken[placement.id]) < self._limits[placement.id]

    def is_untouched(self, placement: Placement) -> bool:
        """Whether its first slot is empty."""
        return not self._taken[placement.id] and self.is_open(placement)

    def fill(self, entries: Iterable[Entry]) -> None:
        """Each placement's open slots, with the first entries that fit: one pass, because what does not fit never will."""
        ordered = tuple(entries)
        if not ordered:
            return
        for placement in self._placements:
            for entry in ordered:
                if not self.is_open(placement):
                    break
                if self.fits(entry, placement):
                    self.take(entry, placement)

    def placed(self) -> tuple[Placed, ...]:
        """What stands where."""
        return tuple(
            Placed(placement.id, slot, action)
            for placement in self._placements
            for slot, action in enumerate(self._taken[placement.id], start=1)
        )

    def reserve(self, entries: Sequence[Entry]) -> tuple[Placed, ...]:
        """The next ones of each placement; their slots count on."""
        if len(entries) == len(self._used):
            return ()
        placed = frozenset(self.placed())
        # One walk per placement, because what does not fit never will.
        walks = [(placement, iter(entries)) for placement in self._placements]
        for _ in range(RESERVES):
            for placement, walk in walks:
                entry = next((entry for entry in walk if self.fits(entry, placement)), None)
                if entry is not None:
                    self.take(entry, placement)
        return tuple(each for each in self.placed() if each not in placed)
