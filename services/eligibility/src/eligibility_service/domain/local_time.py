"""Local wall time: now.* attributes, calendar periods and quiet hours.

Theory. An instant has one wall time in a zone, but a wall time may have two instants (the clock goes back) or none (it goes
forward). Python reads such a time in two ways, `fold` 0 and 1 (PEP 495). Where quiet hours begin or end at such a time, both readings
count: they last from the earlier beginning to the later end.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from catalog.attributes import WEEKDAYS
from catalog.model import Pack, QuietHours

MS = 1000
DAY = timedelta(days=1)


def zone(name: str) -> ZoneInfo | None:
    """The zone of that name, or None: a name from outside may be anything."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local(now_ms: int, where: ZoneInfo) -> datetime:
    """Wall time there."""
    return datetime.fromtimestamp(now_ms // MS, UTC).astimezone(where)


def weekday(day: date) -> str:
    """Mon .. sun."""
    return WEEKDAYS[day.weekday()]


def is_holiday(day: date, packs: tuple[Pack, ...]) -> bool:
    """Whether a pack lists the day."""
    return any(day == datetime.fromtimestamp(listed // MS, UTC).date() for pack in packs for listed in pack.holidays)


def readings(day: date, at: time, where: ZoneInfo) -> tuple[int, int]:
    """The instants that a wall time means, earlier first; the same twice unless the clock changes there."""
    first, second = (int(datetime.combine(day, at.replace(fold=fold), where).timestamp()) * MS for fold in (0, 1))
    return min(first, second), max(first, second)


def midnight(day: date, where: ZoneInfo) -> int:
    """The first moment of the day there: `fold` 0 is the first of two midnights, and the change itself where there is none."""
    return int(datetime.combine(day, time(), where).timestamp()) * MS


def is_quiet(hours: QuietHours, now_ms: int, where: ZoneInfo, *, holiday: bool) -> bool:
    """Whether it is quiet there: on a holiday that counts, or in the hours that began today or the day before."""
    if holiday and hours.holidays:
        return True
    today = local(now_ms, where).date()
    return any(_lasts(hours, day, now_ms, where) for day in (today - DAY, today, today + DAY))


def _lasts(hours: QuietHours, begun: date, now_ms: int, where: ZoneInfo) -> bool:
    """Whether the quiet hours that began on that day last; equal ends mean the whole day, because zero must not mean never."""
    if hours.days and weekday(begun) not in hours.days:
        return False
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    ended = begun if start < end else begun + DAY
    return readings(begun, start, where)[0] <= now_ms < readings(ended, end, where)[1]
