"""Context weights (ranking.md section 3): percents of the rules that hold, seen through the purpose of each action.

A rule reads only what the basis lets the action's purpose see: a value whose categories are not all allowed is absent,
exactly as if nobody knew it.
"""

from __future__ import annotations

from typing import Final

from ranking_service.domain.arbitration import factor
from ranking_service.domain.query import Query
from ranking_service.domain.specification import Action, ContextRule, Readings, Specification, Value

DAYS_SINCE_SHOWN: Final = "contact.days_since_shown"
_DAY_MS: Final = 86_400_000


class Weights:
    """The context weights of one query."""

    def __init__(self, specification: Specification, query: Query) -> None:
        self._specification = specification
        self._query = query
        self._held: dict[tuple[str, str, str], bool] = {}

    def of(self, action: Action) -> float:
        """C of an action: 1 when no rule covers it."""
        covering = self._specification.covering.get(action.id)
        if covering is None:
            return 1.0
        return factor(rule.percent for rule in covering if self._holds(rule, action))

    def _holds(self, rule: ContextRule, action: Action) -> bool:
        key = (rule.id, action.purpose, action.id if DAYS_SINCE_SHOWN in rule.reads else "")
        if key not in self._held:
            self._held[key] = rule.holds(self._visible(rule, action))
        return self._held[key]

    def _visible(self, rule: ContextRule, action: Action) -> Readings:
        allowed = self._query.allowed.get(action.purpose, frozenset())
        seen = ((name, self._read(name, action)) for name in rule.reads if self._may_see(name, allowed))
        return {name: value for name, value in seen if value is not None}

    def _may_see(self, name: str, allowed: frozenset[str]) -> bool:
        categories = self._specification.categories.get(name)
        return categories is not None and categories <= allowed

    def _read(self, name: str, action: Action) -> Value | None:
        if name != DAYS_SINCE_SHOWN:
            return self._query.readings.get(name)
        shown = self._query.last_shown.get(action.id)
        return None if shown is None else (self._query.now_ms - shown) // _DAY_MS
