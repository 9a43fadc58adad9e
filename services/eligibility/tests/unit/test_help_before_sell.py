"""Nothing sells while friction or vulnerability is live, or unknown for any reason but the subject's own refusal (N2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eligibility_builders import EVERYTHING, NOON, a_bank, a_request, an_action, codes, reasons, survivors

from catalog.values import Missing
from eligibility_service.domain.request import LiveSignal, Seen

NOTHING: dict[str, Seen] = {}
STUCK = {"stuck": LiveSignal("friction", 1)}
UNOBSERVED = {**EVERYTHING, "assistance": frozenset(), "offers": EVERYTHING["offers"] - {"behaviour"}}


def test_live_friction_stops_what_sells_and_nothing_else():
    assert survivors(a_bank(), a_request(signals=STUCK)) == {"help", "notice"}


def test_the_reason_names_the_strongest_evidence_seen():
    [reason] = reasons(a_bank(), a_request(signals=STUCK), "card")

    assert (reason.stage, reason.rule, reason.attribute) == ("builtin", "builtin.help_first", "signal.stuck")
    assert (reason.seen, reason.needed) == (1, "no friction of strength 1 or more")


@pytest.mark.parametrize("lost", [{"signals_fresh": False}, {"unavailable": frozenset({"signals"})}])
def test_friction_is_unknown_when_signals_are_behind_or_away(lost):
    [reason] = reasons(a_bank(), a_request(**lost), "card")

    assert (reason.code, reason.missing) == ("HELP_FIRST", "unavailable")


def test_a_subject_who_refuses_to_be_observed_may_still_be_offered_something():
    assert "card" in survivors(a_bank(), a_request(allowed=UNOBSERVED))


def test_a_bundle_may_require_observation():
    bank = a_bank(help_first={"require_observation": True})

    assert [r.missing for r in reasons(bank, a_request(allowed=UNOBSERVED), "card")] == ["no_consent"]
    assert "card" in survivors(bank, a_request())


def test_friction_below_the_bundles_threshold_does_not_stop_offers():
    bank = a_bank(help_first={"strength": 3})

    assert "card" in survivors(bank, a_request(signals={"stuck": LiveSignal("friction", 2)}))
    assert codes(bank, a_request(signals={"stuck": LiveSignal("friction", 3)}), "card") == ["HELP_FIRST"]


@pytest.mark.parametrize("kind", ["", "intent", "friction"])
def test_the_bundle_says_what_is_friction_whatever_the_sender_says(kind):
    assert codes(a_bank(), a_request(signals={"stuck": LiveSignal(kind, 1)}), "card") == ["HELP_FIRST"]


@pytest.mark.parametrize(("kind", "expected"), [("friction", ["HELP_FIRST"]), ("", ["HELP_FIRST"]), ("intent", [])])
def test_a_signal_that_the_bundle_does_not_know_counts_as_friction_unless_its_sender_says_otherwise(kind, expected):
    assert codes(a_bank(), a_request(signals={"newer": LiveSignal(kind, 1)}), "card") == expected


def test_intent_is_not_friction():
    assert "card" in survivors(a_bank(), a_request(signals={"looking": LiveSignal("intent", 3)}))


@pytest.mark.parametrize(
    ("view", "cause"),
    [
        ({"view.vulnerability": frozenset({"hardship"})}, ""),
        ({"view.vulnerability": Seen("none", NOON)}, "mismatch"),
        ({"view.vulnerability": Seen(None, NOON)}, "mismatch"),
        ({"view.vulnerability": Seen(frozenset(), NOON)}, None),
    ],
)
def test_only_a_known_empty_set_of_flags_lets_offers_through(view, cause):
    found = [(r.code, r.missing, r.disclose) for r in reasons(a_bank(), a_request(view), "card")]

    assert found == ([] if cause is None else [("VULNERABLE", cause, "never")])


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"view": NOTHING}, "unknown"),
        ({"view": NOTHING, "withheld": {"view.vulnerability": Missing.STALE}}, "stale"),
        ({"unavailable": frozenset({"profile"})}, "unavailable"),
        ({"allowed": {**EVERYTHING, "safeguarding": frozenset({"holding"})}}, "no_consent"),
        ({"allowed": {name: found for name, found in EVERYTHING.items() if name != "safeguarding"}}, "no_consent"),
    ],
)
def test_unknown_flags_count_as_vulnerable(changes, cause):
    request = replace(a_request(), **changes)

    assert [(r.code, r.missing) for r in reasons(a_bank(), request, "card")] == [("VULNERABLE", cause)]


def test_a_bank_that_declares_no_flags_sells_nothing():
    attributes = [each for each in a_bank().model_dump(mode="json")["attributes"] if each["id"] != "view.vulnerability"]

    assert codes(a_bank(attributes=attributes), a_request(), "card") == ["VULNERABLE"]


@pytest.mark.parametrize(("kind", "sells"), [("offer", False), ("nudge", True), ("layout", True)])
def test_offers_always_sell_and_nudges_and_layouts_when_they_say_so(kind, sells):
    bank = a_bank(actions=[an_action("it", kind, purpose="offers", sells=sells)])

    assert codes(bank, a_request(signals=STUCK), "it") == ["HELP_FIRST"]


@pytest.mark.parametrize("kind", ["guidance", "alert", "handoff"])
def test_help_never_sells(kind):
    bank = a_bank(actions=[an_action("it", kind, sells=True)])

    assert "it" in survivors(bank, a_request({"view.vulnerability": frozenset({"hardship"})}, signals=STUCK))
