"""What is taken into the ledger. A denial is always taken: nothing about its notice, time, actor or evidence turns it away.

A grant, and a report that a notice was served, are taken only if the registry, the words shown, the time and the actor allow it; the
lifting of an objection only if the time and the actor do, and only with evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from consent_service.domain.choices import NoticeRef, Scope, Statement, below
from consent_service.domain.registry import Notice, NoticeStatus, Purpose, Registry
from consent_service.domain.verdicts import applicable, ends
from consent_service.domain.words import (
    ALL,
    DENIALS,
    LIFTS,
    PERSONS,
    SENSITIVE,
    ActorType,
    Kind,
)
from servicekit.errors import FailedPrecondition, Invalid, NotFound

FUTURE_SLACK_US: Final = 5 * 60 * 1_000_000
MOST_STATEMENTS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and how that is known."""

    type: ActorType = ActorType.CUSTOMER
    id: str = ""
    auth_level: str = ""
    on_behalf_ref: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How the choice was made. `dropped` names what a denial brought and could not be kept."""

    method: str = ""
    ui_variant: str = ""
    locale: str = ""
    session_ref: str = ""
    dropped: tuple[str, ...] = ()
    attachment_refs: tuple[str, ...] = ()
    free_text: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a preference screen. `at` is where the request has its scope, unless that is `items[n].scope`."""

    kind: Kind
    scope: Scope
    explicit: bool = False
    from_us: int | None = None
    to_us: int | None = None
    at: str = ""

    @property
    def denial(self) -> bool:
        """Whether it can only say no."""
        return self.kind in DENIALS

    def field(self, number: int, part: str = "scope") -> str:
        """The field of the request that an error about this item names."""
        if self.at:
            return self.at if part == "scope" else part
        return f"items[{number}].{part}"


@dataclass(frozen=True, slots=True)
class Screen:
    """What one act says: its items, and what they have in common."""

    items: tuple[Item, ...]
    actor: Actor = field(default_factory=Actor)
    evidence: Evidence = field(default_factory=Evidence)
    notice: NoticeRef | None = None
    event_us: int | None = None
    regimes: tuple[str, ...] = ()


def refuse_overlaps(items: Sequence[Item]) -> None:
    """Raise Invalid when two items speak about one key. Denials of a purpose and of one below it agree, and may stand together."""
    for number, item in enumerate(items):
        if any(_overlap(item, other) for other in items[:number]):
            raise Invalid("Two items are about one key.", field=item.field(number), reason="DUPLICATE_KEY")


def _overlap(one: Item, other: Item) -> bool:
    if one.kind in LIFTS and other.kind in LIFTS:
        return one.scope == other.scope
    if one.denial is other.denial:
        same = one.scope.purpose == other.scope.purpose
        return same and all(
            not a or not b or not a.isdisjoint(b) for a, b in zip(one.scope.sets, other.scope.sets, strict=True)
        )
    denial, grant = (one, other) if one.denial else (other, one)
    return denial.scope.denies_some(grant.scope)


def accept(registry: Registry, screen: Screen, *, first_index: int, now_us: int) -> list[Statement]:
    """The statements of the screen's items, in order; raises the first reason that turns one away."""
    return [
        _accept_item(registry, screen, item, number=number, index=first_index + number, now_us=now_us)
        for number, item in enumerate(screen.items)
    ]


def _accept_item(registry: Registry, screen: Screen, item: Item, *, number: int, index: int, now_us: int) -> Statement:
    known_purpose(registry, item.scope.purpose, item.field(number))
    if item.denial:
        return deny(registry, item.kind, item.scope, event_us=screen.event_us, index=index, now_us=now_us)
    widen = _lift if item.kind in LIFTS else _widen
    return widen(registry, screen, item, number, index, now_us)


def known_purpose(registry: Registry, purpose: str, field: str = "purpose") -> None:
    """Raise NotFound UNKNOWN_PURPOSE unless the registry has it; a denial of everything needs none."""
    if purpose != ALL and registry.purpose(purpose) is None:
        raise NotFound("The purpose is not in the registry.", reason="UNKNOWN_PURPOSE", field=field)


def deny(registry: Registry, kind: Kind, scope: Scope, *, event_us: int | None, index: int, now_us: int) -> Statement:
    """A denial. A strange time is clamped to the writer's, so that it counts from now on and no later."""
    oldest = now_us - _event_age(registry, registry.default_regimes)
    event = now_us if event_us is None or not oldest <= event_us <= now_us else event_us
    return Statement(index=index, kind=kind, scope=scope, event_us=event, recorded_us=now_us, from_us=event)


def _lift(registry: Registry, screen: Screen, item: Item, number: int, index: int, now_us: int) -> Statement:
    """The lifting of an objection, once the time and the actor allow it."""
    del number
    _right_actor(screen.actor, item.kind)
    if not screen.evidence.method:
        raise Invalid(
            "An objection is lifted with evidence of how.", field="evidence.method", reason="EVIDENCE_MISSING"
        )
    event = now_us if screen.event_us is None else screen.event_us
    _right_time(registry, applicable(registry, screen.regimes), event, now_us)
    return Statement(index, item.kind, item.scope, event_us=event, recorded_us=now_us, from_us=event)


