"""The Fluent texts as such: they parse, are complete in every locale, and nobody wrote one in vain."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.checks.base import Context
from catalog.findings import Finding


def check_texts(context: Context) -> Iterator[Finding]:
    """Locales are declared, texts parse, and no message is given twice."""
    for locale, texts in context.texts.items():
        yield from context.unknown("locale", locale, context.bundle.bank.locale_ids, "messages", locale)
        for line, fault in texts.junk:
            message = f"line {line} of the {locale} texts: {fault}"
            yield context.error("FLUENT", message, "write valid Fluent", "messages", locale)
        for name in texts.repeated:
            yield context.error("DUPLICATE_ID", f"message {name} is there twice", "rename one", "messages", locale)
        yield from _references(context, locale)
    yield from _unused(context)


def used_messages(context: Context) -> frozenset[str]:
    """Every message that some part of the bundle names."""
    bundle = context.bundle
    treatments = {treatment.message for action in bundle.actions for treatment in action.treatments}
    reasons = {rule.reason.text for rule in bundle.all_rules} | {
        p.reason.text for p in bundle.contact_policies if p.reason
    }
    ranking = {
        text
        for feature in bundle.ranking.features
        if feature.reason
        for text in (feature.reason.up, feature.reason.down)
    }
    return frozenset(treatments | reasons | ranking)


def _references(context: Context, locale: str) -> Iterator[Finding]:
    texts = context.texts[locale]
    for message in texts.messages.values():
        for slot in message.slots.values():
            for name in sorted(slot.references):
                yield from context.unknown("message", name, texts.messages, "messages", locale)


def _unused(context: Context) -> Iterator[Finding]:
    used = used_messages(context)
    for locale, texts in context.texts.items():
        referred = {
            name for message in texts.messages.values() for slot in message.slots.values() for name in slot.references
        }
        for name in sorted(set(texts.messages) - used - referred):
            yield context.warning("TEXT_UNUSED", f"nothing says {name} ({locale})", "remove it", "messages", locale)
