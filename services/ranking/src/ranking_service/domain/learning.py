"""Learning (ranking.md section 9): what an item teaches is a function of the set of its outcomes.

An item (one placed action of one decision) exists once its impression arrived. Its label is 1 if a success lies within the
attribution window after the impression, else 0, and a provisional 0 becomes 1 by retracting the old contribution and adding
the new one. An outcome that another one replaces counts no more. So order, duplication and corrections leave one state.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from ranking_service.domain.counts import NOTHING, Count, Key, minus
from ranking_service.domain.specification import Attribution

LEARNING: Final = "learning"
LEARNED_FROM: Final = "interaction"
"""What a subject did with a treatment is data of this category; the purpose `learning` must cover it."""
IMPRESSION: Final = "impression"
WEEK_MS: Final = 7 * 86_400_000
KEEP_MS: Final = 31 * 86_400_000
"""How long an outcome may wait for its decision: a day more than the streams keep either."""


class Outcome(NamedTuple):
    """What happened to an item. `replaces` names the outcome that this one corrects."""

    id: str
    kind: str
    at_ms: int
    replaces: str = ""


class Label(NamedTuple):
    """What an item teaches: the week of its impression, and whether it was a success."""

    week: int
    positive: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A placed action of a decision that may be learned from."""

    decision_id: str
    action: str
    placement: str
    slot: int
    model: str
    channel: str
    attribution: Attribution


@dataclass(frozen=True, slots=True)
class Decision:
    """What the learner keeps of a decision. Without `items` nothing is learned from it, now or later."""

    id: str
    subject_id: str
    channel: str
    at_ms: int
    ledger_index: int
    arm: str
    snapshot_version: int
    items: tuple[Item, ...]


class ItemOutcome(NamedTuple):
    """An outcome and the item it is about."""

    decision_id: str
    action: str
    subject_id: str
    channel: str
    outcome: Outcome


class Learned(NamedTuple):
    """A contribution to the sums."""

    key: Key
    week: int
    sums: Count


def label(outcomes: Collection[Outcome], attribution: Attribution) -> Label | None:
    """What these outcomes teach; None before an impression."""
    replaced = {outcome.replaces for outcome in outcomes}
    counting = [outcome for outcome in outcomes if outcome.id not in replaced]
    shown = min((each.at_ms for each in counting if each.kind == IMPRESSION), default=None)
    if shown is None:
        return None
    end = shown + attribution.window_ms
    positive = any(each.kind == attribution.positive and shown <= each.at_ms <= end for each in counting)
    return Label(shown // WEEK_MS, positive)


def count_of(found: Label | None) -> Count:
    """What a label adds to the sums."""
    return NOTHING if found is None else Count(1, int(found.positive))


def change(key: Key, before: Label | None, after: Label | None) -> tuple[Learned, ...]:
    """What to add so that `after` counts instead of `before`; nothing when they are equal."""
    if before == after:
        return ()
    parts = []
    if before is not None:
        parts.append(Learned(key, before.week, minus(NOTHING, count_of(before))))
    if after is not None:
        parts.append(Learned(key, after.week, count_of(after)))
    return tuple(parts)


def may_learn(allowed: Mapping[str, frozenset[str]]) -> bool:
    """Whether a basis lets us learn from what the subject did."""
    return LEARNED_FROM in allowed.get(LEARNING, frozenset())
