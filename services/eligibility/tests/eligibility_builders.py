"""A small bank in a few words, requests to it, and golden cases as requests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from catalog.frozen import FrozenMap
from catalog.golden import Outcome
from catalog.loading import load_bundle
from catalog.model import Bundle, Given
from eligibility_service.domain.evaluation import Evaluation, evaluate_request
from eligibility_service.domain.policy import Policy
from eligibility_service.domain.request import ContactState, LiveSignal, Pause, Request, Seen, Used

HARBOUR = Path(__file__).parents[3] / "examples" / "harbour-bank" / "catalog"
DAY = 86_400_000
NOON = 1_777_896_000_000
"""Monday, 4 May 2026, 12:00 UTC."""

CATEGORIES = ("demographic", "holding", "behaviour", "interaction", "inferred")
EVERYTHING = {
    "servicing": frozenset(CATEGORIES),
    "assistance": frozenset(CATEGORIES),
    "offers": frozenset(CATEGORIES),
    "safeguarding": frozenset({"sensitive", "holding"}),
    "contact_control": frozenset({"interaction"}),
}


def harbour() -> Bundle:
    return load_bundle(HARBOUR)


def an_action(name: str, kind: str = "offer", **changes: object) -> dict[str, object]:
    purposes = {"offer": "offers", "alert": "servicing"}
    marketing = kind == "offer"
    return {
        "id": name, "title": name, "issue": "sales" if marketing else "service", "group": "cards", "kind": kind,
        "contact_class": "marketing" if marketing else "service", "purpose": purposes.get(kind, "assistance"),
        "owner": "team", "validity": {"from": "2026-01-01"}, "placements": ["home", "inbox"],
        "treatments": [{"id": f"{name}.plain", "channels": ["mobile", "push", "email"], "message": "m"}], **changes,
    }  # fmt: skip


def a_rule(require: object, name: str = "a.rule", **changes: object) -> dict[str, object]:
    given = {"id": name, "stage": "eligibility", "scope": "all", "require": require}
    return {**given, "reason": {"code": name.replace(".", "_").upper(), "text": "t"}, **changes}


def a_bank(**changes: object) -> Bundle:
    """One bundle with `rules`, `actions`, `contact_policies`, ... of the test."""
    signal = {"title": "s", "why": "w", "owner": "team", "key": "session", "purpose": "assistance", "expires": "5m"}
    given = {
        "bank": {"name": "Bank", "jurisdiction": "DE", "currency": "EUR", "time_zone": "Europe/Berlin",
                 "locales": [{"id": "en-GB"}], "packs": changes.pop("pinned", [])},
        "purposes": [_purpose(name, needs_consent=name != "servicing") for name in EVERYTHING],
        "attributes": ATTRIBUTES,
        "derived": DERIVED,
        "channels": [{"id": "mobile", "title": "m"}, {"id": "push", "title": "p", "outbound": True},
                     {"id": "email", "title": "e", "outbound": True}],
        "placements": [{"id": "home", "title": "h", "channels": ["mobile"]},
                       {"id": "inbox", "title": "i", "channels": ["push", "email"]}],
        "signals": [
            {**signal, "signal": "stuck", "kind": "friction", "detect": {"event": {"type": "tap"}}, "emit": ["step"]},
            {**signal, "signal": "looking", "kind": "intent", "detect": {"event": {"type": "screen_view"}}},
        ],
        "actions": [an_action("card"), an_action("help", "guidance"), an_action("notice", "alert")],
    }  # fmt: skip
    return Bundle.model_validate({**given, **changes})


ATTRIBUTES = [
    {"id": "view.age", "title": "a", "type": "int", "category": "demographic", "owner": "t", "freshness": "400d"},
    {"id": "view.time_zone", "title": "z", "type": "string", "category": "demographic", "owner": "t"},
    {"id": "view.balance", "title": "b", "type": "money", "currency": "EUR", "category": "holding", "owner": "t"},
    {"id": "view.limit", "title": "l", "type": "money", "currency": "EUR", "category": "holding", "owner": "t"},
    {"id": "view.since", "title": "s", "type": "time", "category": "holding", "owner": "t"},
    {"id": "view.active", "title": "a", "type": "bool", "category": "holding", "owner": "t"},
    {"id": "view.tier", "title": "t", "type": "enum", "values": ["low", "high"], "category": "holding", "owner": "t"},
    {"id": "view.holdings", "title": "h", "type": "set", "values": ["current", "gold"], "category": "holding", "owner": "t"},
    {"id": "view.vulnerability", "title": "v", "type": "set", "values": ["hardship"], "category": "sensitive", "owner": "t"},
    {"id": "context.flow", "title": "f", "type": "string", "category": "interaction", "owner": "t"},
]  # fmt: skip

DERIVED = [
    {"id": "derived.use", "title": "u", "owner": "t", "op": "ratio_bp", "of": ["view.balance", "view.limit"], "type": "ratio"},
    {"id": "derived.left", "title": "l", "owner": "t", "op": "sub", "of": ["view.limit", "view.balance"], "type": "money", "currency": "EUR"},
    {"id": "derived.sum", "title": "l", "owner": "t", "op": "add", "of": ["view.limit", "view.balance"], "type": "money", "currency": "EUR"},
    {"id": "derived.least", "title": "l", "owner": "t", "op": "min", "of": ["view.limit", "view.balance"], "type": "money", "currency": "EUR"},
    {"id": "derived.most", "title": "l", "owner": "t", "op": "max", "of": ["view.limit", "view.balance"], "type": "money", "currency": "EUR"},
    {"id": "derived.count", "title": "c", "owner": "t", "op": "count", "of": ["view.holdings"]},
    {"id": "derived.days", "title": "d", "owner": "t", "op": "days_since", "of": ["view.since"]},
    {"id": "derived.shown", "title": "d", "owner": "t", "op": "max", "of": ["contact.days_since_shown", "derived.count"]},
]  # fmt: skip


def _purpose(name: str, *, needs_consent: bool) -> dict[str, object]:
    return {
        "id": name, "title": name, "description": "d", "owner": "t", "needs_consent": needs_consent,
        "categories": list(CATEGORIES), "lawful_basis": {"gdpr": "consent"},
    }  # fmt: skip


def a_request(view: Mapping[str, object] | None = None, **changes: object) -> Request:
    """Somebody at noon on mobile, allowed everything, not vulnerable, never contacted."""
    known = {"view.vulnerability": frozenset(), **(view or {})}
    seen = {name: value if isinstance(value, Seen) else Seen(value, NOON) for name, value in known.items()}
    given = {
        "now_ms": NOON, "channel": "mobile", "allowed": EVERYTHING, "view": seen, "contact": ContactState(),
    }  # fmt: skip
    return Request(**{**given, **changes})


def evaluated(bundle: Bundle, request: Request) -> Evaluation:
    return evaluate_request(Policy(bundle), request)


def survivors(bundle: Bundle, request: Request) -> set[str]:
    return {each.action for each in evaluated(bundle, request).survivors}


def reasons(bundle: Bundle, request: Request, action: str):
    return next((each.reasons for each in evaluated(bundle, request).rejected if each.action == action), ())


def codes(bundle: Bundle, request: Request, action: str) -> list[str]:
    return [reason.code for reason in reasons(bundle, request, action)]


def asked(bundle: Bundle, given: Given) -> Request:
    """A golden case's customer and moment."""
    contact = given.contact
    return Request(
        now_ms=given.now,
        channel=given.channel,
        allowed={purpose: frozenset(categories) for purpose, categories in given.basis.items()},
        placements=given.placements,
        jurisdictions=given.jurisdictions,
        view={name: Seen(value, given.now) for name, value in given.view.items()},
        signals={
            one.id: LiveSignal(
                bundle.signal[one.id].kind,
                bundle.signal[one.id].strength if one.strength is None else one.strength,
                dict(one.fields),
            )
            for one in given.signals
        },
        signals_fresh=given.signals_fresh,
        context=dict(given.context),
        contact=ContactState(
            pauses=tuple(Pause(p.policy, "", p.key, p.until, p.channel or "") for p in contact.pauses),
            counts=tuple(Used(count.limit, count.used) for count in contact.counts),
            last_shown={shown.action: shown.at for shown in contact.last_shown},
        ),
        killed=frozenset(given.killed),
        unavailable=frozenset(given.unavailable),
    )


def engine(bundle: Bundle, given: Given) -> Outcome:
    """This service's engine, as golden cases run one."""
    found = evaluated(bundle, asked(bundle, given))
    rejected = {each.action: frozenset(reason.code for reason in each.reasons) for each in found.rejected}
    return Outcome(frozenset(each.action for each in found.survivors), FrozenMap(rejected))