def _widen(registry: Registry, screen: Screen, item: Item, number: int, index: int, now_us: int) -> Statement:
    """A grant or a served notice, once everything allows it."""
    _right_actor(screen.actor, item.kind)
    purpose = registry.purpose(item.scope.purpose)
    assert purpose is not None
    if purpose.retired:
        raise _refused("PURPOSE_RETIRED", "The purpose is retired.", item.field(number))
    regimes = applicable(registry, screen.regimes)
    event = now_us if screen.event_us is None else screen.event_us
    _right_time(registry, regimes, event, now_us)
    notice = _right_notice(registry, screen, item, number, min(event, now_us))
    if item.kind is Kind.GRANT and SENSITIVE in item.scope.categories and not item.explicit:
        raise _refused("EXPLICIT_REQUIRED", "Sensitive data needs an explicit grant.", item.field(number, "explicit"))
    start, end = _window(registry, regimes, item, number, event)
    return Statement(
        index=index,
        kind=item.kind,
        scope=item.scope,
        event_us=event,
        recorded_us=now_us,
        from_us=start,
        to_us=end,
        explicit=item.explicit,
        notice=notice.ref,
    )


def _refused(reason: str, text: str, field: str) -> FailedPrecondition:
    return FailedPrecondition(text, reason=reason, field=field)


def _right_actor(actor: Actor, kind: Kind) -> None:
    if actor.type is ActorType.UNSPECIFIED:
        raise Invalid("Who acts is needed.", field="actor.type", reason="ACTOR_MISSING")
    reports = kind is Kind.NOTICE_SERVED and actor.type is ActorType.SYSTEM
    if actor.type not in PERSONS and not reports:
        raise _refused("ACTOR_MAY_NOT_WIDEN", "This actor only narrows.", "actor.type")
    if actor.type is ActorType.REPRESENTATIVE and not actor.on_behalf_ref:
        raise Invalid("The reference of the power is needed.", field="actor.on_behalf_ref", reason="POWER_MISSING")
    if actor.type is ActorType.AGENT and not actor.id:
        raise Invalid("The agent's id is needed.", field="actor.id", reason="ACTOR_MISSING")


def _event_age(registry: Registry, regimes: Sequence[str]) -> int:
    found = [registry.regime(regime) for regime in regimes]
    return min((regime.max_event_age_us for regime in found if regime is not None), default=0)


def _right_time(registry: Registry, regimes: Sequence[str], event_us: int, now_us: int) -> None:
    if event_us > now_us + FUTURE_SLACK_US:
        raise _refused("EVENT_IN_FUTURE", "The event time lies in the future.", "event_time_us")
    if event_us < now_us - _event_age(registry, regimes):
        raise _refused("EVENT_TOO_OLD", "The event time is too long ago.", "event_time_us")


def _right_notice(registry: Registry, screen: Screen, item: Item, number: int, at_us: int) -> Notice:
    """The notice under which the scope may be widened; raises the first NOTICE_* that says why not."""
    ref = screen.notice
    notice = registry.notice(ref) if ref is not None else None
    if ref is None or (notice is None and all(n.ref[:2] != ref[:2] for n in (registry.notices or {}).values())):
        raise _refused("NOTICE_UNKNOWN", "No such notice version is published.", "notice")
    if notice is None or screen.evidence.locale not in ("", ref.locale):
        raise _refused("NOTICE_LOCALE", "The notice was not published, or not shown, in this locale.", "notice.locale")
    if notice.ref.sha256 != ref.sha256:
        raise _refused("NOTICE_HASH", "The words shown are not those that were published.", "notice.sha256")
    if notice.status is not NoticeStatus.OPEN or at_us < notice.effective_from_us:
        raise _refused("NOTICE_NOT_OPEN", "The notice version takes no choices at this time.", "notice.version")
    if not notice.covers.holds(item.scope):
        raise _refused("NOTICE_SCOPE", "The notice does not speak of everything in the scope.", item.field(number))
    return notice


def _window(
    registry: Registry, regimes: Sequence[str], item: Item, number: int, event_us: int
) -> tuple[int, int | None]:
    """From when and until when a grant holds: as asked, but no longer than the regimes permit from the event on."""
    start = event_us if item.from_us is None else item.from_us
    if start < event_us:
        raise Invalid("A grant does not begin before it was given.", field=item.field(number, "valid_from_us"))
    profiles = [registry.regime(regime) for regime in regimes]
    caps = [event_us + p.max_validity_us for p in profiles if p is not None and p.max_validity_us is not None]
    end = min([*caps, *([] if item.to_us is None else [item.to_us])], default=None)
    if end is not None and end <= start:
        raise Invalid("A grant ends after it begins.", field=item.field(number, "valid_to_us"))
    return start, end


def denied_purposes(registry: Registry, denials: Sequence[Statement]) -> tuple[str, ...]:
    """Purposes that the denials reach and end under some regime, sorted."""
    found = sorted((registry.purposes or {}).values(), key=lambda purpose: purpose.id)
    return tuple(p.id for p in found if any(_ended(registry, p, denial) for denial in denials))


def _ended(registry: Registry, purpose: Purpose, denial: Statement) -> bool:
    if not below(purpose.id, denial.scope.purpose):
        return False
    profiles = ((registry.regime(regime), basis) for regime, basis in purpose.bases.items())
    return any(
        ends(denial.kind, basis, absolute=profile is not None and profile.absolute(purpose.tags))
        for profile, basis in profiles
    )
