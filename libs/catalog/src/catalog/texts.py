"""The bundle's Fluent texts taken apart: messages, slots, the values they name and their declared alternatives.

A treatment's message has one attribute per slot (`.title`, `.body`, `.cta`); `.<slot>-without` is the alternative
that is used when a value which the slot names is missing, and names none itself. A reason is a message with a value.
A variable is an attribute's id with dashes for dots: `$view-balance` is `view.balance`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fluent.runtime import FluentResource
from fluent.syntax import ast
from fluent.syntax.visitor import Visitor

if TYPE_CHECKING:
    from catalog.model import Action, Bundle

ALTERNATIVE = "-without"
VALUE = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """One pattern of a message: the attributes it names, the messages it refers to, its fixed characters."""

    name: str
    pattern: ast.Pattern
    variables: frozenset[str]
    references: frozenset[str]
    longest: int
    """Characters of its longest variant, counting nothing for values."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message and its slots; the slot `VALUE` is the message's own value."""

    id: str
    slots: Mapping[str, Slot]

    def alternative(self, slot: str) -> Slot | None:
        """What the slot says when a value is missing, if that was declared."""
        return self.slots.get(slot + ALTERNATIVE)


@dataclass(frozen=True)
class Texts:
    """All messages of one locale, and what could not be parsed."""

    source: str

    @cached_property
    def resource(self) -> ast.Resource:
        """The parsed resource."""
        return FluentResource(self.source)

    @cached_property
    def messages(self) -> Mapping[str, Message]:
        """Messages by id."""
        return {entry.id.name: _message(entry) for entry in self.resource.body if isinstance(entry, ast.Message)}

    @cached_property
    def junk(self) -> tuple[tuple[int, str], ...]:
        """Line and fault of every part that is not Fluent."""
        return tuple(self._junk())

    @cached_property
    def repeated(self) -> tuple[str, ...]:
        """Ids that are given more than once."""
        seen = [entry.id.name for entry in self.resource.body if isinstance(entry, ast.Message)]
        return tuple(sorted({name for name in seen if seen.count(name) > 1}))

    def _junk(self) -> Iterator[tuple[int, str]]:
        for entry in self.resource.body:
            if isinstance(entry, ast.Junk):
                fault = str(entry.annotations[0].message) if entry.annotations else "not Fluent"
                yield self.source.count("\n", 0, entry.span.start if entry.span else 0) + 1, fault


def attributes_named(bundle: Bundle) -> Mapping[str, frozenset[str]]:
    """By action the attributes that its texts name, in any locale: no other value changes its words."""
    locales = [Texts(source).messages for source in bundle.messages.values()]
    return {action.id: frozenset(_named(action, locales)) for action in bundle.actions}


def _named(action: Action, locales: Iterable[Mapping[str, Message]]) -> Iterator[str]:
    wanted = {treatment.message for treatment in action.treatments}
    for messages in locales:
        for message in wanted & messages.keys():
            for slot in messages[message].slots.values():
                yield from slot.variables


def attribute_of(variable: str) -> str:
    """The attribute that a text's variable names."""
    return variable.replace("-", ".")


def variable_of(attribute: str) -> str:
    """How a text names an attribute."""
    return attribute.replace(".", "-")


def _message(entry: ast.Message) -> Message:
    slots = {attribute.id.name: _slot(attribute.id.name, attribute.value) for attribute in entry.attributes}
    if entry.value is not None:
        slots[VALUE] = _slot(VALUE, entry.value)
    return Message(entry.id.name, slots)


def _slot(name: str, pattern: ast.Pattern) -> Slot:
    reader = _Reader()
    reader.visit(pattern)
    return Slot(name, pattern, frozenset(reader.variables), frozenset(reader.references), _longest(pattern))


def _longest(pattern: ast.Pattern) -> int:
    return sum(_length(element) for element in pattern.elements)


def _length(element: ast.TextElement | ast.Placeable) -> int:
    if isinstance(element, ast.TextElement):
        return len(element.value)
    if isinstance(element.expression, ast.SelectExpression):
        return max(_longest(variant.value) for variant in element.expression.variants)
    return 0


class _Reader(Visitor):
    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.references: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:
        self.variables.add(attribute_of(node.id.name))

    def visit_MessageReference(self, node: ast.MessageReference) -> None:
        self.references.add(node.id.name)

    def visit_TermReference(self, node: ast.TermReference) -> None:
        self.references.add(f"-{node.id.name}")
