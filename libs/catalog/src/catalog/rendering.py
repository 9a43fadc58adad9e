"""Rendering: treatments, locale, channel, values and bundle in; typed slots out. Pure, so that replay is exact.

The locale falls back along the bank's declared chain, per message. Money, ratios and times are formatted for the
locale in which the text was found; texts and names are escaped for the channel, the bundle's own words are not. A
slot that names a missing value says its declared alternative, never an empty hole.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.core import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_percent, get_currency_precision
from fluent.runtime import FluentBundle

from catalog.frozen import FrozenMap
from catalog.model import Bundle, Treatment
from catalog.texts import VALUE, Message, Slot, Texts, variable_of
from catalog.values import Missing, Value, ValueType, conform

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|>~])")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_ESCAPES: Mapping[str, Callable[[str], str]] = {
    "text": lambda text: text,
    "html": lambda text: html.escape(text, quote=True),
    "markdown": lambda text: _MARKDOWN.sub(r"\\\1", text),
}

_NOTHING: frozenset[str] = frozenset()

Values = Mapping[str, Value | Missing]


class NotRenderable(ValueError):  # named like servicekit's Invalid
    """The bundle has no such treatment for this channel, or no text for it; its checks should have said so."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One treatment in words. `locale` is where the texts came from; `without` are the values that were missing."""

    action: str
    treatment: str
    locale: str
    slots: Mapping[str, str]
    link: str | None
    icon: str | None
    tone: str
    format: str
    without: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What saying a treatment on a channel in a locale takes, apart from values."""

    action: str
    treatment: Treatment
    texts: _Locale
    message: Message
    slots: tuple[str, ...]
    escape: Callable[[str], str]
    names: frozenset[str]


class Renderer:
    """A bundle made ready to render: texts parsed once, and what does not depend on values found once."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._zone = ZoneInfo(bundle.bank.time_zone)
        self._actions = {treatment.id: action.id for action in bundle.actions for treatment in action.treatments}
        self._locales = {locale: _Locale(locale, source) for locale, source in bundle.messages.items()}
        self._chains = {locale: bundle.bank.locale_chain(locale) for locale in bundle.bank.locale_ids}
        self._sheets: dict[tuple[str, str, tuple[str, ...]], _Sheet] = {}

    def render(self, treatments: Iterable[str], locale: str, channel: str, values: Values) -> tuple[Rendered, ...]:
        """Each treatment for the locale and channel. `values` holds what the decision may read, by attribute id."""
        return tuple(self._treatment(self._sheet(each, locale, channel), values) for each in treatments)

    def names(self, treatment: str, locale: str, channel: str) -> frozenset[str]:
        """The attributes that the treatment's words name there: no other value changes what is rendered."""
        return self._sheet(treatment, locale, channel).names

    def text(self, message: str, locale: str, values: Values | None = None, channel: str | None = None) -> str:
        """A message's own value, such as a reason."""
        texts, found = self._find(message, self._chain(locale))
        escaping = self._bundle.channel[channel].escaping if channel else "text"
        words, _ = self._slot(texts, found, VALUE, values or {}, _ESCAPES[escaping])
        return words

    def fallback(self, action: str, locale: str) -> str:
        """The text that is shown for an action when content is down."""
        texts = self._bundle.action[action].fallback
        return next(texts[known] for known in self._chain(locale) if known in texts)

    def _treatment(self, sheet: _Sheet, values: Values) -> Rendered:
        slots: dict[str, str] = {}
        without: set[str] = set()
        for name in sheet.slots:
            slots[name], missing = self._slot(sheet.texts, sheet.message, name, values, sheet.escape)
            without |= missing
        treatment = sheet.treatment
        return Rendered(
            sheet.action,
            treatment.id,
            sheet.texts.id,
            FrozenMap(slots),
            treatment.link,
            treatment.icon,
            treatment.tone,
            treatment.format,
            tuple(sorted(without)),
        )

    def _sheet(self, treatment: str, locale: str, channel: str) -> _Sheet:
        """Remembered by the chain and not by the locale, which is whatever the caller says."""
        key = (treatment, channel, self._chain(locale))
        found = self._sheets.get(key)
        if found is None:
            found = self._sheets[key] = self._prepared(*key)
        return found

    def _prepared(self, treatment_id: str, channel: str, chain: tuple[str, ...]) -> _Sheet:
        treatment = self._bundle.treatment.get(treatment_id)
        if treatment is None or channel not in treatment.channels:
            raise NotRenderable(f"{treatment_id} is not a treatment on {channel}")
        texts, message = self._find(treatment.message, chain)
        shown = self._bundle.channel[channel]
        slots = tuple(name for name in treatment.slots if name in shown.slots)
        names = frozenset(name for slot in slots for name in _slot_of(message, slot).variables)
        escape = _ESCAPES[shown.escaping]
        return _Sheet(self._actions[treatment_id], treatment, texts, message, slots, escape, names)

    def _chain(self, locale: str) -> tuple[str, ...]:
        return self._chains.get(locale) or self._bundle.bank.locale_chain(locale)

    def _find(self, message: str, chain: tuple[str, ...]) -> tuple[_Locale, Message]:
        for known in chain:
            texts = self._locales.get(known)
            if texts and message in texts.messages:
                return texts, texts.messages[message]
        raise NotRenderable(f"no text {message}")

    def _slot(
        self, texts: _Locale, message: Message, name: str, values: Values, escape: Callable[[str], str]
    ) -> tuple[str, frozenset[str]]:
        slot = _slot_of(message, name)
        if not slot.variables:
            return texts.fixed(message.id, name), _NOTHING
        spoken = {attribute: self._value(attribute, values, texts, escape) for attribute in slot.variables}
        missing = frozenset(attribute for attribute, value in spoken.items() if value is None)
        if missing:
            return texts.fixed(message.id, self._alternative(message, slot).name), missing
        return texts.speak(message.id, name, {variable_of(key): value for key, value in spoken.items()}), missing

    def _alternative(self, message: Message, slot: Slot) -> Slot:
        alternative = message.alternative(slot.name)
        if alternative is None or alternative.variables:
            raise NotRenderable(f"{message.id}.{slot.name} has no alternative without values")
        return alternative

    def _value(self, attribute: str, values: Values, texts: _Locale, escape: Callable[[str], str]) -> object:
        info = self._bundle.table.get(attribute)
        seen = values.get(attribute, Missing.UNKNOWN)
        value = seen if info is None or isinstance(seen, Missing) else conform(seen, info.type)
        if info is None or isinstance(value, Missing | frozenset):
            return None
        return texts.spoken(value, info.type, self._zone, escape)


