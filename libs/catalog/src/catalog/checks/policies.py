"""Rules, packs, contact policies and limits: typed, lawful, and unable to remove what protects customers."""

from __future__ import annotations

from collections.abc import Iterator

from catalog.attributes import needs, tags
from catalog.checks.base import Context
from catalog.expression import Expression, attributes, predicates
from catalog.findings import Finding
from catalog.model import Action, ContactPolicy, Rule, Scope
from catalog.model.policies import SCOPE_LEVELS
from catalog.source import Path

LONGEST_WINDOW = 400 * 86_400_000


def check_rules(context: Context) -> Iterator[Finding]:
    """Rules name declared attributes with fitting types, a known scope, a reason with a text, and no prohibited basis."""
    for index, rule in enumerate(context.bundle.rules):
        yield from _rule(context, rule, ("rules", index))
    for index, pack in enumerate(context.bundle.packs):
        for place, rule in enumerate(pack.rules):
            yield from _rule(context, rule, ("packs", index, "rules", place))


def check_permissions(context: Context) -> Iterator[Finding]:
    """A permission covers a tag of its pack and ends after it was reviewed."""
    for index, pack in enumerate(context.bundle.packs):
        for place, permission in enumerate(pack.permissions):
            path: Path = ("packs", index, "permissions", place)
            yield from context.unknown("prohibited tag", permission.tag, pack.prohibited, *path, "tag")
            if permission.expires <= permission.reviewed_on:
                message = f"{permission.id} expires before its review"
                yield context.error("PERMISSION", message, "correct expires", *path, "expires")
            if "suppression" in permission.stages:
                message = f"{permission.id} would let protection read {permission.tag}"
                yield context.error("PERMISSION", message, "name other stages", *path, "stages")


def check_contact(context: Context) -> Iterator[Finding]:
    """Contact policies and limits name channels and scopes, and windows that are remembered."""
    bundle = context.bundle
    for index, policy in enumerate(bundle.contact_policies):
        path: Path = ("contact_policies", index)
        yield from context.all_known("channel", policy.channels, bundle.channel, *path, "channels")
        yield from _contact_policy(context, policy, path)
    for index, limit in enumerate(bundle.contact_limits):
        yield from context.all_known("channel", limit.channels, bundle.channel, "contact_limits", index, "channels")
        if "fraud" in limit.classes or "regulatory" in limit.classes or "service" in limit.classes:
            message = f"{limit.id} limits what must be said"
            yield context.error("LIMIT_CLASS", message, "limit marketing only", "contact_limits", index, "classes")


def check_protection(context: Context) -> Iterator[Finding]:
    """Nothing authored takes the place of what is built in; help can be noticed."""
    bundle = context.bundle
    for index, rule in enumerate(bundle.rules):
        if rule.id.partition(".")[0] == "builtin":
            yield context.error("PROTECTED", f"{rule.id} is a built-in name", "rename it", "rules", index, "id")
    friction = [signal for signal in bundle.signals if signal.kind == "friction" and signal.mode == "live"]
    if any(action.selling for action in bundle.actions) and not friction:
        message = "there are offers and no friction signal"
        yield context.error("HELP_FIRST", message, "define friction signals, so that help can come first", "signals")
    if bundle.help_first.strength > 1:
        message = f"friction below strength {bundle.help_first.strength} does not stop offers"
        yield context.warning("HELP_FIRST", message, "use 1 unless compliance agreed", "help_first", "strength")


def check_scope(context: Context, scope: Scope, *path: str | int) -> Iterator[Finding]:
    """Findings for issues, groups, kinds, tags and actions that no action has."""
    known = {level: _level(context, level) for level in SCOPE_LEVELS}
    for level in SCOPE_LEVELS:
        if level != "kind":
            yield from context.all_known(level, getattr(scope, level), known[level], *path, level)


def guard(context: Context, expression: Expression, what: str, *path: str | int) -> Iterator[Finding]:
    """Findings for each prohibited attribute that something other than a rule reads: nothing can permit that."""
    table = context.bundle.table
    for name in sorted(attributes(expression)):
        if tags([name], table):
            message = f"{what} reads {name}, a prohibited basis"
            yield context.error("PROHIBITED_ATTRIBUTE", message, "use another attribute", *path)


def _rule(context: Context, rule: Rule, path: Path) -> Iterator[Finding]:
    yield from check_scope(context, rule.scope, *path, "scope")
    for locale in context.bundle.bank.locale_ids:
        texts = context.texts.get(locale)
        if texts is None or rule.reason.text not in texts.messages:
            message = f"reason {rule.reason.text} has no text in {locale}"
            yield context.error("TEXT_MISSING", message, f"write it in messages/{locale}", *path, "reason")
    expression, faults = context.parsed(rule.require, *path, "require")
    yield from faults
    if expression:
        yield from _protective(context, rule, expression, path)
        yield from _prohibited(context, rule, expression, path)
        yield from _visible(context, rule, expression, path)


def _visible(context: Context, rule: Rule, expression: Expression, path: Path) -> Iterator[Finding]:
    """A rule whose purposes never cover what it reads would be unknown for ever."""
    purposes = (
        {"safeguarding"} if rule.protective else {a.purpose for a in context.bundle.actions if rule.scope.covers(a)}
    )
    wanted = needs(attributes(expression), context.bundle.table)
    for name in sorted(purposes & set(context.bundle.purpose)):
        for category in sorted(wanted - set(context.bundle.purpose[name].categories)):
            message = f"{rule.id} could never see {category} under purpose {name}"
            yield context.error("CATEGORY", message, "read something else, or add the category", *path, "require")


def _protective(context: Context, rule: Rule, expression: Expression, path: Path) -> Iterator[Finding]:
    if not rule.protective:
        return
    existence = any(predicate.op in {"present", "missing"} for predicate in predicates(expression))
    if rule.missing == "pass" or existence:
        message = f"{rule.id} is protective: what is unknown counts as no"
        yield context.error("MISSING_ON_PROTECTIVE", message, "remove missing: pass, present and missing", *path)


def _prohibited(context: Context, rule: Rule, expression: Expression, path: Path) -> Iterator[Finding]:
    read = tags(attributes(expression), context.bundle.table)
    permission = context.bundle.permissions.get(rule.permission) if rule.permission else None
    if rule.permission and permission is None:
        yield from context.unknown("permission", rule.permission, context.bundle.permissions, *path, "permission")
    kinds = {action.kind for action in context.bundle.actions if rule.scope.covers(action)}
    for tag in sorted(read):
        covered = (
            permission and permission.tag == tag and rule.stage in permission.stages and kinds <= {*permission.kinds}
        )
        if not covered:
            message = f"{rule.id} reads {tag}, a prohibited basis"
            fix = "remove it, or name a permission for this tag, stage and kind of action"
            yield context.error("PROHIBITED_ATTRIBUTE", message, fix, *path, "require")


def _contact_policy(context: Context, policy: ContactPolicy, path: Path) -> Iterator[Finding]:
    if policy.applies_to is not None:
        yield from check_scope(context, policy.applies_to, *path, "applies_to")
    if policy.window > LONGEST_WINDOW:
        message = f"{policy.id} looks back further than outcomes are kept"
        yield context.warning("WINDOW_OVER_RETENTION", message, "use at most 400d", *path, "window")


def _level(context: Context, level: str) -> frozenset[str]:
    return frozenset(name for action in context.bundle.actions for name in _names(action, level))


def _names(action: Action, level: str) -> tuple[str, ...]:
    if level == "tag":
        return action.tags
    return (str(action.id if level == "action" else getattr(action, level)),)
