"""What the learner knows: integer sums of trials and positives per (model, action, context). Addition is all there is.

Because sums of integers do not care for order or grouping, any sharding, duplication that is dropped, or late correction of
outcomes gives one state, and taking an item back leaves exactly what there would be without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

FRESH_PERCENT: Final = 1
"""A snapshot is due once an action's sums moved by this much of its evidence."""


class Key(NamedTuple):
    """Whose sums: `context` is the channel they were counted on."""

    model: str
    action: str
    context: str


class Count(NamedTuple):
    """Items, and how many of them were positive."""

    trials: int
    positives: int


NOTHING: Final = Count(0, 0)
Counts = Mapping[Key, Count]


def plus(one: Count, other: Count) -> Count:
    """Both together."""
    return Count(one.trials + other.trials, one.positives + other.positives)


def minus(one: Count, other: Count) -> Count:
    """What is left of `one` without `other`."""
    return Count(one.trials - other.trials, one.positives - other.positives)


def merged(parts: Iterable[tuple[Key, Count]]) -> dict[Key, Count]:
    """The sums of all parts; keys of which nothing is left are gone."""
    sums: dict[Key, Count] = {}
    for key, count in parts:
        sums[key] = plus(sums.get(key, NOTHING), count)
    return {key: count for key, count in sums.items() if count != NOTHING}


def rows(counts: Counts) -> list[list[str | int]]:
    """The sums as sorted rows: one form for equal sums."""
    return [[*key, *count] for key, count in sorted(counts.items()) if count != NOTHING]


def state_digest(counts: Counts) -> str:
    """SHA-256 of the sorted rows: equal sums, equal digest."""
    text = json.dumps(rows(counts), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def is_due(published: Counts, current: Counts) -> bool:
    """Whether an action's sums moved by at least an outcome and 1 % of its evidence, or shrank (something was unlearned)."""
    for key in published.keys() | current.keys():
        before, now = published.get(key, NOTHING), current.get(key, NOTHING)
        moved = abs(now.trials - before.trials) + abs(now.positives - before.positives)
        if now.trials < before.trials or moved * 100 >= max(100, now.trials * FRESH_PERCENT):
            return True
    return False
