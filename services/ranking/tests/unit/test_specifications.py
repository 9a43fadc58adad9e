"""What ranking takes from a bundle."""

from pathlib import Path

import ranking_service
from catalog.digest import bundle_from_json, bundle_to_json
from ranking_service.domain.arbitration import ONE
from ranking_service.domain.specification import Attribution
from ranking_service.specifications import specification

WEEK = 7 * 86_400_000


def test_levers_values_and_models_come_from_the_bundle(bundle):
    spec = specification("sha256:x", bundle)
    gold = spec.actions["gold_card"]

    assert (gold.lever, gold.value, gold.model, gold.default) == (1.55, 0.4, "cards", ONE)
    assert gold.attribution == Attribution("click", WEEK)
    assert (spec.actions["travel_card"].model, spec.actions["travel_card"].default) == (None, ONE // 4)
    assert spec.models["cards"].base_rate == 21474836
    assert [action for action, each in spec.actions.items() if each.mandatory] == ["recall_notice"]
    assert [action for action, each in spec.actions.items() if each.selling] == ["travel_card"]
    assert [action for action, each in spec.actions.items() if each.ramped] == ["travel_card"]


def test_placements_keep_the_bundles_order_and_rules(bundle):
    spec = specification("sha256:x", bundle)

    assert [(each.id, each.max_items, each.max_per_group, each.min_priority) for each in spec.placements.values()] == [
        ("home", 2, None, 0.001), ("feed", 3, 2, None),
    ]  # fmt: skip
    assert spec.static_order == {"recall_notice": 0, "travel_card": 1}
    assert spec.arms == {"whole": {"control": "universal", "rest": "full"}}


def test_context_rules_are_the_reference_evaluators(bundle):
    rich, screen = specification("sha256:x", bundle).rules

    assert rich.actions == {"gold_card", "silver_card", "travel_card"}
    assert [rich.holds(seen) for seen in ({}, {"view.balance": 999}, {"view.balance": 1000}, {"view.balance": "x"})] == [
        False, False, True, False,
    ]  # fmt: skip
    assert screen.holds({"context.screen": "cards"})


def test_a_context_weight_needs_consent_for_what_it_reads(bundle, make):
    spec = specification("sha256:x", bundle)
    readings = {"view.balance": 5000, "context.screen": "cards"}
    free = make.rank(spec, readings=readings).scores
    allowed = make.rank(spec, readings=readings, allowed={"offers": frozenset({"holding", "behaviour"})}).scores

    assert {score.action: score.context_weight for score in free} == dict.fromkeys(spec.actions, 1.0)
    assert {score.action: score.context_weight for score in allowed} == {
        "gold_card": 1.37, "silver_card": 1.37, "travel_card": 1.37, "recall_notice": 1.1,
    }  # fmt: skip


def test_a_bundle_that_travelled_gives_the_same_specification(bundle, make):
    here, there = specification("d", bundle), specification("d", bundle_from_json(bundle_to_json(bundle)))

    assert make.rank(here) == make.rank(there)


def test_the_whole_path_agrees_with_the_published_priority(bundle, make):
    spec = specification("sha256:x", bundle)
    scores = make.rank(spec, readings={"view.balance": 1000}, allowed={"offers": frozenset({"holding"})}).scores
    gold = next(score for score in scores if score.action == "gold_card")

    assert gold.priority == ((gold.propensity / 2**30 * 0.4) * 1.27) * 1.55


def test_the_table_file_ships_with_the_package():
    assert list((Path(ranking_service.__file__).parent / "data").glob("*.txt"))
