"""Bundles in a few words, and the learner's ledger in memory: bound to PostgreSQL by the contract tests."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from catalog.model.bundle import Bundle
from ranking_service.domain.arbitration import ONE
from ranking_service.domain.counts import Counts, Key, merged
from ranking_service.domain.learning import Decision, Item, ItemOutcome, Label, Outcome, change, label
from ranking_service.domain.propensity import Estimator
from ranking_service.domain.query import Candidate, Query, Ranked
from ranking_service.domain.rank import rank
from ranking_service.domain.snapshot import Snapshot
from ranking_service.domain.specification import Action, Attribution, Model, Placement, Specification

WEEK = 7 * 86_400_000
NOW = 3000 * WEEK


class Make:
    """Builders with defaults."""

    NOW = NOW

    def action(self, name: str, **changes: object) -> Action:
        given = {
            "id": name, "issue": "sales", "group": "cards", "purpose": "offers", "selling": False, "mandatory": False,
            "ramped": False, "exclusive": frozenset(), "value": 1.0, "lever": 1.0, "default": ONE // 2, "model": None,
            "attribution": Attribution("click", WEEK),
        }  # fmt: skip
        return Action(**{**given, **changes})

    def placement(self, name: str, **changes: object) -> Placement:
        return Placement(**{"id": name, "max_items": 1, **changes})

    def model(self, name: str = "m") -> Model:
        return Model(name, ONE // 50, 10 << 16, 10 << 16, 10 << 16)

    def specification(
        self, actions: Sequence[Action], placements: Sequence[Placement] = (), **changes
    ) -> Specification:
        given = {
            "digest": "sha256:bundle",
            "actions": {action.id: action for action in actions},
            "placements": {each.id: each for each in placements or (self.placement("home", max_items=3),)},
            "models": {"m": self.model()},
            "arms": {"holdout": {order: order for order in ARMS}},
        }
        return Specification(**{**given, **changes})

    def snapshot(self, counts: Counts | None = None, version: int = 1) -> Snapshot:
        return Snapshot(version=version, as_of_ms=NOW, counts=counts or {})

    def query(self, specification: Specification, names: Sequence[str] | None = None, **changes) -> Query:
        every = frozenset(specification.placements)
        given = {
            "decision_id": "d-1", "now_ms": NOW, "seed": 7, "channel": "mobile",
            "candidates": tuple(Candidate(name, every) for name in names or specification.actions),
            "placements": dict.fromkeys(specification.placements, 0),
        }  # fmt: skip
        return Query(**{**given, **changes})

    def rank(self, specification: Specification, snapshot: Snapshot | None = None, **changes) -> Ranked:
        snapshot = snapshot or self.snapshot()
        asked = changes.pop("query", None) or self.query(specification, **changes)
        return rank(asked, specification, snapshot, Estimator(specification, snapshot))

    def decision(self, name: str, subject: str = "s", actions: Sequence[str] = ("a",), **changes) -> Decision:
        items = tuple(
            Item(name, action, "home", slot, "m", "mobile", Attribution("click", WEEK))
            for slot, action in enumerate(actions, start=1)
        )
        given = {
            "id": name, "subject_id": subject, "channel": "mobile", "at_ms": NOW, "ledger_index": 10, "arm": "full",
            "snapshot_version": 1, "items": items,
        }  # fmt: skip
        return Decision(**{**given, **changes})

    def outcome(
        self, name: str, decision: str, kind: str = "impression", *, action: str = "a", **changes
    ) -> ItemOutcome:
        subject = changes.pop("subject", "s")
        return ItemOutcome(decision, action, subject, "mobile", Outcome(name, kind, changes.pop("at", NOW), **changes))


ARMS = ("full", "universal", "random", "random_propensity", "no_lever", "propensity_only", "eligibility_only")


class MemoryLearner:
    """The learner's ledger as plain dictionaries, written to be read: every sum is recomputed from what is known."""

    def __init__(self) -> None:
        self.decisions: dict[str, Decision | None] = {}
        self.outcomes: dict[str, ItemOutcome] = {}
        self.barriers: list[tuple[str, str, int, int]] = []

    async def learn_decisions(self, decisions, at=None, now_ms=NOW) -> None:
        for decision in decisions:
            stopped = any(self._stops(barrier, decision) for barrier in self.barriers)
            self.decisions.setdefault(decision.id, None if stopped or not decision.items else decision)

    async def learn_outcomes(self, outcomes, at=None, now_ms=NOW) -> None:
        for each in outcomes:
            self.outcomes.setdefault(each.outcome.id, each)

    async def channels(self, subject_id):
        return sorted({each.channel for each in self._of(subject_id)})

    async def unlearn(self, subject_id, channels, *, ledger_index, now_ms) -> int:
        self.barriers += [(subject_id, channel, 0, ledger_index) for channel in channels]
        return self._close(subject_id, channels)

    async def forget(self, subject_id, *, ledger_index, now_ms) -> int:
        self.barriers.append((subject_id, "*", now_ms, ledger_index))
        return self._close(subject_id, None)

    async def counts(self) -> Counts:
        return merged(part for decision in self.decisions.values() if decision for part in self._taught(decision))

    def _taught(self, decision: Decision):
        for item in decision.items:
            known = [
                each.outcome
                for each in self.outcomes.values()
                if (each.decision_id, each.action) == (item.decision_id, item.action)
            ]
            found: Label | None = label(known, item.attribution)
            key = Key(item.model, item.action, item.channel)
            yield from ((part.key, part.sums) for part in change(key, None, found))

    def _of(self, subject_id):
        return [each for each in self.decisions.values() if each and each.subject_id == subject_id]

    def _close(self, subject_id, channels) -> int:
        closed = [each for each in self._of(subject_id) if channels is None or each.channel in channels]
        waiting = {
            each.decision_id
            for each in self.outcomes.values()
            if each.subject_id == subject_id and (channels is None or each.channel in channels)
        }
        self.decisions |= dict.fromkeys([*(each.id for each in closed), *(waiting - self.decisions.keys())])
        items = sum(len(each.items) for each in closed)
        gone = [name for name, each in self.outcomes.items() if self.decisions.get(each.decision_id, each) is None]
        for name in gone:
            del self.outcomes[name]
        return items + len(gone)

    @staticmethod
    def _stops(barrier, decision: Decision) -> bool:
        subject, channel, until_ms, index = barrier
        covered = subject == decision.subject_id and channel in {"*", decision.channel}
        return covered and (decision.at_ms <= until_ms or decision.ledger_index < index)


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(scope="session")
def memory_learner():
    """Makes a ledger in memory."""
    return MemoryLearner


