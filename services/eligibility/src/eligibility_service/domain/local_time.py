"""Local wall time: now.* attributes and quiet hours."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from catalog.attributes import WEEKDAYS
from catalog.model import Pack, QuietHours

MS = 1000


def zone(name: str) -> ZoneInfo | None:
    """The zone of that name, or None: a name from outside may be anything."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local(now_ms: int, where: ZoneInfo) -> datetime:
    """Wall time there."""
    return datetime.fromtimestamp(now_ms // MS, UTC).astimezone(where)


def weekday(when: datetime) -> str:
    """Mon .. sun."""
    return WEEKDAYS[when.weekday()]


def is_holiday(when: datetime, packs: tuple[Pack, ...]) -> bool:
    """Whether a pack lists the day."""
    return any(when.date() == _day(instant) for pack in packs for instant in pack.holidays)


def _day(instant_ms: int) -> date:
    return datetime.fromtimestamp(instant_ms // MS, UTC).date()


def is_quiet(hours: QuietHours, now_ms: int, where: ZoneInfo, *, holiday: bool) -> bool:
    """Whether it is quiet there, in either reading of an ambiguous or skipped local time.

    Wall time repeats or jumps at a change of the clock; the reading an hour off is checked on both sides of it.
    """
    readings = {local(now_ms, where).replace(tzinfo=None)}
    for side in (-1, 1):
        other = local(now_ms + side * 3_600_000, where)
        shift = (other.utcoffset() or timedelta()) - (local(now_ms, where).utcoffset() or timedelta())
        if shift:
            readings.add(local(now_ms, where).replace(tzinfo=None) + shift)
    return any(_quiet_at(hours, reading, holiday=holiday) for reading in readings)


def _quiet_at(hours: QuietHours, reading: datetime, *, holiday: bool) -> bool:
    if holiday and hours.holidays:
        return True
    clock = reading.strftime("%H:%M")
    if hours.start <= hours.end:
        return hours.start <= clock < hours.end and _covers(hours, reading)
    if clock >= hours.start:
        return _covers(hours, reading)
    return clock < hours.end and _covers(hours, reading - timedelta(days=1))


def _covers(hours: QuietHours, begun: datetime) -> bool:
    """Whether quiet hours that began on that day count."""
    return not hours.days or weekday(begun) in hours.days
