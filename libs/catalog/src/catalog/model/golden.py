"""tests/*.yaml: golden cases, one customer and moment each, with what must and must not survive."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog.frozen import Frozen, FrozenMap, Json, JsonMap
from catalog.model.base import Bool, Category, Id, Instant, Int, Jurisdiction, Locale, Model, Text, Token


class ActiveSignal(Model):
    """A signal that is active; kind and strength are the definition's unless given."""

    id: Token
    strength: Int | None = None
    fields: JsonMap = FrozenMap()


class Pause(Model):
    """A contact pause in force: the policy and the key (action, group or issue id, or `all`) it stops."""

    policy: Id
    key: str
    channel: Token | None = None
    until: Instant


class Used(Model):
    """How much of a contact limit is used in its present period."""

    limit: Id
    used: Int


class LastShown(Model):
    """When an action was last shown."""

    action: Token
    at: Instant


class Contact(Model):
    """Contact state as GetContactState returns it."""

    pauses: tuple[Pause, ...] = ()
    counts: tuple[Used, ...] = ()
    last_shown: tuple[LastShown, ...] = ()


class Given(Model):
    """The request. `basis` maps purposes to categories and need not be signed; `{}` allows nothing."""

    now: Instant
    basis: Frozen[Id, tuple[Category, ...]] = FrozenMap()
    jurisdictions: tuple[Jurisdiction, ...] = ()
    channel: Token
    placements: tuple[Id, ...] = ()
    locale: Locale | None = None
    view: Frozen[Id, Json] = FrozenMap()
    signals: tuple[ActiveSignal, ...] = ()
    signals_fresh: Bool = True
    context: Frozen[Id, Json] = FrozenMap()
    contact: Contact = Contact()
    killed: tuple[Token, ...] = ()
    unavailable: tuple[Literal["profile", "signals", "contact"], ...] = ()


class Expected(Model):
    """What must come out. `survive`: these do; `reject`: these do not, with exactly these codes.

    `shown`: per placement, the actions a slate shows, in order (run by ranking, not by eligibility).
    """

    survive: tuple[Token, ...] = ()
    reject: Frozen[Token, tuple[str, ...]] = FrozenMap()
    shown: Frozen[Id, tuple[Token, ...]] = FrozenMap()


class GoldenCase(Model):
    """One story that must keep its ending in every later bundle."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_ ,'-]{3,120}$")
    why: Text | None = None
    given: Given
    expect: Expected