def _slot_of(message: Message, name: str) -> Slot:
    slot = message.slots.get(name)
    if slot is None:
        raise NotRenderable(f"{message.id} has no {name or 'value'}")
    return slot


def render(
    bundle: Bundle, treatments: Iterable[str], locale: str, channel: str, values: Values
) -> tuple[Rendered, ...]:
    """As `Renderer(bundle).render(..)`, for those who render once."""
    return Renderer(bundle).render(treatments, locale, channel, values)


class _Locale:
    """One locale's texts, and how it writes values."""

    def __init__(self, locale: str, source: str) -> None:
        self.id = locale
        self._babel = Locale.parse(locale, sep="-")
        self._fluent = FluentBundle([locale], use_isolating=False)
        texts = Texts(source)
        self._fluent.add_resource(texts.resource)
        self.messages = texts.messages
        self._fixed: dict[tuple[str, str], str] = {}

    def fixed(self, message: str, slot: str) -> str:
        """The words of a slot that names no value: always the same."""
        words = self._fixed.get((message, slot))
        if words is None:
            words = self._fixed[message, slot] = self.speak(message, slot, {})
        return words

    def speak(self, message: str, slot: str, arguments: Mapping[str, object]) -> str:
        """The slot's words; a fault inside a text is an error, because half a sentence must not be shown."""
        compiled = self._fluent.get_message(message)
        pattern = compiled.value if slot == VALUE else compiled.attributes[slot]
        words, faults = self._fluent.format_pattern(pattern, dict(arguments)) if pattern else ("", ["it is empty"])
        if faults:
            raise NotRenderable(f"{message}.{slot}: {faults[0]}")
        return str(words)

    def spoken(self, value: Value, kind: ValueType, zone: ZoneInfo, escape: Callable[[str], str]) -> object:
        """The value as a text takes it: whole numbers stay numbers, for plurals; all else is written out."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return self._number(value, kind, zone)
        return escape(_CONTROL.sub(" ", str(value)))

    def _number(self, value: int, kind: ValueType, zone: ZoneInfo) -> int | str:
        if kind.kind == "money":
            return self._money(value, kind.currency or "EUR")
        if kind.kind == "ratio":
            return str(format_percent(Decimal(value) / 10_000, "#,##0.#%", locale=self._babel))
        if kind.kind == "time":
            moment = (EPOCH + timedelta(milliseconds=value)).astimezone(zone)
            return str(format_date(moment, format="long", locale=self._babel))
        return value

    def _money(self, minor: int, currency: str) -> str:
        amount = Decimal(minor).scaleb(-get_currency_precision(currency))
        return str(format_currency(amount, currency, locale=self._babel))
