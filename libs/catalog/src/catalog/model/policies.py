"""policies/*.yaml and packs/*.yaml: who may be told what, how often, and what must never be said (eligibility.md)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from catalog.durations import UNITS_MS
from catalog.frozen import Frozen, FrozenMap, JsonMap
from catalog.model.actions import Action, Outcome
from catalog.model.bank import QuietHours
from catalog.model.base import (
    ActionKind,
    Bool,
    ContactClass,
    Duration,
    Id,
    Instant,
    Int,
    Jurisdiction,
    Model,
    Text,
    Token,
)

Stage = Literal["eligibility", "applicability", "suitability", "suppression"]
Disclosure = Literal["customer", "staff", "never"]
SCOPE_LEVELS = ("issue", "group", "action", "kind", "tag")
SHORTEST_PAUSE = UNITS_MS["m"]
LONGEST_PAUSE = 3650 * UNITS_MS["d"]


class Scope(Model):
    """Which actions: all, or those of the listed issues, groups, kinds, tags or ids. Written `all` or `{group: cards}`."""

    all_: Bool = Field(default=False, alias="all")
    issue: tuple[Token, ...] = ()
    group: tuple[Token, ...] = ()
    action: tuple[Token, ...] = ()
    kind: tuple[ActionKind, ...] = ()
    tag: tuple[Token, ...] = ()

    def covers(self, action: Action) -> bool:
        """Whether the action is in this scope."""
        own = (("issue", action.issue), ("group", action.group), ("action", action.id), ("kind", action.kind))
        return (
            self.all_ or any(name in getattr(self, level) for level, name in own) or bool({*self.tag} & {*action.tags})
        )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if value == "all":
            return {"all": True}
        if isinstance(value, dict):
            return {key: [part] if isinstance(part, str) else part for key, part in value.items()}
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.all_ + sum(bool(getattr(self, level)) for level in SCOPE_LEVELS) != 1:
            raise ValueError("a scope is `all`, or names one level: issue, group, action, kind or tag")
        return self


class Reason(Model):
    """Why not: a stable code, the message id of its text, and who may read it."""

    code: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,40}$")
    text: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    disclose: Disclosure = "staff"


class Rule(Model):
    """Actions in `scope` survive this rule when `require` holds; `missing` settles what is unknown."""

    id: Id
    stage: Stage
    scope: Scope
    require: JsonMap
    missing: Literal["fail", "pass"] = "fail"
    permission: Id | None = None
    reason: Reason

    @property
    def protective(self) -> bool:
        """Whether it may only say no: unknown counts as no."""
        return self.stage == "suppression"


class ContactPolicy(Model):
    """When the `count`-th matching outcome falls inside `window`, the scope is paused for `pause`."""

    id: Id
    level: Literal["action", "group", "issue", "all"] = Field(alias="scope")
    outcomes: tuple[Outcome, ...] = Field(min_length=1)
    channels: tuple[Token, ...] = ()
    count: Int = Field(ge=1, le=1000)
    window: Duration = Field(ge=1)
    pause: Duration = Field(ge=SHORTEST_PAUSE, le=LONGEST_PAUSE)
    applies_to: Scope | None = None
    reason: Reason | None = None


class Period(Model):
    """A calendar period in the customer's zone, or a sliding window."""

    calendar: Literal["day", "week", "month"] | None = None
    sliding: Duration | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.calendar is None) == (not self.sliding):
            raise ValueError("a period is either calendar or sliding")
        return self


class ContactLimit(Model):
    """At most `max` contacts per customer and period, whatever the response."""

    id: Id
    channels: tuple[Token, ...] = Field(min_length=1)
    classes: tuple[ContactClass, ...] = ("marketing",)
    max: Int = Field(ge=0, le=1000)
    per: Period


class HelpFirst(Model):
    """Offers stop at friction of this strength; `require_observation` also stops them for the unobserved."""

    strength: Int = Field(default=1, ge=1, le=3)
    require_observation: Bool = False


class Permission(Model):
    """A named, dated exception that lets a rule read an attribute of a prohibited basis."""

    id: Id
    tag: Token
    stages: tuple[Stage, ...]
    kinds: tuple[ActionKind, ...]
    citation: Text
    reviewed_by: Text
    reviewed_on: Instant
    expires: Instant


class Pack(Model):
    """What a jurisdiction demands. `prohibited` says what each tag means there; `zones` are its time zones."""

    jurisdiction: Jurisdiction
    version: Int
    title: Text
    effective_from: Instant
    zones: tuple[str, ...] = Field(min_length=1)
    holidays: tuple[Instant, ...] = ()
    prohibited: Frozen[Token, Text] = FrozenMap()
    permissions: tuple[Permission, ...] = ()
    rules: tuple[Rule, ...] = ()
    quiet_hours: tuple[QuietHours, ...] = ()

    @property
    def id(self) -> str:
        """As bank.yaml pins it: `EU@1`."""
        return f"{self.jurisdiction}@{self.version}"
