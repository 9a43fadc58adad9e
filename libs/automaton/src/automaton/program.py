"""A bundle's definitions, compiled once: in dependency order, indexed by the fact types that they read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from automaton.compiling import compile_primitive
from automaton.errors import DefinitionInvalid
from automaton.facts import Grant
from automaton.matches import Match, compile_match, optional_match
from automaton.predicates import Test, compiled
from automaton.primitives import Keep, Primitive
from catalog.definitions import DEFAULT_EMIT, MEASURES, definition_hash
from catalog.expression import ExpressionInvalid, parse
from catalog.model import Bundle, SignalDefinition
from catalog.needs import references, signal_needs
from catalog.values import BOOL, INT, STRING, ValueType
from catalog.vocabulary import BANK_EVENTS, SESSION_FIELDS

Key = Literal["session", "subject"]
DEPTH: Final = 4
GATES: Final = 1024
"""Gates kept: one per set of granted pairs."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A definition ready to run; `order` is its place in the order of work."""

    order: int
    signal: str
    version: int
    hash: str
    kind: str
    strength: int
    warrants: bool
    internal: bool
    shadow: bool
    purpose: str
    needs: frozenset[str]
    per: tuple[str, ...]
    cooldown: int
    expires: int
    primitive: Primitive
    unless: tuple[Match, ...]
    where: Test | None
    ends_on: Match


@dataclass(frozen=True, slots=True)
class Gate:
    """What may be evaluated under one grant: readers and enders by fact type."""

    allowed: frozenset[int]
    readers: Mapping[str, tuple[Compiled, ...]]
    enders: Mapping[str, tuple[Compiled, ...]]


class Program:
    """The definitions of one kind of key."""

    def __init__(self, definitions: Iterable[Compiled]) -> None:
        self.definitions = tuple(definitions)
        self.by_hash = {definition.hash: definition for definition in self.definitions}
        self.everything = self._open(frozenset(definition.order for definition in self.definitions))
        self.nothing = self._open(frozenset())
        self._gates: OrderedDict[frozenset[tuple[str, str]], Gate] = OrderedDict()

    @property
    def purposes(self) -> tuple[str, ...]:
        """The purposes for which anything is evaluated, sorted."""
        return tuple(sorted({definition.purpose for definition in self.definitions}))

    def gate(self, grant: Grant | None) -> Gate:
        """What the grant lets us evaluate; without one nothing."""
        if grant is None:
            return self.nothing
        found = self._gates.get(grant.pairs)
        if found is None:
            covered = (one.order for one in self.definitions if grant.covers(one.purpose, one.needs))
            found = self._gates[grant.pairs] = self._open(frozenset(covered))
            if len(self._gates) > GATES:
                self._gates.popitem(last=False)
        return found

    def _open(self, allowed: frozenset[int]) -> Gate:
        chosen = [definition for definition in self.definitions if definition.order in allowed]
        readers: dict[str, list[Compiled]] = {}
        enders: dict[str, list[Compiled]] = {}
        for definition in chosen:
            for kind in sorted(definition.primitive.types):
                readers.setdefault(kind, []).append(definition)
            for kind in sorted(definition.ends_on.types):
                enders.setdefault(kind, []).append(definition)
        return Gate(allowed, _frozen(readers), _frozen(enders))


def _frozen(index: dict[str, list[Compiled]]) -> Mapping[str, tuple[Compiled, ...]]:
    return {kind: tuple(found) for kind, found in index.items()}


def compile_bundle(bundle: Bundle, *, key: Key = "session", only: Iterable[str] | None = None) -> Program:
    """The program of a bundle's definitions of one kind of key; `only` these signals and what they read.

    Raises DefinitionInvalid naming the first definition that cannot run.
    """
    wanted = None if only is None else _with_parts(bundle, only)
    chosen = [one for one in bundle.signals if one.key == key and (wanted is None or one.signal in wanted)]
    types = field_types(bundle)
    return Program(_compiled(bundle, one, order, types) for order, one in enumerate(in_order(chosen)))


def _with_parts(bundle: Bundle, only: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    waiting = sorted(only)
    while waiting:
        signal = waiting.pop()
        if signal in bundle.signal and signal not in found:
            found.add(signal)
            waiting.extend(references(bundle.signal[signal]))
    return frozenset(found)


def field_types(bundle: Bundle) -> Mapping[str, ValueType]:
    """The type of every field that a fact may have; an attribute has two names, `x` and `attr.x`."""
    types = {name: field.type for event in BANK_EVENTS.values() for name, field in event.fields.items()}
    types |= {name: field.type for name, field in SESSION_FIELDS.items()}
    types |= dict.fromkeys(MEASURES, INT)
    declared = {"int": INT, "bool": BOOL, "token": STRING}
    for event_type in bundle.event_types.values():
        for name, field in event_type.fields.items():
            types |= {name: declared[field.type], f"attr.{name}": declared[field.type]}
    return types


def in_order(definitions: Iterable[SignalDefinition]) -> list[SignalDefinition]:
    """What a definition reads comes before it; otherwise file order. Raises on a cycle, or deeper than 4."""
    waiting = {definition.signal: definition for definition in definitions}
    depths: dict[str, int] = {}
    ordered: list[SignalDefinition] = []
    while waiting:
        ready = next((one for one in waiting.values() if not waiting.keys() & set(references(one))), None)
        if ready is None:
            raise DefinitionInvalid(next(iter(waiting)), "REFERENCE_CYCLE", "it reads itself, through other signals")
        depths[ready.signal] = 1 + max((depths.get(part, 0) for part in references(ready)), default=0)
        if depths[ready.signal] > DEPTH + 1:
            raise DefinitionInvalid(ready.signal, "TOO_DEEP", f"signals of signals go at most {DEPTH} deep")
        ordered.append(waiting.pop(ready.signal))
    return ordered


def _compiled(bundle: Bundle, definition: SignalDefinition, order: int, types: Mapping[str, ValueType]) -> Compiled:
    needs: frozenset[str] = frozenset(signal_needs(bundle, definition.signal))
    try:
        unless = tuple(compile_match(raw, types) for raw in definition.unless)
        where = compiled(parse(definition.where, types)) if definition.where is not None else None
        ends_on = optional_match(definition.ends_on, types)
    except ExpressionInvalid as error:
        raise DefinitionInvalid(definition.signal, error.code, error.message) from error
    return Compiled(
        order=order,
        signal=definition.signal,
        version=definition.version,
        hash=definition_hash(definition),
        kind=definition.kind,
        strength=definition.strength,
        warrants=definition.warrants_decision,
        internal=definition.internal,
        shadow=definition.mode == "shadow",
        purpose=definition.purpose,
        needs=needs,
        per=definition.per,
        cooldown=definition.cooldown,
        expires=definition.expires,
        primitive=compile_primitive(definition, types, Keep(_emitted(definition, needs))),
        unless=unless,
        where=where,
        ends_on=ends_on,
    )


def _emitted(definition: SignalDefinition, needs: frozenset[str]) -> tuple[str, ...]:
    """The fields it emits: by default those whose category it needs anyway."""
    if definition.emit is not None:
        return definition.emit
    return tuple(name for name in DEFAULT_EMIT if SESSION_FIELDS[name].category in needs)
