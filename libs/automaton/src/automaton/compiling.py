"""From a definition's `detect` to a compiled primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from automaton import primitives
from automaton.errors import DefinitionInvalid, NotBuiltYet
from automaton.matches import NOTHING, Match, compile_match, optional_match
from automaton.near import near
from automaton.primitives import Keep, Primitive
from catalog.expression import ExpressionInvalid
from catalog.model import signals as model
from catalog.values import ValueType

Types = Mapping[str, ValueType]
DEFAULT_LEAVE = Match(frozenset({"screen_left", "session_end"}), None)
SESSION_END = Match(frozenset({"session_end"}), None)


def compile_primitive(definition: model.SignalDefinition, types: Types, keep: Keep) -> Primitive:
    """The primitive; raises DefinitionInvalid or NotBuiltYet naming the definition."""
    make = _MAKERS.get(definition.detect.name)
    if make is None:
        raise NotBuiltYet(definition.signal, f"the primitive {definition.detect.name}")
    try:
        return make(definition, definition.detect.primitive, types, keep)
    except ExpressionInvalid as error:
        raise DefinitionInvalid(definition.signal, error.code, error.message) from error


def _positive(definition: model.SignalDefinition, raw: Mapping[str, object], types: Types) -> Match:
    match = compile_match(raw, types)
    if not match.types:
        raise DefinitionInvalid(definition.signal, "MATCH_WITHOUT_TYPE", "a match names a type or a signal")
    return match


def _event(definition: model.SignalDefinition, event: model.Event, types: Types, keep: Keep) -> Primitive:
    if event.on is not None:
        raise NotBuiltYet(definition.signal, "event with `on`")
    return primitives.Event(_positive(definition, event.of, types), keep)


def _count(definition: model.SignalDefinition, count: model.Count, types: Types, keep: Keep) -> Primitive:
    at_end = count.report == "end"
    return primitives.Count(
        of=_positive(definition, count.of, types),
        at_least=count.at_least,
        within=count.within,
        gap=count.gap,
        same=count.same,
        near=near(count.near.px, count.near.metric, to_all=count.near.to == "all") if count.near else None,
        distinct=count.distinct,
        reset=optional_match(count.reset, types),
        apart=count.apart,
        silent=count.refire == "run",
        at_end=at_end,
        ends=SESSION_END if at_end else NOTHING,
        keep=keep,
    )


def _sequence(definition: model.SignalDefinition, sequence: model.Sequence, types: Types, keep: Keep) -> Primitive:
    steps = tuple(_positive(definition, step, types) for step in sequence.steps)
    return primitives.Sequence(steps, sequence.within, optional_match(sequence.without, types), keep)


def _alternate(definition: model.SignalDefinition, alternate: model.Alternate, types: Types, keep: Keep) -> Primitive:
    sides = None
    if alternate.between is not None:
        left, right = alternate.between
        sides = (_positive(definition, left, types), _positive(definition, right, types))
    of = NOTHING if alternate.of is None else _positive(definition, alternate.of, types)
    return primitives.Alternate(sides, of, alternate.by or "", alternate.switches, alternate.within, keep)


def _dwell(definition: model.SignalDefinition, dwell: model.Dwell, types: Types, keep: Keep) -> Primitive:
    return primitives.Dwell(
        enter=_positive(definition, dwell.enter, types),
        leave=DEFAULT_LEAVE if dwell.leave is None else compile_match(dwell.leave, types),
        activity=optional_match(dwell.activity, types),
        wait=dwell.for_,
        repeat=dwell.repeat,
        present=definition.key == "session" and dwell.presence == "required",
        keep=keep,
    )


_MAKERS: Mapping[str, Callable[[model.SignalDefinition, Any, Types, Keep], Primitive]] = {
    "event": _event,
    "count": _count,
    "sequence": _sequence,
    "alternate": _alternate,
    "dwell": _dwell,
}
