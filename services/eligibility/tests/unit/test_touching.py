"""What stands in the way of touching a customer: pauses, limits, quiet hours, or not knowing."""

from __future__ import annotations

import pytest
from eligibility_builders import DAY, EVERYTHING, NOON, a_bank, a_request, an_action, codes, evaluated, reasons

from eligibility_service.domain.request import ContactState, Pause, Used

HOUR = 3_600_000


def a_policy(level="action", **changes):
    given = {"id": "policy", "scope": level, "outcomes": ["dismiss"], "count": 2, "window": "30d", "pause": "60d"}
    return {**given, **changes}


def paused(bank, pause, action="card", **changes):
    return codes(bank, a_request(contact=ContactState(pauses=(pause,)), **changes), action)


@pytest.mark.parametrize(
    ("level", "key", "expected"),
    [
        ("action", "card", ["CONTACT_PAUSED"]),
        ("action", "help", []),
        ("group", "cards", ["CONTACT_PAUSED"]),
        ("group", "loans", []),
        ("issue", "sales", ["CONTACT_PAUSED"]),
        ("issue", "service", []),
        ("all", "all", ["CONTACT_PAUSED"]),
    ],
)
def test_a_pause_stops_its_scope_key(level, key, expected):
    bank = a_bank(contact_policies=[a_policy(level)])

    assert paused(bank, Pause("policy", level, key, NOON + 1)) == expected


def test_a_pause_ends_at_its_time_and_says_when():
    bank = a_bank(contact_policies=[a_policy()])

    assert paused(bank, Pause("policy", "action", "card", NOON)) == []
    state = ContactState(pauses=(Pause("policy", "action", "card", NOON + 1),))
    [reason] = reasons(bank, a_request(contact=state), "card")
    assert (reason.rule, reason.needed, reason.stage) == ("policy", f"after {NOON + 1}", "contact")


def test_of_two_pauses_the_longer_counts():
    bank = a_bank(contact_policies=[a_policy()])
    state = ContactState(pauses=tuple(Pause("policy", "action", "card", NOON + ms) for ms in (9, 5)))

    assert [reason.needed for reason in reasons(bank, a_request(contact=state), "card")] == [f"after {NOON + 9}"]


def test_a_pause_on_one_channel_leaves_the_others():
    bank = a_bank(contact_policies=[a_policy(channels=["push", "mobile"])])

    assert paused(bank, Pause("policy", "action", "card", NOON + 1, "push")) == []
    assert paused(bank, Pause("policy", "action", "card", NOON + 1, "mobile")) == ["CONTACT_PAUSED"]


def test_a_pause_does_not_reach_beyond_what_its_policy_applies_to():
    bank = a_bank(contact_policies=[a_policy("all", applies_to={"kind": ["offer"]})])

    assert paused(bank, Pause("policy", "all", "all", NOON + 1), "help") == []


def test_a_policys_own_reason_is_told():
    reason = {"code": "DISMISSED", "text": "not-again", "disclose": "customer"}
    bank = a_bank(contact_policies=[a_policy(reason=reason)])
    state = ContactState(pauses=(Pause("policy", "action", "card", NOON + 1),))

    [told] = reasons(bank, a_request(contact=state), "card")
    assert (told.code, told.text, told.disclose) == ("DISMISSED", "not-again", "customer")


def a_limit(**changes):
    return {"id": "limit", "channels": ["mobile"], "max": 2, "per": {"calendar": "week"}, **changes}


@pytest.mark.parametrize(("used", "expected"), [(0, []), (1, []), (2, ["CONTACT_LIMIT"]), (3, ["CONTACT_LIMIT"])])
def test_a_limit_stops_what_it_counts_once_it_is_used_up(used, expected):
    bank = a_bank(contact_limits=[a_limit()])
    request = a_request(contact=ContactState(counts=(Used("limit", used),)))

    assert codes(bank, request, "card") == expected
    assert codes(bank, request, "help") == []


def test_a_limit_of_zero_is_never():
    assert codes(a_bank(contact_limits=[a_limit(max=0)]), a_request(), "card") == ["CONTACT_LIMIT"]


