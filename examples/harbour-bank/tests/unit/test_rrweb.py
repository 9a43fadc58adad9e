"""A recording becomes session events; what was typed, shown or visited stays behind."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from automaton import Fact, compile_bundle, refold
from catalog.loading import load_bundle
from harbour_bank import CATALOG, rrweb

CANARY = "canary4711"
START_MS = 1_790_000_000_000
TOKEN = re.compile(r"[a-z0-9][a-z0-9_.:-]{0,63}")
TAGS = ["div", "a", "button", "input", "select", "textarea", "label", "iframe", f"x-{CANARY}"]
PLANTED = st.text(max_size=8).map(lambda text: f"{CANARY}{text}")


def nodes(depth: int = 2):
    children = st.lists(nodes(depth - 1), max_size=3) if depth else st.just([])
    attributes = st.dictionaries(
        st.sampled_from(["type", "value", "placeholder", "href", "class", "data-email", f"on{CANARY}"]), PLANTED
    )
    return st.fixed_dictionaries(
        {
            "id": st.integers(1, 30),
            "tagName": st.sampled_from(TAGS),
            "attributes": attributes,
            "textContent": PLANTED,
            "childNodes": children,
        }
    )


INPUTS = st.fixed_dictionaries(
    {"source": st.just(rrweb.INPUT), "id": st.integers(1, 30), "text": PLANTED, "isChecked": st.booleans()}
)
TOUCHES = st.fixed_dictionaries(
    {
        "source": st.just(rrweb.MOUSE),
        "type": st.integers(0, 9),
        "id": st.integers(1, 30),
        "x": st.floats(0, 2000),
        "y": st.floats(0, 2000),
        "title": PLANTED,
    }
)
CHANGES = st.fixed_dictionaries(
    {
        "source": st.just(0),
        "adds": st.lists(st.fixed_dictionaries({"node": nodes(1)}), max_size=2),
        "texts": st.lists(st.fixed_dictionaries({"id": st.integers(1, 30), "value": PLANTED}), max_size=2),
        "attributes": st.lists(PLANTED, max_size=2),
    }
)
OTHERS = st.fixed_dictionaries({"source": st.integers(6, 14), "text": PLANTED, "payload": PLANTED})
SCROLLS = st.fixed_dictionaries({"source": st.just(rrweb.SCROLL), "id": st.integers(1, 30), "y": st.integers(0, 9999)})
RAW = st.one_of(
    st.tuples(st.just(rrweb.INCREMENTAL), st.one_of(INPUTS, TOUCHES, CHANGES, SCROLLS, OTHERS)),
    st.tuples(st.just(rrweb.FULL_SNAPSHOT), st.fixed_dictionaries({"node": nodes()})),
    st.tuples(st.just(rrweb.META), st.fixed_dictionaries({"href": PLANTED, "width": st.integers(1, 2000)})),
    st.tuples(st.just(5), st.fixed_dictionaries({"tag": PLANTED, "payload": PLANTED})),
)


def recorded(raw):
    return [{"type": kind, "data": data, "timestamp": START_MS + 10 * n} for n, (kind, data) in enumerate(raw)]


@given(st.lists(RAW, min_size=1, max_size=30), PLANTED)
@settings(deadline=None)
def test_nothing_that_was_typed_shown_or_visited_comes_out(raw, name):
    converted = rrweb.convert(name, recorded(raw))

    assert not [event for event in converted.events if CANARY.encode() in event.SerializeToString()]


@given(st.lists(RAW, min_size=1, max_size=30))
@settings(deadline=None)
def test_what_comes_out_is_what_the_contract_takes(raw):
    converted = rrweb.convert("a-page", recorded(raw))
    texts = [
        value
        for event in converted.events
        for field, value in event.ListFields()
        if isinstance(value, str) and field.name != "id"
    ]

    assert [event.seq for event in converted.events] == list(range(len(converted.events)))
    assert [event.occurred_at_ms for event in converted.events] == sorted(e.occurred_at_ms for e in converted.events)
    assert len({event.id for event in converted.events}) == len(converted.events)
    assert all(TOKEN.fullmatch(text) for text in texts)
    assert converted.raw == len(raw)


@given(st.lists(RAW, min_size=1, max_size=30))
@settings(deadline=None)
def test_the_same_recording_is_the_same_events(raw):
    assert rrweb.convert("a-page", recorded(raw)) == rrweb.convert("a-page", recorded(raw))


def page(*elements: tuple[int, str, dict[str, str]]):
    children = [{"id": n, "tagName": tag, "attributes": attributes} for n, tag, attributes in elements]
    return rrweb.FULL_SNAPSHOT, {"node": {"id": 99, "tagName": "body", "attributes": {}, "childNodes": children}}


def touch(kind: int, element: int, x: int = 10, y: int = 10):
    return rrweb.INCREMENTAL, {"source": rrweb.MOUSE, "type": kind, "id": element, "x": x, "y": y}


def typed(element: int, text: str):
    return rrweb.INCREMENTAL, {"source": rrweb.INPUT, "id": element, "text": text, "isChecked": False}


def test_edits_are_counted_per_field_and_told_when_it_is_left():
    raw = [
        page((5, "input", {"type": "text"})),
        touch(rrweb.FOCUS, 5),
        typed(5, "a"),
        typed(5, "ab"),
        touch(rrweb.BLUR, 5),
    ]
    converted = rrweb.convert("p", recorded(raw))
    committed = [event for event in converted.events if event.type == "field_commit"]

    assert [(event.field, event.edits, event.changed) for event in committed] == [("field_5", 2, True)]
    assert converted.typed == 2


def test_a_field_that_was_only_visited_is_not_committed():
    raw = [page((5, "input", {})), touch(rrweb.FOCUS, 5), touch(rrweb.BLUR, 5)]

    assert "field_commit" not in {event.type for event in rrweb.convert("p", recorded(raw)).events}


CHOICE = page((5, "label", {}), (6, "input", {"type": "radio"}))


def choosing(times: int, *, apart_ms: int = 3, every_ms: int = 400):
    """Clicks on a label, each followed by the one that the browser makes for its input."""
    raw = recorded([CHOICE])
    for n in range(times):
        for offset, element in ((0, 5), (apart_ms, 6)):
            kind, data = touch(rrweb.CLICK, element)
            raw.append({"type": kind, "data": data, "timestamp": START_MS + 100 + n * every_ms + offset})
    return rrweb.convert("p", raw)


def rage(converted: rrweb.Recording):
    plain = {"id", "seq", "occurred_at_ms", "type", "attributes"}
    facts = [
        Fact("s", e.occurred_at_ms, e.id, e.type, {f.name: v for f, v in e.ListFields() if f.name not in plain})
        for e in converted.events
    ]
    return refold(compile_bundle(load_bundle(CATALOG), only=["rage_click"]), facts, assumed=True)


def test_a_label_and_its_input_are_two_choices_in_the_recording():
    clicks = [event for event in choosing(1).events if event.type == "click"]

    assert [(event.target, event.role) for event in clicks] == [("node_5", "choice"), ("node_6", "choice")]


def test_choosing_twice_by_the_label_is_not_rage():
    assert rage(choosing(2)) == []


def test_choosing_the_same_thing_three_times_in_a_second_is_rage_once():
    assert len(rage(choosing(3))) == 1
