"""The table of lawful bases, time to the microsecond, regimes, and one reason by precedence."""

from __future__ import annotations

import itertools

import pytest
from consent_fakes import DAY, NOW, a_document, a_notice, a_purpose, a_regime, a_registry, ref, scope

from consent_service.domain.choices import Key, Scope, Statement
from consent_service.domain.registry import EMPTY
from consent_service.domain.verdicts import applicable, verdict
from consent_service.domain.words import Kind
from servicekit.errors import Invalid

REGISTRY = a_registry()
TO = NOW + 10


def said(kind: Kind, where: Scope, index: int = 2, **changed) -> Statement:
    notice = None if kind in (Kind.REFUSE, Kind.WITHDRAW) else ref()
    fields = {"event_us": NOW, "recorded_us": NOW, "from_us": NOW, "notice": notice, **changed}
    return Statement(index=index, kind=kind, scope=where, **fields)


def reason(*statements: Statement, purpose="offers", at=NOW, registry=REGISTRY, regimes=(), key=None, **parts) -> str:
    key = key or Key(purpose, **{"channel": "mobile", "category": "transaction", **parts})
    return verdict(registry, statements, key, regimes=applicable(registry, regimes), at_us=at).reason.value


@pytest.mark.parametrize(
    ("purpose", "nothing", "granted", "refused", "withdrawn", "ended"),
    [
        ("offers", "NO_RECORD", "GRANTED", "REFUSED", "WITHDRAWN", "EXPIRED"),
        ("sharing", "NOTICE_NOT_SERVED", "GRANTED", "REFUSED", "WITHDRAWN", "NOTICE_NOT_SERVED"),
        ("advice", "NOT_OBJECTED", "NOT_OBJECTED", "REFUSED", "WITHDRAWN", "NOT_OBJECTED"),
        ("service", "NEEDED", "NEEDED", "NEEDED", "NEEDED", "NEEDED"),
        ("fraud", "NEEDED", "NEEDED", "NEEDED", "NEEDED", "NEEDED"),
    ],
)
def test_each_lawful_basis_judges_each_state(purpose, nothing, granted, refused, withdrawn, ended):
    grant = said(Kind.GRANT, scope(purpose), to_us=TO)
    found = (
        reason(purpose=purpose),
        reason(grant, purpose=purpose),
        reason(said(Kind.REFUSE, Scope(purpose)), purpose=purpose),
        reason(grant, said(Kind.WITHDRAW, Scope("*"), 3), purpose=purpose),
        reason(grant, purpose=purpose, at=TO),
    )

    assert found == (nothing, granted, refused, withdrawn, ended)


def test_a_grant_holds_from_its_first_microsecond_to_the_one_before_its_end():
    grant = said(Kind.GRANT, scope(), from_us=NOW + 5, to_us=TO)

    assert [reason(grant, at=at) for at in (NOW + 4, NOW + 5, TO - 1, TO)] == [
        "NOT_YET_VALID",
        "GRANTED",
        "GRANTED",
        "EXPIRED",
    ]


def test_a_parents_denial_covers_its_children_and_its_grant_does_not():
    grant = said(Kind.GRANT, scope("offers"))
    child = said(Kind.GRANT, scope("offers.credit"))

    assert reason(grant, purpose="offers.credit") == "NO_RECORD"
    assert reason(child, said(Kind.WITHDRAW, Scope("offers"), 3), purpose="offers.credit") == "WITHDRAWN"
    assert reason(grant, said(Kind.WITHDRAW, Scope("offers.credit"), 3)) == "GRANTED"


def test_a_denial_of_one_channel_leaves_the_others():
    grant = said(Kind.GRANT, scope(channels=("mobile", "web")))
    denial = said(Kind.WITHDRAW, Scope("offers", frozenset({"web"})), 3)

    assert reason(grant, denial) == "GRANTED"
    assert reason(grant, denial, channel="web") == "WITHDRAWN"


def test_a_void_notice_recalls_its_grants_and_what_was_denied_before_stands_again():
    registry = a_registry(notices=[a_notice("de"), a_notice("en", status="VOID")])
    grant = said(Kind.GRANT, scope(), 3)

    assert reason(grant, registry=registry) == "NOTICE_VOID"
    assert reason(said(Kind.REFUSE, Scope("*"), 2), grant, registry=registry) == "REFUSED"
    assert reason(said(Kind.GRANT, scope(), notice=None)) == "NOTICE_VOID"