def test_service_skips_limits_but_not_pauses():
    bank = a_bank(contact_limits=[a_limit(max=0)], contact_policies=[a_policy("all")])

    assert paused(bank, Pause("policy", "all", "all", NOON + 1), "notice") == ["CONTACT_PAUSED"]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"contact": None}, "unavailable"),
        ({"unavailable": frozenset({"contact"})}, "unavailable"),
        ({"allowed": {**EVERYTHING, "contact_control": frozenset()}}, "no_consent"),
    ],
)
def test_unknown_contact_state_stops_what_anything_counts_and_nothing_else(changes, cause):
    bank = a_bank(contact_limits=[a_limit()])

    assert [(r.code, r.missing) for r in reasons(bank, a_request(**changes), "card")] == [("CONTACT_UNKNOWN", cause)]
    assert codes(bank, a_request(**changes), "help") == []


def test_a_survivor_needs_a_reservation_when_anything_counts_it():
    bank = a_bank(contact_limits=[a_limit()], contact_policies=[a_policy(applies_to={"action": "help"})])
    needed = {each.action: each.needs_reservation for each in evaluated(bank, a_request()).survivors}

    assert needed == {"card": True, "help": True, "notice": False}


def quiet_bank(**changes):
    hours = {"channels": ["push"], "from": "21:00", "to": "08:00", "except": ["fraud"], **changes}
    channels = [
        {"id": "push", "title": "p", "outbound": True, "quiet_hours": [hours]},
        {"id": "mobile", "title": "m", "quiet_hours": [hours]},
    ]
    return a_bank(
        channels=channels, actions=[an_action("notice", "alert"), an_action("fraud", "alert", contact_class="fraud")]
    )


def test_quiet_hours_bind_what_goes_out_and_only_that():
    request = {"now_ms": NOON + 8 * HOUR}

    assert codes(quiet_bank(), a_request(channel="push", **request), "notice") == ["QUIET_HOURS"]
    assert codes(quiet_bank(channels=["mobile", "push"]), a_request(**request), "notice") == []


def test_quiet_hours_spare_the_classes_they_except():
    assert codes(quiet_bank(), a_request(channel="push", now_ms=NOON + 8 * HOUR), "fraud") == []


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("America/New_York", []),
        ("Europe/Berlin", ["QUIET_HOURS"]),
        ("no/such", ["QUIET_HOURS"]),
        ("../etc", ["QUIET_HOURS"]),
    ],
)
def test_the_customers_zone_decides_and_an_unknown_one_is_no_zone(zone, expected):
    request = a_request({"view.time_zone": zone}, channel="push", now_ms=NOON + 8 * HOUR)

    assert codes(quiet_bank(), request, "notice") == expected


def test_in_an_unknown_zone_it_is_quiet_if_it_is_quiet_in_any():
    pack = {
        "jurisdiction": "EU", "version": 1, "title": "EU", "effective_from": "2026-01-01",
        "zones": ["Europe/Dublin", "Europe/Helsinki"],
        "quiet_hours": [{"channels": ["push"], "from": "21:00", "to": "08:00"}],
    }  # fmt: skip
    bank = a_bank(packs=[pack], pinned=["EU@1"])
    at = {21: NOON + 6 * HOUR, 20: NOON + 5 * HOUR}  # by the clock of Helsinki, UTC+3

    assert codes(bank, a_request(channel="push", now_ms=at[21]), "notice") == ["QUIET_HOURS"]
    assert codes(bank, a_request(channel="push", now_ms=at[20]), "notice") == []
    dublin = {"view.time_zone": "Europe/Dublin"}
    assert codes(bank, a_request(dublin, channel="push", now_ms=at[21]), "notice") == []


def test_a_holiday_that_counts_is_quiet_all_day():
    pack = {
        "jurisdiction": "EU", "version": 1, "title": "EU", "effective_from": "2026-01-01", "zones": ["Europe/Berlin"],
        "holidays": ["2026-05-04"],
        "quiet_hours": [{"channels": ["push"], "from": "21:00", "to": "08:00", "holidays": True}],
    }  # fmt: skip
    bank = a_bank(packs=[pack], pinned=["EU@1"])

    assert codes(bank, a_request(channel="push"), "notice") == ["QUIET_HOURS"]
    assert codes(bank, a_request(channel="push", now_ms=NOON + DAY), "notice") == []
