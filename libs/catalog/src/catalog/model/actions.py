"""actions/*.yaml: what the bank can do, and how it is said on each channel."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from catalog.frozen import Frozen, FrozenMap
from catalog.model.bank import SlotName
from catalog.model.base import (
    ActionKind,
    Bool,
    ContactClass,
    Duration,
    Id,
    Instant,
    Locale,
    Model,
    Number,
    Percent,
    Text,
    Token,
)


def _harmless(link: str) -> str:
    if link.partition(":")[0] in {"javascript", "data", "vbscript", "file", "http"}:
        raise ValueError("a link leads into the app or to https")
    return link


Tone = Literal["neutral", "helpful", "reassuring", "urgent", "celebrating"]
Link = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9+-]*:[^\s{}<>\"']+$", max_length=200), AfterValidator(_harmless)
]
"""Where a tap leads: the app's own scheme or https; never a script."""

Outcome = Literal["impression", "click", "dismiss", "accept", "convert", "complaint"]


class Validity(Model):
    """In force in `[from, until)`; without `until` until the bundle is replaced."""

    start: Instant = Field(alias="from")
    until: Instant | None = None


class Treatment(Model):
    """One rendering of an action on some channels: the attributes of one Fluent message, per slot.

    `variant` names a tone or persona alternative that a policy or an experiment chooses; None is the ordinary one.
    """

    id: Id
    channels: tuple[Token, ...] = Field(min_length=1)
    message: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    slots: tuple[SlotName, ...] = Field(default=("title", "body", "cta"), min_length=1)
    link: Link | None = None
    icon: Token | None = None
    tone: Tone = "neutral"
    format: Token = "card"
    variant: Token | None = None


class Attribution(Model):
    """Which outcome counts as success, and for how long after the impression."""

    outcome: Outcome = "click"
    window: Duration = 7 * 86_400_000


class Action(Model):
    """One thing that the bank can do for a customer.

    `warranted_by`: the signals of which at least one must be active; empty: none is needed. `policies`: rules of scope
    `action` that the reader should know of, checked to exist. `fallback`: what orchestration shows when content is down.
    """

    id: Token
    title: Text
    issue: Token
    group: Token
    kind: ActionKind
    sells: Bool | None = None
    contact_class: ContactClass
    purpose: Id
    owner: Token
    value: Number | None = None
    lever: Percent = 0
    default_propensity: Number | None = None
    model: Token | None = None
    validity: Validity
    mandatory: Bool = False
    exclusive: tuple[Token, ...] = ()
    tags: tuple[Token, ...] = ()
    warranted_by: tuple[Token, ...] = ()
    placements: tuple[Id, ...] = Field(min_length=1)
    policies: tuple[Id, ...] = ()
    treatments: tuple[Treatment, ...] = Field(min_length=1)
    fallback: Frozen[Locale, Text] = FrozenMap()
    attribution: Attribution = Attribution()

    @property
    def selling(self) -> bool:
        """Whether it sells: offers always, nudges and layouts when declared, the rest never."""
        if self.kind == "offer":
            return True
        return self.kind in {"nudge", "layout"} and bool(self.sells)

    @property
    def worth(self) -> Decimal:
        """Its declared value in the bank's currency; 1 when none is declared, as arbitration has it."""
        return Decimal(1) if self.value is None else self.value

    def treatments_on(self, channel: str, variant: str | None = None) -> tuple[Treatment, ...]:
        """Its treatments for a channel, of that variant; without one of that variant, the ordinary ones."""
        here = [treatment for treatment in self.treatments if channel in treatment.channels]
        wanted = [treatment for treatment in here if treatment.variant == variant]
        return tuple(wanted or [treatment for treatment in here if treatment.variant is None])
