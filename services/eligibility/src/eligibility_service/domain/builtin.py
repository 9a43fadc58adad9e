"""The rules that nobody wrote and nobody can remove (eligibility.md sections 3 and 4)."""

from __future__ import annotations

import operator
from collections.abc import Iterator

from catalog.model import Action, Bundle
from catalog.model.actions import Validity
from catalog.values import Missing
from eligibility_service.domain.reasons import Reason, Telling, built_in, failed
from eligibility_service.domain.request import LiveSignal, Request
from eligibility_service.domain.verdicts import Form, Found, Joined, Read, Test, Truth

VULNERABILITY = "view.vulnerability"


def no_consent(action: Action) -> Reason:
    """Rule zero: the basis allows the action's purpose, or the purpose needs no consent."""
    return built_in("NO_CONSENT", stage="consent", disclose="customer", needed=f"purpose {action.purpose}")


def in_force(validity: Validity, now_ms: int) -> bool:
    """Whether the action may be shown now."""
    return validity.start <= now_ms and (validity.until is None or now_ms < validity.until)


def not_in_force(validity: Validity) -> Reason:
    """Too early, or too late."""
    until = f" until {validity.until}" if validity.until is not None else ""
    return built_in("NOT_IN_FORCE", needed=f"from {validity.start}{until}")


KILLED = built_in("KILLED")
"""Somebody has stopped the action."""


def no_selling(bundle: Bundle, request: Request, safeguarding: Read) -> tuple[Reason, ...]:
    """Why nothing that sells survives this request, whatever it is; `safeguarding` reads under the purpose of that name."""
    return (*_help_first(bundle, request), *_vulnerable(bundle, safeguarding))


def _help_first(bundle: Bundle, request: Request) -> Iterator[Reason]:
    """Help before sell: live friction, or not knowing, stops what sells.

    A subject who refuses to be observed is not unknown, unless the bundle asks for observation.
    """
    threshold = bundle.help_first.strength
    needed = f"no friction of strength {threshold} or more"
    if not request.signals_known:
        yield built_in("HELP_FIRST", seen=Missing.UNAVAILABLE, needed=needed)
        return
    live = {name: live.strength for name, live in request.signals.items() if _is_friction(bundle, name, live)}
    strong = [name for name in sorted(live) if live[name] >= threshold]
    if strong:
        yield built_in("HELP_FIRST", attribute=f"signal.{strong[0]}", seen=live[strong[0]], needed=needed)
    elif bundle.help_first.require_observation and not _observed(bundle, request):
        yield built_in("HELP_FIRST", seen=Missing.NO_CONSENT, needed=needed)


def _is_friction(bundle: Bundle, name: str, live: LiveSignal) -> bool:
    """The bundle says what a signal is; one that neither bundle nor sender can name counts as friction."""
    definition = bundle.signal.get(name)
    return "friction" in {live.kind, definition.kind if definition else (live.kind or "friction")}


def _observed(bundle: Bundle, request: Request) -> bool:
    """Whether every friction signal may be looked for."""
    friction = [definition for definition in bundle.signals if definition.kind == "friction"]
    return all(bundle.needs[each.id] <= request.categories(each.purpose) for each in friction)


def _vulnerable(bundle: Bundle, safeguarding: Read) -> Iterator[Reason]:
    """What sells stays away from the vulnerable, and from those of whom it is not known."""
    seen: Found = safeguarding(VULNERABILITY) if VULNERABILITY in bundle.table else Missing.UNKNOWN
    if seen != frozenset():
        yield built_in("VULNERABLE", disclose="never", attribute=VULNERABILITY, seen=seen, needed="empty true")


def warrant(action: Action) -> Form | None:
    """An action that signals warrant makes sense while one of them is active; unknown is not active."""
    active = [Test(f"signal.{name}", operator.ge, 1, "gte 1") for name in sorted(action.warranted_by)]
    return Joined(settling=True, parts=tuple(active)) if active else None


def not_warranted(warrant: Form, truth: Truth, read: Read) -> Reason:
    """No signal that would warrant the action is active."""
    test = warrant.blame(read, truth)
    return failed(_NOT_WARRANTED, test, read(test.attribute))


_NOT_WARRANTED = Telling("applicability", "builtin.not_warranted", "NOT_WARRANTED")
