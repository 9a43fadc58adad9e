"""The bank, its purposes, channels, placements and journeys."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from catalog.checks.base import Context
from catalog.findings import Finding
from catalog.model import Purpose, QuietHours
from catalog.source import Path

BUILT_IN_PURPOSES = ("safeguarding", "contact_control")


def check_unique(context: Context) -> Iterator[Finding]:
    """Ids are unique in their list, and treatments across actions."""
    for name in ("regimes", "recipients", "purposes", "channels", "placements", "journeys", "segments", "signals"):
        yield from _unique(context, name)
    for name in ("actions", "rules", "contact_policies", "contact_limits", "packs", "experiments"):
        yield from _unique(context, name)
    yield from _unique_attributes(context)
    yield from _unique_treatments(context)


def check_bank(context: Context) -> Iterator[Finding]:
    """The zone exists, fallbacks are locales, pinned packs are there."""
    bank = context.bundle.bank
    yield from _zone(context, bank.time_zone, ("bank", "time_zone"))
    for index, locale in enumerate(bank.locales):
        if locale.fallback is not None:
            yield from context.unknown("locale", locale.fallback, bank.locale_ids, "bank", "locales", index)
    yield from context.all_known("pack", bank.packs, {pack.id for pack in context.bundle.packs}, "bank", "packs")
    yield from context.all_known(
        "regime", bank.regimes, {regime.id for regime in context.bundle.regimes}, "bank", "regimes"
    )
    if not context.bundle.default_regimes:
        yield context.error("REGIME", "no privacy regime applies", "declare one under regimes", "bank")
    for index, pack in enumerate(context.bundle.packs):
        for place, zone in enumerate(pack.zones):
            yield from _zone(context, zone, ("packs", index, "zones", place))


def check_purposes(context: Context) -> Iterator[Finding]:
    """The tree is whole, bases are allowed in their regime, and what protects customers is there."""
    bundle = context.bundle
    for index, purpose in enumerate(bundle.purposes):
        path: Path = ("purposes", index)
        yield from _purpose(context, purpose, path)
    for needed in BUILT_IN_PURPOSES:
        if needed not in bundle.purpose:
            fix = "declare it with the bank's own lawful basis; help-before-sell and contact limits rest on it"
            yield context.error("PROTECTION_MISSING", f"purpose {needed} is missing", fix, "purposes")


def _purpose(context: Context, purpose: Purpose, path: Path) -> Iterator[Finding]:
    bundle = context.bundle
    if purpose.parent is not None:
        yield from context.unknown("purpose", purpose.parent, bundle.purpose, *path, "id")
    regimes = {regime.id: regime for regime in bundle.regimes}
    for regime, basis in purpose.lawful_basis.items():
        yield from context.unknown("regime", regime, regimes, *path, "lawful_basis", regime)
        if regime in regimes and basis not in regimes[regime].allowed_bases:
            message = f"{regime} does not allow the basis {basis}"
            yield context.error("BASIS", message, "choose one of its allowed_bases", *path, "lawful_basis", regime)
    yield from context.all_known("notice", purpose.notices, {n.id for n in bundle.notices}, *path, "notices")
    yield from context.all_known(
        "recipient", purpose.recipients, {r.id for r in bundle.recipients}, *path, "recipients"
    )
    if "consent" in purpose.lawful_basis.values() and not purpose.notices:
        yield context.error("NOTICE", f"{purpose.id} asks for consent without a notice", "name the notice", *path)
    asks = {"consent", "opt_out"} & set(purpose.lawful_basis.values())
    if asks and not purpose.needs_consent:
        message = f"{purpose.id} rests on {' and '.join(sorted(asks))} and says it needs no consent"
        yield context.error("NEEDS_CONSENT", message, "remove needs_consent: false", *path, "needs_consent")
    if "sensitive" in purpose.categories and not (purpose.special_ground or "consent" in purpose.lawful_basis.values()):
        yield context.error("SPECIAL_GROUND", f"{purpose.id} reads sensitive data", "name its special_ground", *path)


def check_notices(context: Context) -> Iterator[Finding]:
    """A notice covers declared purposes and channels, in every locale of the bank."""
    bundle = context.bundle
    for index, notice in enumerate(bundle.notices):
        path: Path = ("notices", index)
        yield from context.all_known("purpose", notice.purposes, bundle.purpose, *path, "purposes")
        yield from context.all_known("channel", notice.channels, bundle.channel, *path, "channels")
        recipients = {"self", *(recipient.id for recipient in bundle.recipients)}
        yield from context.all_known("recipient", notice.recipients, recipients, *path, "recipients")
        for purpose in (bundle.purpose[name] for name in notice.purposes if name in bundle.purpose):
            for category in sorted(set(purpose.categories) - set(notice.categories)):
                message = f"notice {notice.id} asks for {purpose.id} and does not tell of {category}"
                fix = "tell of it, or take it from the purpose"
                yield context.error("NOTICE_SCOPE", message, fix, *path, "categories")
        for locale in bundle.bank.locale_ids:
            if locale not in notice.texts:
                yield context.error("LOCALE", f"notice {notice.id} has no {locale} text", "add it", *path, "texts")


def check_channels(context: Context) -> Iterator[Finding]:
    """Placements name channels; quiet hours name outbound channels and real zones."""
    bundle = context.bundle
    for index, placement in enumerate(bundle.placements):
        yield from context.all_known("channel", placement.channels, bundle.channel, "placements", index, "channels")
        if placement.max_items < 1:
            yield context.error(
                "SIZE", f"{placement.id} has no room", "set max_items to 1 or more", "placements", index
            )
    for index, channel in enumerate(bundle.channels):
        for place, hours in enumerate(channel.quiet_hours):
            yield from _quiet(context, hours, ("channels", index, "quiet_hours", place))
    for index, pack in enumerate(bundle.packs):
        for place, hours in enumerate(pack.quiet_hours):
            yield from _quiet(context, hours, ("packs", index, "quiet_hours", place))


def check_journeys(context: Context) -> Iterator[Finding]:
    """Steps are unique, one is critical, and abandonment takes a while."""
    for index, journey in enumerate(context.bundle.journeys):
        steps = [step.id for step in journey.steps]
        if len(set(steps)) != len(steps):
            yield context.error("DUPLICATE_ID", f"{journey.id} names a step twice", "rename one", "journeys", index)
        if not any(step.critical for step in journey.steps):
            message = f"{journey.id} has no critical step"
            yield context.warning("NO_CRITICAL_STEP", message, "mark where help is worth most", "journeys", index)
        if journey.abandoned_after < 60_000:
            message = f"{journey.id} counts as abandoned within a minute"
            yield context.error("SIZE", message, "wait at least 1m", "journeys", index, "abandoned_after")


def _quiet(context: Context, hours: QuietHours, path: Path) -> Iterator[Finding]:
    yield from context.all_known("channel", hours.channels, context.bundle.channel, *path, "channels")
    for channel in hours.channels:
        known = context.bundle.channel.get(channel)
        if known and not known.outbound:
            yield context.error("QUIET_HOURS", f"{channel} does not interrupt anyone", "name outbound channels", *path)
    if hours.start == hours.end:
        yield context.error("QUIET_HOURS", "quiet hours begin and end at once", "give them a length", *path)


def _zone(context: Context, zone: str, path: Path) -> Iterator[Finding]:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield context.error("TIME_ZONE", f"{zone} is not a time zone", "use a name such as Europe/Berlin", *path)


def _unique(context: Context, section: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in enumerate(getattr(context.bundle, section)):
        if item.id in seen:
            yield context.error("DUPLICATE_ID", f"{section} has {item.id} twice", "rename one", section, index)
        seen.add(item.id)


def _unique_attributes(context: Context) -> Iterator[Finding]:
    seen: set[str] = set()
    for section in ("attributes", "features", "derived"):
        for index, item in enumerate(getattr(context.bundle, section)):
            if item.id in seen:
                yield context.error("DUPLICATE_ID", f"{item.id} is declared twice", "rename one", section, index)
            seen.add(item.id)


def _unique_treatments(context: Context) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, action in enumerate(context.bundle.actions):
        for place, treatment in enumerate(action.treatments):
            if treatment.id in seen:
                yield context.error(
                    "DUPLICATE_ID",
                    f"treatment {treatment.id} is there twice",
                    "rename one",
                    "actions",
                    index,
                    "treatments",
                    place,
                )
            seen.add(treatment.id)
