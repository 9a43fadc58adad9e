"""Pauses and limits are functions of the set of outcomes, and equal what one would count by hand (I4, N6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from eligibility_builders import DAY, NOON, a_bank, an_action
from hypothesis import given
from hypothesis import strategies as st

from eligibility_service.domain.contact import (
    Contact,
    contact_state,
    memory_ms,
    paused_until,
    pauses,
    refusal,
    used,
    wanted,
)

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = 60_000


def a_contact(at_ms=NOON, **changes):
    given = {"action": "card", "group": "cards", "issue": "sales", "channel": "push", "contact_class": "marketing"}
    return Contact(**{**given, "outcome": "impression", "at_ms": at_ms, **changes})


def a_policy(**changes):
    given = {
        "id": "p",
        "scope": "action",
        "outcomes": ["impression"],
        "count": 2,
        "window": 10 * MINUTE,
        "pause": 5 * MINUTE,
    }
    return {**given, **changes}


def a_limit(per, **changes):
    return {"id": "l", "channels": ["push"], "max": 2, "per": per, **changes}


minutes = st.integers(-40, 5).map(lambda number: NOON + number * MINUTE)
contacts = st.lists(
    st.builds(
        a_contact,
        minutes,
        action=st.sampled_from(["card", "loan"]),
        group=st.sampled_from(["cards", "loans"]),
        channel=st.sampled_from(["push", "email"]),
        outcome=st.sampled_from(["impression", "dismiss", "reserved"]),
    ),
    max_size=12,
)
policies = st.builds(
    a_policy,
    scope=st.sampled_from(["action", "group", "issue", "all"]),
    count=st.integers(1, 4),
    window=st.integers(1, 30).map(lambda n: n * MINUTE),
    pause=st.integers(1, 30).map(lambda n: n * MINUTE),
    channels=st.sampled_from([[], ["push"], ["push", "email"]]),
    outcomes=st.sampled_from([["impression"], ["impression", "dismiss"]]),
)


def by_hand(policy, known, now_ms):
    """The sentence of the design, word by word, for every key and channel."""
    found = {}
    key_of = {
        "action": lambda c: c.action,
        "group": lambda c: c.group,
        "issue": lambda c: c.issue,
        "all": lambda _: "all",
    }[policy.level]
    for one in known:
        key, channel = key_of(one), one.channel if policy.channels else ""
        times = [
            c.at_ms
            for c in known
            if c.outcome in policy.outcomes
            and key_of(c) == key
            and (not policy.channels or (c.channel in policy.channels and c.channel == channel))
        ]
        ends = [
            t + policy.pause
            for t in times
            if sum(t - policy.window < u <= t for u in times) >= policy.count and t <= now_ms < t + policy.pause
        ]
        if ends:
            found[key, channel] = max(ends)
    return found


@given(policies, contacts, st.randoms(use_true_random=False), minutes)
def test_pauses_equal_counting_by_hand_in_any_order(policy, known, random, now_ms):
    bank = a_bank(contact_policies=[policy])
    shuffled = random.sample(known, len(known))
    found = {(pause.key, pause.channel): pause.until_ms for pause in pauses(bank, shuffled, now_ms)}

    assert found == by_hand(bank.contact_policies[0], known, now_ms)


@given(policies, contacts, contacts)
def test_a_late_outcome_gives_the_state_of_one_that_came_in_time(policy, early, late):
    bank = a_bank(contact_policies=[policy], contact_limits=[a_limit({"sliding": 10 * MINUTE})])

    both = contact_state(bank, [*early, *late], version=1, now_ms=NOON)
    assert contact_state(bank, [*late, *early], version=1, now_ms=NOON) == both


@given(policies, contacts)
def test_nothing_older_than_the_memory_matters(policy, known):
    bank = a_bank(contact_policies=[policy], contact_limits=[a_limit({"calendar": "month"})])
    since = NOON - memory_ms(bank)
    old = [replace(each, at_ms=since - (NOON - each.at_ms) - 6 * MINUTE) for each in known]

    assert tuple(pauses(bank, [*known, *old], NOON)) == tuple(pauses(bank, known, NOON))
    assert [u.used for u in used(bank, [*known, *old], NOON, BERLIN)] == [
        u.used for u in used(bank, known, NOON, BERLIN)
    ]


def test_a_pause_lasts_exactly_as_long_as_it_says():
    policy = a_bank(contact_policies=[a_policy()]).contact_policies[0]
    times = [NOON - MINUTE, NOON]

    assert paused_until(times, policy, NOON - 1) is None
    assert paused_until(times, policy, NOON) == NOON + 5 * MINUTE
    assert paused_until(times, policy, NOON + 5 * MINUTE - 1) == NOON + 5 * MINUTE
    assert paused_until(times, policy, NOON + 5 * MINUTE) is None


def test_the_window_leaves_out_its_own_beginning():
    policy = a_bank(contact_policies=[a_policy()]).contact_policies[0]

    assert paused_until([NOON - 10 * MINUTE, NOON], policy, NOON) is None
    assert paused_until([NOON - 10 * MINUTE + 1, NOON], policy, NOON) is not None


@pytest.mark.parametrize("pause", [0, -1, "0d", None, 3651 * DAY, 59_999])
def test_a_pause_of_nothing_or_for_ever_is_no_bundle(pause):
    with pytest.raises(ValueError):
        a_bank(contact_policies=[a_policy(pause=pause)])


def moment(text):
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("period", "now", "first", "resets"),
    [
        ("day", "2026-05-04T12:00+02:00", "2026-05-04T00:00+02:00", "2026-05-05T00:00+02:00"),
        ("week", "2026-05-10T23:59+02:00", "2026-05-04T00:00+02:00", "2026-05-11T00:00+02:00"),
        ("week", "2026-05-11T00:00+02:00", "2026-05-11T00:00+02:00", "2026-05-18T00:00+02:00"),
        ("month", "2026-01-31T12:00+01:00", "2026-01-01T00:00+01:00", "2026-02-01T00:00+01:00"),
        ("month", "2026-02-28T12:00+01:00", "2026-02-01T00:00+01:00", "2026-03-01T00:00+01:00"),
        ("month", "2026-04-30T12:00+02:00", "2026-04-01T00:00+02:00", "2026-05-01T00:00+02:00"),
        ("month", "2026-12-31T23:59+01:00", "2026-12-01T00:00+01:00", "2027-01-01T00:00+01:00"),
        ("day", "2026-03-29T12:00+02:00", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("month", "2026-10-31T12:00+01:00", "2026-10-01T00:00+02:00", "2026-11-01T00:00+01:00"),
    ],
)
def test_a_calendar_period_is_the_banks_own(period, now, first, resets):
    bank = a_bank(contact_limits=[a_limit({"calendar": period})])
    start = moment(first)

    [inside] = used(bank, [a_contact(start), a_contact(start - 1)], moment(now), BERLIN)
    assert (inside.used, inside.resets_ms) == (1, moment(resets))


def test_in_a_zone_whose_midnight_comes_twice_the_day_begins_at_the_first():
    havana = ZoneInfo("America/Havana")
    bank = a_bank(contact_limits=[a_limit({"calendar": "day"})])
    second_reading = moment("2026-11-01T00:30-05:00")

    [count] = used(bank, [a_contact(moment("2026-11-01T00:10-04:00"))], second_reading, havana)
    assert count.used == 1


@given(contacts, minutes)
def test_a_sliding_limit_equals_counting_by_hand(known, now_ms):
    bank = a_bank(contact_limits=[a_limit({"sliding": 10 * MINUTE})])
    times = [
        each.at_ms
        for each in known
        if each.channel == "push" and each.outcome in {"impression", "reserved"} and each.at_ms > now_ms - 10 * MINUTE
    ]

    [count] = used(bank, known, now_ms, BERLIN)
    assert (count.used, count.resets_ms) == (len(times), min(times) + 10 * MINUTE if times else 0)


def test_impressions_and_reservations_count_and_other_outcomes_do_not():
    bank = a_bank(contact_limits=[a_limit({"calendar": "day"})])
    known = [a_contact(outcome=outcome) for outcome in ("impression", "reserved", "click", "dismiss", "complaint")]

    assert [count.used for count in used(bank, known, NOON, BERLIN)] == [2]


def test_the_state_tells_when_each_action_was_last_shown():
    known = [
        a_contact(NOON - 5),
        a_contact(NOON - 9),
        a_contact(NOON, outcome="click"),
        a_contact(NOON, outcome="reserved"),
    ]

    assert contact_state(a_bank(), known, version=3, now_ms=NOON).last_shown == {"card": NOON - 5}


def test_a_place_is_refused_by_the_first_pause_or_limit_that_leaves_none():
    bank = a_bank(
        actions=[an_action("card"), an_action("loan"), an_action("help", "guidance")],
        contact_policies=[a_policy(count=1, applies_to={"kind": ["offer"]})],
        contact_limits=[a_limit({"calendar": "day"})],
    )
    asked = {name: wanted(bank.action[name], "push", NOON) for name in ("card", "loan", "help")}

    assert refusal(bank, [], asked["card"], NOON) is None
    assert refusal(bank, [a_contact()], asked["card"], NOON) == "p"
    assert refusal(bank, [a_contact()], asked["loan"], NOON) is None
    assert refusal(bank, [a_contact(outcome="reserved")] * 2, asked["loan"], NOON) == "l"
    assert refusal(bank, [a_contact(outcome="reserved")] * 2, asked["help"], NOON) is None
