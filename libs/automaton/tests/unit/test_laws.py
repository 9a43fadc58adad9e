"""What holds for every definition: time shift, bounds, snapshots, independence, order of arrival."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from automaton import Batch, Detected, Engine, Fact, Grant, Offered, Sequencer, compile_bundle, run
from automaton.engine import KEPT_AFTER_END_MS, SESSION_TIMEOUT_MS
from catalog.loading import load_bundle

from .building import CATALOG

BUNDLE = load_bundle(CATALOG)
PROGRAM = compile_bundle(BUNDLE)
KINDS = (
    "tap", "screen_view", "focus", "field_commit", "validation_error", "upload_failed", "upload_ok", "error", "navigate",
    "permission_denied", "ping", "background", "foreground", "busy_start", "busy_end", "session_end", "step_completed",
)  # fmt: skip
FIELDS = {
    "screen": ["a", "b"], "area": ["kyc", "faq", "terms", "application"], "step": ["document_upload", "other"],
    "flow": ["kyc", "bill_pay"], "reason": ["blurry"], "field": ["address", "job"], "direction": ["back"],
    "permission": ["camera"], "action": ["cancel"], "x": [1, 20, 200], "y": [1, 30], "changed": [True, False],
    "trusted": [True, True, True, False],
}  # fmt: skip
gaps = st.sampled_from([0, 1, 30, 31, 500, 1000, 1001, 5000, 9999, 10_000, 15_000, 15_001, 60_000, 300_001])
fields = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in FIELDS.items()})
event = st.tuples(gaps, st.sampled_from(KINDS), fields, st.sampled_from([0, 100, 3_000, 3_001]))
stories = st.lists(event, max_size=40)
FULL = Grant(1, 1, frozenset((one.purpose, need) for one in PROGRAM.definitions for need in one.needs))


def facts_of(story, *, start: int = 0, grant: Grant | None = FULL) -> list[Fact]:
    t, found = start, []
    for number, (gap, kind, given_fields, delay) in enumerate(story):
        t += gap
        found.append(Fact("s1", t, f"e{number}", kind, given_fields, t + delay, grant))
    return found


def shifted(change, by: int):
    if isinstance(change, Detected):
        one = change.detection
        return (one.signal, one.at + by, one.first_at + by, one.known_at + by, one.evidence)
    return (change.signal, change.at + by, change.reason)


@given(stories, st.integers(-(10**12), 10**12))
def test_shifting_every_time_shifts_every_result(story, by):
    there = [shifted(change, by) for change in run(PROGRAM, facts_of(story))]

    assert [shifted(change, 0) for change in run(PROGRAM, facts_of(story, start=by))] == there


@given(stories, st.data())
def test_a_snapshot_between_any_two_facts_changes_nothing(story, data):
    facts = facts_of(story)
    cut = data.draw(st.integers(0, len(facts)))
    whole = Engine(PROGRAM)
    expected = [change for fact in facts for change in whole.feed(fact)]

    first = Engine(PROGRAM)
    changes = [change for fact in facts[:cut] for change in first.feed(fact)]
    second = Engine(PROGRAM)
    if "s1" in first:
        second.restore("s1", first.snapshot("s1"))
    changes += [change for fact in facts[cut:] for change in second.feed(fact)]

    assert changes == expected
    if facts:
        assert second.snapshot("s1") == whole.snapshot("s1")
        assert second.next_due() == whole.next_due()


@given(stories, st.data())
def test_later_facts_never_change_what_is_known(story, data):
    facts = facts_of(story)
    cut = data.draw(st.integers(0, len(facts)))
    engine = Engine(PROGRAM)
    early = [change for fact in facts[:cut] for change in engine.feed(fact)]

    assert run(PROGRAM, facts)[: len(early)] == early


@given(stories, st.sampled_from([one.signal for one in BUNDLE.signals if one.key == "session"]))
def test_a_definition_detects_the_same_alone(story, signal):
    alone = compile_bundle(BUNDLE, only=[signal])

    def of(program):
        return [change for change in run(program, facts_of(story)) if _signal(change) == signal]

    assert of(alone) == of(PROGRAM)


def _signal(change) -> str:
    return change.detection.signal if isinstance(change, Detected) else change.signal


@given(stories)
def test_nothing_is_detected_without_a_covering_grant(story):
    half = Grant(1, 1, frozenset({("assistance", "interaction")}))

    found = [one.detection for one in run(PROGRAM, facts_of(story, grant=half)) if isinstance(one, Detected)]

    assert all(one.purpose == "assistance" and one.needs <= {"interaction"} for one in found)
    assert run(PROGRAM, facts_of(story, grant=None)) == []


@given(stories, st.data())
def test_a_withdrawal_at_any_point_leaves_nothing_active(story, data):
    facts = facts_of(story)
    cut = data.draw(st.integers(0, len(facts)))
    engine, running = Engine(PROGRAM), set()
    for fact in facts[:cut]:
        _follow(engine.feed(fact), running)
    t = facts[cut - 1].t if cut else 0
    _follow(engine.feed(Fact("s1", t, "g", "grant", grant=Grant(1, 2, frozenset()))), running)
    later = [change for fact in facts[cut:] for change in engine.feed(fact)]

    assert not {one for one, expires in running if expires > t}
    assert later == []


def _follow(changes, running) -> None:
    for change in changes:
        if isinstance(change, Detected):
            running.add((change.detection.id, change.detection.expires_at))
        else:
            running -= {one for one in running if one[0] == change.id}


@given(stories)
def test_no_hesitation_spans_a_background_a_busy_period_a_held_delivery_or_a_silence(story):
    facts = facts_of(story)
    found = [one.detection for one in run(PROGRAM, facts) if isinstance(one, Detected)]
    for one in found:
        if one.signal == "hesitation":
            start = one.at - 10_000
            inside = [fact for fact in facts if start < fact.t < one.at]
            assert not [fact for fact in inside if fact.type in {"background", "busy_start", "session_end"}]
            assert not [fact for fact in inside if fact.received - fact.t > 3_000]
            around = [fact.t for fact in facts]
            assert all(b - a <= 15_000 for a, b in pairwise(around) if a < one.at and b > start)


@given(stories)
def test_evidence_is_never_shared_by_two_detections_of_a_definition(story):
    found = [one.detection for one in run(PROGRAM, facts_of(story)) if isinstance(one, Detected)]
    assert len({one.id for one in found}) == len(found)
    for signal in ("rage_click", "kyc_upload_frustration", "back_navigation", "error_click", "dispute_intent"):
        used = [fact for one in found if one.signal == signal for fact in one.evidence]
        assert len(used) == len(set(used))


@given(stories)
def test_a_state_stays_small(story):
    engine = Engine(PROGRAM)
    for fact in facts_of(story):
        engine.feed(fact)
    if "s1" in engine:
        assert len(engine.snapshot("s1")) < 32 * 1024


# The sequencer


def offered(story) -> list[Offered]:
    return [Offered(n, f"e{n}", fact.t, fact.type, fact.fields) for n, fact in enumerate(facts_of(story))]


def delivered(events: list[Offered], arrivals: list[int], end: int) -> list[Fact]:
    sequencer, facts = Sequencer("s1"), []
    order = sorted(range(len(events)), key=lambda place: (arrivals[place], place))
    for place in order:
        facts += sequencer.expire(arrivals[place])
        facts += sequencer.accept(Batch("s1", 0, 0, FULL, (events[place],)), arrivals[place]).facts
        sequencer = Sequencer.load("s1", json.loads(json.dumps(sequencer.dump())))
    return facts + sequencer.expire(end)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=30), st.data())
def test_any_order_inside_the_hold_and_any_duplicates_give_the_same_facts(jitter, data):
    events = [Offered(n, f"e{n}", 0, "ping") for n in range(len(jitter))]
    repeated = events + [event for event, (_, twice) in zip(events, jitter, strict=True) if twice]
    arrivals = [1000 + data.draw(st.integers(0, 300)) for _ in repeated]

    facts = delivered(repeated, arrivals, 10_000)

    assert [fact.id for fact in facts] == [event.id for event in events]


def test_a_gap_is_given_up_just_after_300_ms():
    sequencer = Sequencer("s1")
    sequencer.accept(Batch("s1", 0, 0, FULL, (Offered(0, "a", 5, "ping"),)), 0)
    sequencer.accept(Batch("s1", 0, 0, FULL, (Offered(2, "c", 9, "ping"),)), 100)

    assert sequencer.expire(400) == []
    assert [(fact.type, fact.t) for fact in sequencer.expire(401)] == [("loss", 5), ("ping", 9)]


def test_500_held_events_do_not_wait_longer():
    sequencer = Sequencer("s1")
    events = tuple(Offered(n, f"e{n}", 0, "ping") for n in range(1, 501))

    assert sequencer.accept(Batch("s1", 0, 0, FULL, events[:-1]), 0).facts == []
    assert len(sequencer.accept(Batch("s1", 0, 0, FULL, events[-1:]), 0).facts) == 500


def test_late_events_duplicates_and_conflicts_are_told_apart():
    sequencer = Sequencer("s1")
    take = lambda at, *events: sequencer.accept(Batch("s1", 0, 0, FULL, events), at)  # noqa: E731
    take(0, Offered(0, "a", 0, "ping"), Offered(3, "d", 0, "ping"))
    sequencer.expire(301)

    assert take(302, Offered(1, "b", 0, "ping")).late == 1
    assert take(303, Offered(3, "d", 0, "ping")).duplicates == 1
    assert take(304, Offered(3, "x", 0, "ping")).conflicts == [3]


def test_refused_and_declared_sequences_are_no_loss():
    sequencer = Sequencer("s1")
    events = (Offered(0, "a", 0, "ping"), Offered(1), Offered(9, "z", 0, "loss", {"from_seq": 2, "to_seq": 8}, (2, 8)))

    assert [fact.type for fact in sequencer.accept(Batch("s1", 0, 0, FULL, events), 0).facts] == ["ping", "loss"]


def test_a_huge_declared_loss_costs_nothing():
    sequencer = Sequencer("s1")
    big = 2**32 - 1
    event = Offered(big, "z", 0, "loss", {}, (0, big - 1))

    assert [fact.id for fact in sequencer.accept(Batch("s1", 0, 0, FULL, (event,)), 0).facts] == ["z"]


def test_the_offset_changes_only_for_a_much_faster_request_or_a_changed_clock():
    sequencer = Sequencer("s1")
    seen = []
    for received in (5_000, 4_000, 3_999, 33_999, 34_000):
        sequencer.accept(Batch("s1", 0, received, FULL, ()), received)
        seen.append(sequencer.offset)

    assert seen == [5_000, 5_000, 3_999, 3_999, 34_000]


def test_time_never_runs_backwards_nor_far_ahead():
    sequencer = Sequencer("s1")
    events = (Offered(0, "a", 100, "ping"), Offered(1, "b", 50, "ping"), Offered(2, "c", 10**9, "ping"))

    facts = sequencer.accept(Batch("s1", 200, 200, FULL, events), 0).facts

    assert [fact.t for fact in facts] == [100, 100, 2_200]


# Partition time


def test_a_session_ends_30_minutes_after_its_last_event_and_is_forgotten_30_later():
    engine = Engine(PROGRAM)
    engine.feed(Fact("s1", 0, "e0", "screen_view", {"step": "document_upload"}, 0, FULL))

    assert engine.next_due() == SESSION_TIMEOUT_MS
    engine.advance(SESSION_TIMEOUT_MS)
    assert "s1" in engine
    engine.advance(SESSION_TIMEOUT_MS + KEPT_AFTER_END_MS)
    assert "s1" not in engine
    assert engine.next_due() is None


def test_partition_time_never_makes_a_hesitation():
    engine = Engine(PROGRAM)
    engine.feed(Fact("s1", 0, "e0", "screen_view", {"step": "document_upload"}, 0, FULL))

    assert engine.advance(10**9) == []


def test_swapping_a_bundle_keeps_the_state_of_what_did_not_change():
    engine = Engine(PROGRAM)
    engine.feed(Fact("s1", 0, "e0", "upload_failed", {"step": "x", "reason": "blurry"}, 0, FULL))
    engine.swap(compile_bundle(BUNDLE, only=["kyc_upload_frustration"]))

    changes = engine.feed(Fact("s1", 1, "e1", "upload_failed", {"step": "x", "reason": "blurry"}, 1, FULL))

    assert [change.detection.evidence for change in changes] == [("e0", "e1")]


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_result_does_not_depend_on_the_hash_seed(seed):
    code = (
        "import hashlib;from pathlib import Path;from automaton import *;from catalog.loading import load_bundle;"
        f"p=compile_bundle(load_bundle(Path({str(CATALOG)!r})));e=Engine(p,assumed=True);"
        "out=[repr([c.detection.id for c in e.feed(Fact('s',i*300,f'e{i}','tap',{'x':1,'y':1,'screen':'abc'[i//9%3]}))]) "
        "for i in range(60)];print(hashlib.sha256((repr(out)).encode()+e.snapshot('s')).hexdigest())"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
    )
    again = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": "77"}, capture_output=True, text=True, check=True
    )

    assert made.stdout == again.stdout
