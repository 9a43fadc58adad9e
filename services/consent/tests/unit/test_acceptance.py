"""What is taken into the ledger: every rule that turns a widening away, and nothing that turns away a denial."""

from __future__ import annotations

import pytest
from consent_fakes import DAY, NOW, a_document, a_notice, a_registry, grant, ref, refuse, screen, served

from consent_service.domain.acceptance import Actor, Evidence, accept, refuse_overlaps
from consent_service.domain.choices import NoticeRef
from consent_service.domain.registry import EMPTY
from consent_service.domain.words import ActorType
from servicekit.errors import AssentError, Invalid, NotFound

REGISTRY = a_registry()
MINUTE = 60 * 1_000_000


def accepted(*items, registry=REGISTRY, **changed):
    return accept(registry, screen(*items, **changed), first_index=7, now_us=NOW)


def refusal(*items, **changed) -> str:
    with pytest.raises(AssentError) as caught:
        accepted(*items, **changed)
    return caught.value.code


def an(kind: ActorType, **changed) -> Actor:
    return Actor(kind, **changed)


WRONG = [
    ("NOTICE_UNKNOWN", {"notice": None}),
    ("NOTICE_UNKNOWN", {"notice": NoticeRef("other", 1, "en", ref().sha256)}),
    ("NOTICE_UNKNOWN", {"notice": NoticeRef("choices", 2, "en", ref().sha256)}),
    ("NOTICE_LOCALE", {"notice": NoticeRef("choices", 1, "fr", ref().sha256)}),
    ("NOTICE_LOCALE", {"evidence": Evidence(locale="de")}),
    ("NOTICE_HASH", {"notice": NoticeRef("choices", 1, "en", ref("de").sha256)}),
    ("EVENT_IN_FUTURE", {"event_us": NOW + 5 * MINUTE + 1}),
    ("EVENT_TOO_OLD", {"event_us": NOW - 7 * DAY - 1}),
    ("ACTOR_MAY_NOT_WIDEN", {"actor": an(ActorType.SYSTEM)}),
    ("ACTOR_MAY_NOT_WIDEN", {"actor": an(ActorType.AUTHORITY)}),
    ("ACTOR_MISSING", {"actor": an(ActorType.UNSPECIFIED)}),
    ("ACTOR_MISSING", {"actor": an(ActorType.AGENT)}),
    ("POWER_MISSING", {"actor": an(ActorType.REPRESENTATIVE)}),
    ("UNKNOWN_REGIME", {"regimes": ("unheard_of",)}),
]


@pytest.mark.parametrize(("reason", "changed"), WRONG)
def test_a_grant_is_turned_away_with_its_reason(reason, changed):
    assert refusal(grant(), **changed) == reason


@pytest.mark.parametrize("changed", [changed for _, changed in WRONG])
def test_a_denial_is_never_turned_away(changed):
    [statement] = accepted(refuse(), **changed)

    assert statement.event_us <= NOW


def test_a_denial_of_everything_needs_no_registry():
    assert accepted(refuse("*"), registry=EMPTY)


@pytest.mark.parametrize("event_us", [NOW + 1, NOW + 5 * MINUTE, NOW - 8 * DAY, -1, 1 << 62])
def test_a_denial_with_a_strange_time_counts_from_now(event_us):
    assert accepted(refuse(), event_us=event_us)[0].event_us == NOW


def test_a_denial_keeps_a_likely_time():
    assert accepted(refuse(), event_us=NOW - DAY)[0].event_us == NOW - DAY


def test_an_unknown_purpose_is_not_found():
    with pytest.raises(NotFound):
        accepted(refuse("unheard_of"))


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("NOTICE_NOT_OPEN", {"status": "CLOSED"}),
        ("NOTICE_NOT_OPEN", {"status": "VOID"}),
        ("NOTICE_NOT_OPEN", {"effective_from_us": NOW + 1}),
        ("NOTICE_SCOPE", {"covers": {**a_notice()["covers"], "channels": ["web"]}}),
        ("NOTICE_SCOPE", {"covers": {**a_notice()["covers"], "purposes": ["advice"]}}),
    ],
)
def test_a_grant_needs_a_notice_that_is_open_and_covers_it(reason, changed):
    assert refusal(grant(), registry=a_registry(notices=[a_notice("en", **changed)])) == reason


def test_a_grant_of_a_retired_purpose_is_refused():
    purposes = [{**p, "retired": True} if p["id"] == "offers" else p for p in a_document()["purposes"]]

    assert refusal(grant(), registry=a_registry(purposes=purposes)) == "PURPOSE_RETIRED"


def test_sensitive_data_is_granted_explicitly_or_not_at_all():
    assert refusal(grant(categories=("sensitive",))) == "EXPLICIT_REQUIRED"
    assert accepted(grant(categories=("sensitive",), explicit=True))[0].explicit


def test_a_system_may_report_a_served_notice_and_an_authority_may_not():
    assert accepted(served(), actor=an(ActorType.SYSTEM))
    assert refusal(served(), actor=an(ActorType.AUTHORITY)) == "ACTOR_MAY_NOT_WIDEN"


def test_a_grant_lasts_as_long_as_the_regimes_permit_and_no_longer():
    year = NOW + 365 * DAY
    ends = [
        accepted(grant())[0].to_us,
        accepted(grant(), regimes=("au_cdr",))[0].to_us,
        accepted(grant(to_us=year + 1), regimes=("au_cdr",))[0].to_us,
        accepted(grant(to_us=NOW + 5), regimes=("au_cdr",))[0].to_us,
    ]

    assert ends == [None, year, year, NOW + 5]


@pytest.mark.parametrize("times", [{"to_us": NOW}, {"from_us": NOW - 1}, {"from_us": NOW + 9, "to_us": NOW + 9}])
def test_a_grant_that_ends_before_it_begins_or_begins_before_it_was_given_is_invalid(times):
    with pytest.raises(Invalid):
        accepted(grant(**times))


@pytest.mark.parametrize(
    "items",
    [
        (grant(), grant(categories=("transaction", "holding"))),
        (grant(), refuse()),
        (refuse(), refuse()),
        (grant("offers.credit"), refuse("offers")),
        (grant("sharing"), served("sharing")),
    ],
)
def test_two_items_about_one_key_are_invalid(items):
    with pytest.raises(Invalid, match=r"items\[1\]"):
        refuse_overlaps(items)


def test_items_about_different_keys_stand_together():
    refuse_overlaps((grant(), grant(channels=("web",)), refuse("advice"), refuse("offers.credit")))
