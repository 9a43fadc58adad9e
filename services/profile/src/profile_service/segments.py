"""Segments: predicates of the bundle over the subject's own fields, served as the set `view.segments`.

Whoever is told a segment learns something about its inputs. So a purpose sees the set only when it covers the segments' own
categories and those of everything that they read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from catalog.expression import Expression, attributes, evaluate
from catalog.model.bundle import Bundle
from catalog.model.data import Derived
from catalog.values import Missing, Value
from profile_service.domain.facts import DAY_MS
from profile_service.domain.features import Reading
from profile_service.domain.history import History
from profile_service.domain.view import Declared, Read, Withheld, judge, remembered

SEGMENTS: Final = "view.segments"
_CAUSES: Final = {Withheld.UNKNOWN: Missing.UNKNOWN, Withheld.STALE: Missing.STALE}


def segments(bundle: Bundle, fields: Mapping[str, Declared]) -> Declared | None:
    """The field `view.segments`; None for a bundle without segments."""
    if not bundle.segments:
        return None
    when = {one.id: bundle.expression(one.when) for one in bundle.segments}
    read = {name for expression in when.values() for name in attributes(expression)}
    needs = frozenset(str(category) for name in read for category in bundle.table[name].categories)
    own = frozenset(str(one.category) for one in bundle.segments)
    derived = {one.id: one for one in bundle.derived}
    return Declared(SEGMENTS, "set", None, min(own), None, _reader(when, fields, derived), needs | own)


def _reader(when: Mapping[str, Expression], fields: Mapping[str, Declared], derived: Mapping[str, Derived]) -> Read:
    def read(history: History, now_ms: int) -> Reading | None:
        def lookup(name: str) -> Value | Missing:
            if name in derived:
                return _derive(derived[name], lookup, now_ms)
            if name not in fields:
                return Missing.UNKNOWN
            found = judge(fields[name], remembered(fields[name], history, now_ms), now_ms)
            return found.value if isinstance(found, Reading) else _CAUSES[found]

        truths = {name: evaluate(expression, lookup) for name, expression in when.items()}
        if all(truth is None for truth in truths.values()):
            return None
        members = frozenset(name for name, truth in truths.items() if truth)
        return Reading(members, min(history.newest_ms, now_ms))

    return read


def _derive(one: Derived, lookup: Callable[[str], Value | Missing], now_ms: int) -> Value | Missing:
    """Arithmetic over other attributes (`catalog.model.data.Derived`); missing when an input is."""
    inputs = [lookup(name) for name in one.of]
    missing = [value for value in inputs if isinstance(value, Missing)]
    if missing:
        return missing[0]
    return _OPERATIONS[one.op](inputs, now_ms)


_OPERATIONS: Final[Mapping[str, Callable[[list[Any], int], int | Missing]]] = {
    "add": lambda inputs, _: sum(inputs),
    "sub": lambda inputs, _: inputs[0] - inputs[1],
    "min": lambda inputs, _: min(inputs),
    "max": lambda inputs, _: max(inputs),
    "count": lambda inputs, _: len(inputs[0]),
    "ratio_bp": lambda inputs, _: inputs[0] * 10_000 // inputs[1] if inputs[1] else Missing.UNKNOWN,
    "days_since": lambda inputs, now_ms: (now_ms - inputs[0]) // DAY_MS,
}
