"""Payments that repeat: their period, amount and next date, from days and amounts alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

SHORTEST: Final = 3
"""Occurrences that make a cadence."""
LOOKED_AT: Final = 6
"""The newest occurrences decide, so that an old rhythm does not hide a new one."""

PERIODS: Final = ((7, 1), (14, 2), (30, 4), (91, 8), (182, 10), (365, 12))
"""Days of a period and how far an interval may be off."""


class Payment(NamedTuple):
    """What was paid on a day."""

    day: int
    amount: int


class Cadence(NamedTuple):
    """A rhythm. `amount` is typical, `newest` and `earlier` are the last two."""

    period: int
    slack: int
    amount: int
    last: int
    next: int
    newest: int
    earlier: int

    def missed(self, today: int) -> bool:
        """Whether the next payment is overdue, and has not simply ended (two periods)."""
        return self.next + self.slack < today <= self.last + 2 * self.period + self.slack

    def alive(self, today: int) -> bool:
        """Whether it still goes on."""
        return today <= self.last + 2 * self.period + self.slack


def median(values: Sequence[int]) -> int:
    """The lower median."""
    return sorted(values)[(len(values) - 1) // 2]


def cadence(payments: Sequence[Payment]) -> Cadence | None:
    """The rhythm of the newest payments, in order of days; None without one."""
    newest = payments[-LOOKED_AT:]
    if len(newest) < SHORTEST:
        return None
    intervals = [later.day - earlier.day for earlier, later in pairwise(newest)]
    fitting = [(period, slack) for period, slack in PERIODS if abs(median(intervals) - period) <= slack]
    if not fitting:
        return None
    period, slack = fitting[0]
    if any(abs(interval - period) > slack for interval in intervals):
        return None
    last = newest[-1]
    return Cadence(
        period=median(intervals),
        slack=slack,
        amount=median([payment.amount for payment in newest[-3:]]),
        last=last.day,
        next=last.day + median(intervals),
        newest=last.amount,
        earlier=newest[-2].amount,
    )
