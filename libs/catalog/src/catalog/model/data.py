"""data.yaml: attributes, features, derived attributes and segments, each with one category and an owner."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog.frozen import JsonMap
from catalog.model.base import Category, Currency, Duration, Id, Model, Text, Token
from catalog.values import Kind, ValueType

Mutable = Literal["customer", "bank", "none"]
Source = Literal["trait", "holdings", "vulnerability", "preference", "identity", "consent", "request"]
Aggregate = Literal["sum", "count", "mean", "last", "min", "max", "days_since", "distinct", "trend", "share"]


class Typed(Model):
    """Something with a value type: money names its currency, enums and sets their values."""

    type: Kind
    currency: Currency | None = None
    values: tuple[str, ...] = ()

    @property
    def value_type(self) -> ValueType:
        """The type, as expressions and evaluators use it."""
        return ValueType(self.type, self.currency, self.values)


class Input(Typed):
    """What a rule, a text or a model may read. `mutable` says who could change it, for counterfactuals."""

    id: Id
    title: Text
    category: Category
    owner: Token
    freshness: Duration | None = None
    mutable: Mutable = "none"
    prohibited: Token | None = None


class Attribute(Input):
    """An input of rules, texts or models that is not computed from events: a trait, a holding, a flag, a context value.

    `view.*` come from profile, `context.*` from the request.
    """

    source: Source = "trait"


class Feature(Input):
    """A value that profile folds from bank events.

    Either a window: `aggregate` (`as` in YAML) over the field `of` of the events of type `source_event` (`from`) that
    match `where`, in the last `window`; or a named `detector`. With `by`, the window is folded per value of that field
    and the results are added up (`distinct`: the number of its values). `trend` is the newer half of the window
    against the older, `share` the part that satisfies `where` of all events of the type, both in basis points.
    """

    purpose: Id
    source_event: Token = Field(alias="from")
    of: Token | None = None
    aggregate: Aggregate | None = Field(default=None, alias="as")
    window: Duration | None = None
    by: Token | None = None
    where: JsonMap | None = None
    detector: Token | None = None
    parameters: JsonMap | None = None
    freshness: Duration


class Derived(Typed):
    """Arithmetic over other attributes; missing if an input is; needs the categories of all inputs.

    add, sub, min, max keep the inputs' type; ratio_bp is `of[0] * 10000 / of[1]` rounded down, missing when `of[1]`
    is zero; days_since is whole days from the time `of[0]` to now; count is the size of the set `of[0]`.
    """

    id: Id
    title: Text
    owner: Token
    op: Literal["add", "sub", "ratio_bp", "days_since", "count", "min", "max"]
    of: tuple[Id, ...]
    type: Kind = "int"


class Segment(Model):
    """A named audience; a member has `id` in the set `view.segments`. Entering and leaving are events."""

    id: Token
    title: Text
    category: Category
    owner: Token
    purpose: Id
    when: JsonMap
