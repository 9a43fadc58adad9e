"""Quiet hours against a reference computed offset by offset, over every quarter hour of a year (I6)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from catalog.model import QuietHours
from eligibility_service.domain.local_time import is_quiet, midnight, readings, zone

ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Havana",
    "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "Asia/Beirut", "Asia/Kathmandu", "Pacific/Chatham",
)  # fmt: skip
HOURS = (("21:00", "08:00"), ("21:30", "02:30"), ("00:00", "06:00"), ("01:15", "23:45"), ("02:15", "02:45"))
DAY, QUARTER = timedelta(days=1), timedelta(minutes=15)
YEAR = [datetime(2026, 1, 1, tzinfo=UTC) + QUARTER * step for step in range(365 * 96)]


def hours(start, end, **changes):
    return QuietHours.model_validate({"channels": ["push"], "from": start, "to": end, **changes})


def ms(moment):
    return int(moment.timestamp()) * 1000


def meanings(wall, where):
    """The instants a wall time may mean: with each offset in force around it; those that show it, or all if none does."""
    around = [wall.replace(tzinfo=UTC) + shift for shift in (-DAY, DAY)]
    found = [wall.replace(tzinfo=UTC) - each.astimezone(where).utcoffset() for each in around]
    return [each for each in found if each.astimezone(where).replace(tzinfo=None) == wall] or found


def reference(start, end, where):
    """Quiet intervals of the year, from the earliest meaning of each beginning to the latest of each end."""
    begin, finish = time.fromisoformat(start), time.fromisoformat(end)
    for number in range(-2, 368):
        day = date(2026, 1, 1) + timedelta(days=number)
        last = day if begin < finish else day + DAY
        yield (
            min(meanings(datetime.combine(day, begin), where)),
            max(meanings(datetime.combine(last, finish), where)),
        )


@pytest.mark.parametrize("name", ZONES)
def test_every_quarter_hour_of_a_year_equals_the_reference(name):
    where, (start, end) = ZoneInfo(name), HOURS[ZONES.index(name) % len(HOURS)]
    expected = set()
    for begin, finish in reference(start, end, where):
        moment = begin.replace(second=0)
        expected |= {moment + QUARTER * step for step in range((finish - moment) // QUARTER)}

    quiet = hours(start, end)
    assert {each for each in YEAR if is_quiet(quiet, ms(each), where, holiday=False)} == expected.intersection(YEAR)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut"]
)
@pytest.mark.parametrize("pair", HOURS)
def test_around_every_change_of_the_clock_it_equals_the_reference_and_the_wall_clock_is_never_overruled(name, pair):
    where, quiet = ZoneInfo(name), hours(*pair)
    intervals = list(reference(*pair, where))
    changes = [a for a, b in pairwise(YEAR) if a.astimezone(where).utcoffset() != b.astimezone(where).utcoffset()]
    assert len(changes) == 2
    for change in changes:
        for minute in range(-36 * 60, 36 * 60, 15):
            moment = change + timedelta(minutes=minute)
            found = is_quiet(quiet, ms(moment), where, holiday=False)
            assert found is any(begin <= moment < finish for begin, finish in intervals)
            assert found or not on_the_wall(pair, moment.astimezone(where).strftime("%H:%M"))


def on_the_wall(pair, clock):
    start, end = pair
    return start <= clock < end if start < end else clock >= start or clock < end


def at(text, name="Europe/Berlin"):
    return ms(datetime.fromisoformat(text).astimezone(UTC)), ZoneInfo(name)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-25T02:25+02:00", True),
        ("2026-10-25T02:35+02:00", True),  # the second 02:30 is still to come
        ("2026-10-25T02:25+01:00", True),
        ("2026-10-25T02:30+01:00", False),
        ("2026-03-29T01:59+01:00", True),
        ("2026-03-29T03:29+02:00", True),  # 02:30 is skipped: by the old clock it is 02:29
        ("2026-03-29T03:30+02:00", False),
    ],
)
def test_an_end_that_the_clock_repeats_or_skips_is_the_later_one(moment, expected):
    assert is_quiet(hours("21:00", "02:30"), *at(moment), holiday=False) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-10-25T02:29+02:00", False),
        ("2026-10-25T02:30+02:00", True),
        ("2026-10-25T02:10+01:00", True),  # it began at the first 02:30
        ("2026-03-29T01:29+01:00", False),
        ("2026-03-29T01:30+01:00", True),  # by the new clock it is 02:30
        ("2026-03-29T03:00+02:00", True),
    ],
)
def test_a_beginning_that_the_clock_repeats_or_skips_is_the_earlier_one(moment, expected):
    assert is_quiet(hours("02:30", "09:00"), *at(moment), holiday=False) is expected


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-05-08T22:00+02:00", True),  # Friday night
        ("2026-05-09T07:00+02:00", True),  # still that night
        ("2026-05-09T22:00+02:00", False),
        ("2026-05-08T07:00+02:00", False),  # Thursday's night
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(moment, expected):
    assert is_quiet(hours("21:00", "08:00", days=["fri"]), *at(moment), holiday=False) is expected


def test_equal_ends_mean_the_whole_day():
    assert all(
        is_quiet(hours("00:00", "00:00"), ms(each), ZoneInfo("Europe/Berlin"), holiday=False) for each in YEAR[::7]
    )


def test_a_holiday_counts_only_where_the_hours_say_so():
    noon = at("2026-05-04T12:00+02:00")

    assert is_quiet(hours("21:00", "08:00", holidays=True), *noon, holiday=True)
    assert not is_quiet(hours("21:00", "08:00"), *noon, holiday=True)


def test_a_day_begins_at_the_first_moment_of_its_date():
    for name in ZONES:
        where = ZoneInfo(name)
        for number in range(365):
            day = date(2026, 1, 1) + timedelta(days=number)
            begun = datetime.fromtimestamp(midnight(day, where) // 1000, UTC)
            assert begun.astimezone(where).date() == day
            assert (begun - timedelta(seconds=1)).astimezone(where).date() == day - DAY


def test_readings_differ_only_where_the_clock_changes():
    berlin = ZoneInfo("Europe/Berlin")

    assert readings(date(2026, 5, 4), time(2, 30), berlin)[0] == readings(date(2026, 5, 4), time(2, 30), berlin)[1]
    early, late = readings(date(2026, 10, 25), time(2, 30), berlin)
    assert late - early == 3_600_000


@pytest.mark.parametrize(
    "name", ["", "no/such", "../../etc/passwd", "/etc/passwd", "a\x00b", "Europe", "x" * 10_000, "Ã¼"]
)
def test_a_zone_that_does_not_exist_is_none(name):
    assert zone(name) is None