def text_action(name: str, **changes: object) -> dict[str, object]:
    return {
        "id": name, "title": name, "issue": "sales", "group": "cards", "kind": "nudge", "contact_class": "marketing",
        "purpose": "offers", "owner": "cards", "value": "100", "validity": {"from": 0}, "placements": ["home", "feed"],
        "treatments": [{"id": f"{name}.card", "channels": ["mobile"], "message": name.replace("_", "-")}],
        "attribution": {"outcome": "click", "window": WEEK}, **changes,
    }  # fmt: skip


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """A small bank's bundle."""
    document = {
        "bank": {
            "name": "Small Bank", "jurisdiction": "EU", "currency": "EUR", "time_zone": "Europe/Berlin",
            "locales": [{"id": "en-GB"}],
        },
        "purposes": [
            {
                "id": "offers", "title": "Offers", "description": "Offers", "owner": "cards", "categories": ["holding"],
                "lawful_basis": {"gdpr": "consent"},
            }
        ],
        "attributes": [
            {
                "id": "view.balance", "type": "money", "currency": "EUR", "title": "Balance", "category": "holding",
                "owner": "cards",
            },
            {"id": "context.screen", "type": "string", "title": "Screen", "category": "behaviour", "owner": "cards"},
        ],
        "channels": [{"id": "mobile", "title": "App"}],
        "placements": [
            {"id": "home", "title": "Home", "channels": ["mobile"], "max_items": 2, "min_priority": "0.001"},
            {"id": "feed", "title": "Feed", "channels": ["mobile"], "max_items": 3, "max_per_group": 2},
        ],
        "actions": [
            text_action("gold_card", lever=30, value="0.4"),
            text_action("silver_card", exclusive=["card"]),
            text_action("travel_card", exclusive=["card"], default_propensity="0.25", kind="offer"),
            text_action("recall_notice", mandatory=True, kind="alert", group="notices", contact_class="regulatory"),
        ],
        "ranking": {
            "models": [
                {"id": "cards", "kind": "linear", "actions": {"action": ["gold_card", "silver_card"]}, "features": [],
                 "base_rate": "0.02"},
            ],
            "context_weights": [
                {"id": "rich", "when": {"view.balance": {"gte": 1000}}, "scope": {"group": "cards"}, "percent": 27},
                {"id": "screen", "when": {"context.screen": "cards"}, "scope": "all", "percent": 10},
            ],
            "levers": {"group": {"cards": 25}},
            "exploration": {"epsilon": 0},
            "static_order": ["recall_notice", "travel_card"],
        },
        "experiments": [
            {
                "id": "whole", "title": "Holdout", "owner": "cards", "hypothesis": "It helps", "metric": "click",
                "holdout": True,
                "arms": [{"name": "control", "share": 100, "order": "universal"}, {"name": "rest", "share": 9900}],
            }
        ],
    }  # fmt: skip
    return Bundle.model_validate(document)
