"""signals/*.yaml: the definitions of signals.md section 4, each with exactly one typed primitive in `detect`.

A match, `where` and `unless` stay the analyst's map (`{type: tap, role: submit}`): what its fields are depends on
the types it names, so `catalog.definitions` parses it. Sets (`$name`) and a file's `defaults` are already expanded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from catalog.frozen import Frozen, FrozenMap, JsonMap
from catalog.model.base import Bool, Category, Duration, Id, Int, Model, Number, Text, Token

Match = JsonMap
Presence = Literal["required", "not_required"]
AggregateFunction = Literal["sum", "count", "delta", "pct_change", "growth", "ratio_to_median", "cadence"]


class EventField(Model):
    """A field of an event type that the bundle adds."""

    type: Literal["int", "bool", "token"]
    category: Category


class EventType(Model):
    """A session event type that the bundle adds to the vocabulary."""

    category: Category
    fields: Frozen[Token, EventField] = FrozenMap()


class Event(Model):
    """One fact matches; with `on`, time reaches the date in that field minus `ahead`."""

    of: Match
    on: Token | None = None
    ahead: Duration = 0
    reset: Match | None = None


class Near(Model):
    """How close two facts are on the screen, in pixels (decimals allowed)."""

    px: Number
    metric: Literal["euclidean", "manhattan", "box"] = "euclidean"
    to: Literal["previous", "all"] = "previous"


class Count(Model):
    """A run of matching facts reaches `at_least`; `within` or `gap` bounds it."""

    of: Match
    at_least: Int = Field(ge=1, le=32)
    within: Duration | None = None
    gap: Duration | None = None
    same: tuple[str, ...] = ()
    near: Near | None = None
    distinct: str | None = None
    reset: Match | None = None
    apart: Duration | None = None
    refire: Literal["clear", "run"] = "clear"
    report: Literal["threshold", "end"] = "threshold"

    @field_validator("near", mode="before")
    @classmethod
    def _short_near(cls, value: object) -> object:
        return {"px": value} if isinstance(value, int | str) else value

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.within is None and self.gap is None:
            raise ValueError("count needs within or gap")
        return self


class Sequence(Model):
    """The steps happen in order inside `within`, and nothing of `without` between them."""

    steps: tuple[Match, ...] = Field(min_length=2, max_length=16)
    within: Duration
    without: Match | None = None


class Alternate(Model):
    """Back and forth: between two matches, or between the two latest values of the field `by`."""

    between: tuple[Match, Match] | None = None
    of: Match | None = None
    by: str | None = None
    switches: Int = Field(ge=1, le=32)
    within: Duration

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.between is None) == (self.of is None or self.by is None):
            raise ValueError("alternate needs either between, or of and by")
        return self


class Unless(Model):
    """What cancels an absence: a match, `within` after it and `before` ahead of it."""

    of: Match
    within: Duration | None = None
    before: Duration = 0


class Absence(Model):
    """After `after`, nothing of `unless` comes inside `within`."""

    after: Match
    unless: tuple[Unless, ...] = ()
    within: Duration
    restart: Bool = False
    merge: Duration | None = None
    presence: Presence = "required"

    @field_validator("unless", mode="before")
    @classmethod
    def _short_unless(cls, value: object) -> object:
        return [{"of": value}] if isinstance(value, Mapping) else value


class Dwell(Model):
    """Inside since `enter`, and `for_` (`for` in YAML) has passed since the last activity."""

    enter: Match
    leave: Match | None = None
    activity: Match | None = None
    for_: Duration = Field(alias="for")
    repeat: Bool = False
    presence: Presence = "required"


class AggregateOf(Model):
    """A function of the new fact and its history passes the test `is_` (`is` in YAML)."""

    of: Match
    field: Token
    fn: AggregateFunction
    window: Duration
    min_history: Int = Field(default=0, ge=0, le=64)
    is_: JsonMap = Field(alias="is")


class Composite(Model):
    """Other signals come together inside `within`."""

    all_: tuple[Token, ...] = Field(default=(), alias="all")
    any_: tuple[Token, ...] = Field(default=(), alias="any")
    at_least: Int = Field(default=1, ge=1)
    within: Duration
    same: tuple[str, ...] = ()
    without: tuple[Token, ...] = ()

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if bool(self.all_) == bool(self.any_):
            raise ValueError("composite needs either all or any")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The signals listed, whichever way."""
        return self.all_ or self.any_


Primitive = Event | Count | Sequence | Alternate | Absence | Dwell | AggregateOf | Composite


class Detect(Model):
    """Exactly one primitive, under its name."""

    event: Event | None = None
    count: Count | None = None
    sequence: Sequence | None = None
    alternate: Alternate | None = None
    absence: Absence | None = None
    dwell: Dwell | None = None
    aggregate: AggregateOf | None = None
    composite: Composite | None = None

    @field_validator("event", mode="before")
    @classmethod
    def _short_event(cls, value: object) -> object:
        return {"of": value} if isinstance(value, Mapping) and "of" not in value else value

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set & _named(self)) != 1:
            raise ValueError("detect needs exactly one primitive")
        return self

    @property
    def name(self) -> str:
        """Which primitive it is: event, count, sequence, ..."""
        return next(iter(_named(self)))

    @property
    def primitive(self) -> Primitive:
        """The primitive itself."""
        found: Primitive = getattr(self, self.name)
        return found


def _named(detect: Detect) -> set[str]:
    return {name for name in Detect.model_fields if getattr(detect, name) is not None}


class Example(Model):
    """A short story and how often the definition fires in it; `edge` ones sit at the bound or 1 ms past it."""

    fires: Int = Field(ge=0)
    edge: Bool = False
    why: Text | None = None
    events: tuple[JsonMap, ...] = Field(min_length=1)


class SignalDefinition(Model):
    """One definition. Its needs (categories) and hash are derived, see `catalog.definitions`."""

    signal: Token
    version: Int = 1
    title: Text
    why: Text
    owner: Token
    kind: Literal["friction", "trigger", "intent"]
    strength: Literal[1, 2, 3] = 2
    warrants: Literal["decision", "none"] | None = None
    key: Literal["session", "subject"]
    purpose: Id
    mode: Literal["live", "shadow"] = "live"
    internal: Bool = False
    allow: tuple[Literal["location", "sensitive"], ...] = ()
    detect: Detect
    per: tuple[str, ...] = ()
    unless: tuple[Match, ...] = ()
    where: JsonMap | None = None
    cooldown: Duration = 0
    expires: Duration
    ends_on: Match | None = None
    emit: tuple[str, ...] | None = None
    examples: tuple[Example, ...] = ()

    @property
    def id(self) -> str:
        """Its name, as every other part of the bundle calls an id."""
        return self.signal

    @property
    def warrants_decision(self) -> bool:
        """Whether orchestration should decide at once: by default for friction on session keys."""
        if self.warrants is None:
            return self.kind == "friction" and self.key == "session"
        return self.warrants == "decision"
