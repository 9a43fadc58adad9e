"""How long a stage may take: its share of what is left, so that what earlier stages did not use passes on."""

from __future__ import annotations

from collections.abc import Sequence

DEFAULT_S = 0.150
"""The budget of a call without a deadline."""
MARGIN = 0.9
"""The part of a deadline that is spent; the rest carries the answer back."""
LONGEST_S = 10.0
"""A patient client does not make a decision older than its consent basis."""


def budget_s(within_s: float | None) -> float:
    """Seconds for a whole decision, of a client that waits so long or does not say."""
    return DEFAULT_S if within_s is None else min(within_s * MARGIN, LONGEST_S)


def allotment(remaining_s: float, shares: Sequence[float]) -> float:
    """Seconds for the first of the stages whose shares these are, all of which are still to come."""
    return max(remaining_s, 0.0) * shares[0] / sum(shares)
