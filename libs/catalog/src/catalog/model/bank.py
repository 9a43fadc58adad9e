"""bank.yaml, channels.yaml and journeys/*.yaml: who the bank is, where it speaks, and what customers do there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog.frozen import Frozen, FrozenMap, JsonMap
from catalog.model.base import (
    Bool,
    Clock,
    ContactClass,
    Currency,
    Duration,
    Id,
    Int,
    Jurisdiction,
    Locale,
    Model,
    Number,
    Text,
    Token,
)

SlotName = Literal["title", "body", "cta"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class BankLocale(Model):
    """A language of the bank; a text missing here is taken from `fallback`."""

    id: Locale
    fallback: Locale | None = None


class Bank(Model):
    """The bank itself. The first locale is the default; `packs` pins the jurisdiction packs as `EU@1`.

    `regimes` apply to every consent check; without any, the first regime of purposes.yaml does.
    """

    name: Text
    jurisdiction: Jurisdiction
    currency: Currency
    time_zone: Text
    locales: tuple[BankLocale, ...]
    packs: tuple[str, ...] = ()
    regimes: tuple[Token, ...] = ()

    @property
    def locale_ids(self) -> tuple[str, ...]:
        """The declared locales, the default first."""
        return tuple(locale.id for locale in self.locales)

    def locale_chain(self, wanted: str) -> tuple[str, ...]:
        """Where to look for a text: the wanted locale, its declared fallbacks, the same language, the default."""
        fallbacks = {locale.id: locale.fallback for locale in self.locales}
        chain: list[str] = []
        current: str | None = wanted
        while current in fallbacks and current not in chain:
            chain.append(current)
            current = fallbacks[current]
        language = [known for known in self.locale_ids if known.partition("-")[0] == wanted.partition("-")[0]]
        return tuple(dict.fromkeys([*chain, *(() if chain else language), self.locale_ids[0]]))


class QuietHours(Model):
    """Local wall time in which an outbound channel is silent, except for the listed contact classes."""

    channels: tuple[Token, ...]
    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    days: tuple[Weekday, ...] = ()
    holidays: Bool = False
    jurisdiction: Jurisdiction | None = None
    exempt: tuple[ContactClass, ...] = Field(default=(), alias="except")


class Channel(Model):
    """A way to reach the customer. `outbound` ones interrupt: quiet hours and longer reservations apply."""

    id: Token
    title: Text
    outbound: Bool = False
    escaping: Literal["text", "html", "markdown"] = "text"
    slots: tuple[SlotName, ...] = ("title", "body", "cta")
    quiet_hours: tuple[QuietHours, ...] = ()


class Placement(Model):
    """A slot of a channel where treatments appear; `limits` is the longest text per slot, in characters."""

    id: Id
    title: Text
    channels: tuple[Token, ...]
    max_items: Int = 1
    formats: tuple[Token, ...] = ("card",)
    limits: Frozen[SlotName, Int] = FrozenMap()
    max_per_group: Int | None = None
    max_per_issue: Int | None = None
    min_priority: Number | None = None
    audience: Literal["customer", "staff"] = "customer"


class Step(Model):
    """One step of a journey; a critical one is where hesitation is worth help."""

    id: Token
    title: Text
    critical: Bool = False


class Journey(Model):
    """A flow with a beginning and an end; `completes_on` is the match that ends it."""

    id: Token
    title: Text
    owner: Token
    flow: Token
    steps: tuple[Step, ...]
    abandoned_after: Duration
    completes_on: JsonMap