def test_a_closed_notice_still_counts():
    registry = a_registry(notices=[a_notice("de"), a_notice("en", status="CLOSED")])

    assert reason(said(Kind.GRANT, scope()), registry=registry) == "GRANTED"


def test_sensitive_needs_an_explicit_grant_or_a_declared_ground():
    where = scope(categories=("sensitive",))
    silent, explicit = said(Kind.GRANT, where), said(Kind.GRANT, where, explicit=True)
    found = [
        reason(category="sensitive"),
        reason(silent, category="sensitive"),
        reason(explicit, category="sensitive"),
        reason(category="sensitive", purpose="advice"),
        reason(category="sensitive", purpose="fraud"),
    ]

    assert found == ["NO_RECORD", "EXPLICIT_REQUIRED", "GRANTED", "EXPLICIT_REQUIRED", "NEEDED"]


def test_an_opt_out_purpose_waits_for_a_served_notice_and_its_window():
    served = said(Kind.NOTICE_SERVED, scope("sharing"))
    day_30 = NOW + 30 * DAY
    found = [reason(served, purpose="sharing", regimes=("glba_fcra",), at=at) for at in (NOW, day_30 - 1, day_30)]

    assert found == ["WAITING_WINDOW", "WAITING_WINDOW", "NOTICE_SERVED"]
    assert reason(served, said(Kind.REFUSE, Scope("sharing"), 3), purpose="sharing", at=day_30) == "REFUSED"
    assert (
        reason(said(Kind.REFUSE, Scope("sharing"), 2), said(Kind.NOTICE_SERVED, scope("sharing"), 3), purpose="sharing")
        == "REFUSED"
    )


def test_a_regime_that_the_caller_names_only_narrows():
    grant = said(Kind.GRANT, scope(), to_us=None)
    year = NOW + 365 * DAY

    assert reason(grant, at=year) == "GRANTED"
    assert [reason(grant, at=at, regimes=("au_cdr",)) for at in (year - 1, year)] == ["GRANTED", "EXPIRED"]
    assert reason(purpose="advice", regimes=("au_cdr",)) == "NO_LAWFUL_BASIS"
    with pytest.raises(Invalid):
        applicable(REGISTRY, ("unheard_of",))


def test_an_allowed_verdict_ends_with_the_first_grant_of_any_regime():
    grant = said(Kind.GRANT, scope(), to_us=NOW + 400 * DAY)
    found = verdict(REGISTRY, [grant], Key("offers", "mobile", "transaction"), regimes=("au_cdr", "gdpr"), at_us=NOW)

    assert (found.support, found.until_us) == (2, NOW + 365 * DAY)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (Key("unheard_of", "mobile", "transaction"), "UNKNOWN_PURPOSE"),
        (Key("service", "branch", "location"), "CHANNEL_NOT_LISTED"),
        (Key("service", "mobile", "location", "partner"), "CATEGORY_NOT_LISTED"),
        (Key("service", "mobile", "transaction", "partner"), "RECIPIENT_NOT_LISTED"),
        (Key("offers", "nowhere", "transaction"), "CHANNEL_NOT_LISTED"),
    ],
)
def test_what_the_registry_does_not_list_is_denied_by_name(key, expected):
    assert reason(key=key) == expected


def test_a_retired_purpose_denies_even_what_was_granted():
    purposes = [p if p["id"] != "offers" else {**p, "retired": True} for p in a_document()["purposes"]]

    assert reason(said(Kind.GRANT, scope()), registry=a_registry(purposes=purposes)) == "PURPOSE_RETIRED"


def test_without_a_registry_nothing_is_allowed():
    keys = itertools.product(("offers", "service"), ("mobile",), ("transaction",))
    assert {reason(said(Kind.GRANT, scope()), registry=EMPTY, key=Key(*key)) for key in keys} == {"UNKNOWN_PURPOSE"}


def test_every_regime_must_allow():
    everything = ("CONSENT", "OPT_OUT", "LEGITIMATE_INTEREST")
    registry = a_registry(
        default_regimes=["au_cdr", "gdpr"],
        regimes=[a_regime("au_cdr", *everything), a_regime("gdpr", *everything)],
        purposes=[a_purpose("advice", "LEGITIMATE_INTEREST", ("au_cdr", "CONSENT"))],
        notices=[],
    )

    assert reason(purpose="advice", registry=registry) == "NO_RECORD"
