"""Actions: purpose, owner, placements, treatments for every channel and locale, and a fallback."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.attributes import needs
from catalog.checks.base import Context
from catalog.findings import Finding
from catalog.model import Action, Treatment
from catalog.source import Path
from catalog.texts import Message

LONGEST_LINE = 4_000


def check_actions(context: Context) -> Iterator[Finding]:
    """Every action can be said everywhere it may appear, and may be said for its purpose."""
    for index, action in enumerate(context.bundle.actions):
        path: Path = ("actions", index)
        yield from _references(context, action, path)
        yield from _selling(context, action, path)
        yield from _validity(context, action, path)
        yield from _channels(context, action, path)
        yield from _fallback(context, action, path)
        for place, treatment in enumerate(action.treatments):
            yield from _treatment(context, action, treatment, (*path, "treatments", place))


def channels_of(context: Context, action: Action) -> frozenset[str]:
    """The channels on which the action declares to appear: those of its placements."""
    placements = (context.bundle.placement.get(name) for name in action.placements)
    return frozenset(channel for placement in placements if placement for channel in placement.channels)


def _references(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    bundle = context.bundle
    yield from context.unknown("purpose", action.purpose, bundle.purpose, *path, "purpose")
    yield from context.all_known("placement", action.placements, bundle.placement, *path, "placements")
    yield from context.all_known("signal", action.warranted_by, bundle.signal, *path, "warranted_by")
    yield from context.all_known("rule", action.policies, {rule.id for rule in bundle.all_rules}, *path, "policies")
    if action.model is not None:
        yield from context.unknown("model", action.model, {model.id for model in bundle.ranking.models}, *path, "model")
    for place, name in enumerate(action.policies):
        rule = next((rule for rule in bundle.all_rules if rule.id == name), None)
        if rule and not rule.scope.covers(action):
            yield context.error(
                "SCOPE", f"{name} does not cover {action.id}", "widen its scope", *path, "policies", place
            )
    yield from _warrants(context, action, path)


def _warrants(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    purpose = context.bundle.purpose.get(action.purpose)
    for place, name in enumerate(action.warranted_by):
        signal = context.bundle.signal.get(name)
        if signal is None or purpose is None:
            continue
        for category in sorted(context.bundle.needs[name] - set(purpose.categories)):
            message = f"{action.id} could never see {name}: {purpose.id} does not cover {category}"
            yield context.error("CATEGORY", message, "choose another purpose or signal", *path, "warranted_by", place)
        if signal.internal or signal.mode == "shadow":
            message = f"{name} is never returned"
            yield context.error(
                "SIGNAL_HIDDEN", message, "name a live signal that is not internal", *path, "warranted_by", place
            )


def _selling(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    if action.sells is not None and action.kind not in {"nudge", "layout"}:
        message = f"whether {action.kind} sells is settled"
        yield context.error("SELLS", message, "remove sells; offers always sell, help never does", *path, "sells")
    if not action.selling:
        return
    purpose = context.bundle.purpose.get(action.purpose)
    if purpose and not purpose.needs_consent:
        message = f"{action.id} sells under {purpose.id}, which needs no consent"
        yield context.error("CONSENT_BYPASS", message, "use a purpose that customers agree to", *path, "purpose")
    if action.contact_class != "marketing":
        message = f"{action.id} sells and would escape the marketing limits"
        yield context.error("CONTACT_CLASS", message, "set contact_class: marketing", *path, "contact_class")
    if action.mandatory:
        yield context.error("MANDATORY", f"{action.id} sells and is mandatory", "remove mandatory", *path, "mandatory")


def _validity(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    validity = action.validity
    if validity.until is not None and validity.until <= validity.start:
        yield context.error("VALIDITY", f"{action.id} ends before it begins", "correct until", *path, "validity")
    if action.attribution.window < 60_000:
        yield context.error("SIZE", "attribution takes at least a minute", "correct window", *path, "attribution")


def _channels(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    declared = channels_of(context, action)
    for channel in sorted(declared):
        if not any(treatment.variant is None for treatment in action.treatments_on(channel)):
            message = f"{action.id} has no treatment on {channel}"
            fix = "add one, or choose placements without that channel"
            yield context.error("TREATMENT_MISSING", message, fix, *path, "treatments")
    for place, treatment in enumerate(action.treatments):
        for channel in sorted(set(treatment.channels) - declared):
            yield from context.unknown(
                "channel", channel, context.bundle.channel, *path, "treatments", place, "channels"
            )
            message = f"{treatment.id} is for {channel}, where {action.id} has no placement"
            yield context.warning(
                "TREATMENT_UNUSED", message, "add a placement or remove it", *path, "treatments", place
            )


def _fallback(context: Context, action: Action, path: Path) -> Iterator[Finding]:
    for locale in context.bundle.bank.locale_ids:
        if locale not in action.fallback:
            yield context.error(
                "FALLBACK_MISSING", f"{action.id} has no {locale} fallback", "add it", *path, "fallback"
            )


def _treatment(context: Context, action: Action, treatment: Treatment, path: Path) -> Iterator[Finding]:
    for locale in context.bundle.bank.locale_ids:
        texts = context.texts.get(locale)
        message = texts.messages.get(treatment.message) if texts else None
        if message is None:
            fix = f"write {treatment.message} in messages/{locale}"
            yield context.error("TEXT_MISSING", f"{treatment.id} has no text in {locale}", fix, *path, "message")
        else:
            for slot in treatment.slots:
                yield from _slot(context, action, (message, slot, locale), path)


def _slot(context: Context, action: Action, place: tuple[Message, str, str], path: Path) -> Iterator[Finding]:
    message, slot, locale = place
    name = f"{message.id}.{slot} ({locale})"
    found = message.slots.get(slot)
    if found is None:
        text = f"{message.id} has no .{slot} in {locale}"
        yield context.error("TEXT_MISSING", text, "write it, or leave the slot out", *path, "message")
        return
    yield from _variables(context, action, name, found.variables, path)
    alternative = message.alternative(slot)
    if found.variables and (alternative is None or alternative.variables):
        fix = f"write .{slot}-without, naming no value"
        yield context.error("ALTERNATIVE_MISSING", f"{name} may lack a value", fix, *path, "message")
    longest = max(found.longest, alternative.longest if alternative else 0)
    limit = _limit(context, action, slot)
    if longest > limit:
        yield context.error(
            "TEXT_TOO_LONG", f"{name} has {longest} characters of {limit}", "shorten it", *path, "message"
        )


def _variables(context: Context, action: Action, name: str, variables: frozenset[str], path: Path) -> Iterator[Finding]:
    bundle = context.bundle
    purpose = bundle.purpose.get(action.purpose)
    for variable in sorted(variables):
        yield from context.unknown("attribute", variable, bundle.table, *path, "message")
        info = bundle.table.get(variable)
        if info and info.type.kind == "set":
            yield context.error("TYPE", f"{name} names {variable}, a set", "name its size instead", *path, "message")
        if info and info.tags:
            text = f"{name} names {variable}, a prohibited basis"
            yield context.error("PROHIBITED_ATTRIBUTE", text, "leave it out", *path, "message")
        for category in sorted(needs([variable], bundle.table) - set(purpose.categories if purpose else ())):
            text = f"{name} names {variable}, whose category {category} purpose {action.purpose} does not cover"
            yield context.error("CATEGORY", text, "leave it out, or choose another purpose", *path, "message")


def _limit(context: Context, action: Action, slot: str) -> int:
    """The shortest room that any placement of the action leaves for the slot."""
    placements = [context.bundle.placement[name] for name in action.placements if name in context.bundle.placement]
    rooms = [room for placement in placements for name, room in placement.limits.items() if name == slot]
    return min([*rooms, LONGEST_LINE])
