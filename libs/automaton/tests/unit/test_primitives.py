"""Each primitive agrees with a brute-force reading of its "fires if and only if" cell, and holds at D but not at D + 1 ms."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automaton import Detected, Engine, Fact, Grant

from .building import definition, fact, fired, numbered, program, times

TAP = {"type": "tap"}
gaps = st.sampled_from([0, 1, 2, 3, 5, 10])


def story(*kinds: str, size: int = 14, **fields):
    """Facts of these kinds at growing times."""
    chosen = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in fields.items()})
    moves = st.lists(st.tuples(gaps, st.sampled_from(kinds), chosen), max_size=size)

    def build(found) -> list[Fact]:
        t, facts = 0, []
        for gap, kind, given_fields in found:
            t += gap
            facts.append(fact(t, kind, **given_fields))
        return numbered(facts)

    return moves.map(build)


def places(given_program, facts: list[Fact]) -> list[tuple[int, tuple[str, ...]]]:
    return [(one.at, one.evidence) for one in fired(given_program, facts) if one.signal == "probe"]


# count


def read_count(  # noqa: C901  # one cell, read as a whole
    facts, n, *, within=None, gap=None, same=(), near=None, distinct=None, apart=None, refire="clear", end=False
):
    """The cell, read with whole runs in plain lists."""
    found, run, fired_run, counted = [], [], False, None

    def newest_span(run):
        if distinct:
            last = {}
            for one in run:
                if distinct in one.fields:
                    last[one.fields[distinct]] = one.t
            shown = sorted(last.values())[-n:]
            return shown[-1] - shown[0] if len(shown) == n else None
        return run[-1].t - run[-n].t if len(run) >= n else None

    def qualifies(run):
        span = newest_span(run)
        return span is not None and (within is None or span <= within)

    def close(at):
        nonlocal run, fired_run
        if end and fired_run:
            found.append((at, tuple(one.id for one in run)))
        run, fired_run = [], False

    for one in facts:
        if end and fired_run:
            over = run[-1].t + (gap if gap is not None else within)
            if over < one.t:
                close(over)
        if one.type == "reset":
            run, fired_run = [], False
        if one.type == "session_end":
            close(one.t)
        if one.type != "tap" or (near is not None and not {"x", "y"} <= set(one.fields)):
            continue
        if apart is not None and counted is not None and one.t - counted <= apart:
            continue
        counted = one.t
        if within is not None and gap is None and not fired_run:
            run = [old for old in run if one.t - old.t <= within]
        if run:
            joins = (gap is None or one.t - run[-1].t <= gap) and all(
                one.fields.get(name) == run[-1].fields.get(name) for name in same
            )
            if near is not None:
                dx, dy = one.fields["x"] - run[-1].fields["x"], one.fields["y"] - run[-1].fields["y"]
                joins = joins and dx * dx + dy * dy <= near * near
            if joins and fired_run and within is not None and not (distinct and distinct not in one.fields):
                span = newest_span([*run, one])
                joins = span is None or span <= within
            if not joins:
                close(one.t)
        run.append(one)
        if not fired_run and qualifies(run):
            fired_run = True
            if not end:
                found.append((one.t, tuple(each.id for each in run)))
                if refire == "clear":
                    run, fired_run = [], False
    if end and fired_run:
        over = run[-1].t + (gap if gap is not None else within)
        if over <= facts[-1].t:
            close(over)
    return found


bounds = st.sampled_from([(5, None), (None, 3), (10, 3), (10, 5), (0, None)])


@given(
    story("tap", "tap", "tap", "reset", "other", x=[0, 3, 9], y=[0, 4], screen=["a", "b"]),
    st.integers(1, 4),
    bounds,
    st.booleans(),
    st.sampled_from([None, 5]),
    st.sampled_from([None, 1]),
    st.sampled_from(["clear", "run"]),
)
def test_count_reads_like_its_cell(facts, n, bound, same, near, apart, refire):
    within, gap = bound
    count = {"of": TAP, "at_least": n, "reset": {"type": "reset"}, "refire": refire}
    options = {"within": within, "gap": gap, "near": near, "apart": apart}
    count |= {name: value for name, value in options.items() if value is not None}
    given_program = program(definition(detect={"count": {**count, **({"same": ["screen"]} if same else {})}}))

    expected = read_count(facts, n, same=("screen",) if same else (), refire=refire, **options)

    assert places(given_program, facts) == expected


@given(
    story("tap", "tap", "reset", screen=["a", "b", "c"]), st.integers(1, 3), bounds, st.sampled_from(["clear", "run"])
)
def test_count_of_distinct_values_reads_like_its_cell(facts, n, bound, refire):
    options = {name: value for name, value in zip(("within", "gap"), bound, strict=True) if value is not None}
    count = {"of": TAP, "at_least": n, "distinct": "screen", "reset": {"type": "reset"}, "refire": refire, **options}

    expected = read_count(facts, n, distinct="screen", refire=refire, **options)

    assert places(program(definition(detect={"count": count})), facts) == expected


@given(story("tap", "tap", "tap", "reset", "session_end"), st.integers(1, 3), bounds)
def test_count_reported_at_its_end_reads_like_its_cell(facts, n, bound):
    options = {name: value for name, value in zip(("within", "gap"), bound, strict=True) if value is not None}
    count = {"of": TAP, "at_least": n, "report": "end", "reset": {"type": "reset"}, **options}

    expected = read_count(facts, n, end=True, **options)

    assert places(program(definition(detect={"count": count})), facts) == expected


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30),
    st.sampled_from(["euclidean", "manhattan", "box"]),
)
def test_near_to_all_looks_at_every_point_of_a_long_run(points, metric):
    near = {"px": "25.5", "metric": metric, "to": "all"}
    count = {"of": TAP, "at_least": 2, "gap": 5, "near": near, "report": "end"}
    facts = numbered([fact(t, "tap", x=x, y=y) for t, (x, y) in enumerate(points)])

    def close(a, b):
        dx, dy = abs(a[0] - b[0]), abs(a[1] - b[1])
        return {"euclidean": (dx * dx + dy * dy) * 4 <= 51 * 51, "manhattan": dx + dy <= 25, "box": max(dx, dy) <= 25}[
            metric
        ]

    breaks, run = [], []
    for t, point in enumerate(points):
        if run and not all(close(point, other) for other in run):
            breaks += [t] if len(run) > 1 else []
            run = []
        run.append(point)

    assert times(program(definition(detect={"count": count})), facts) == breaks


def test_a_long_run_keeps_its_first_32_facts_and_its_last_as_evidence():
    count = {"of": TAP, "at_least": 2, "gap": 5, "report": "end"}
    facts = numbered([*(fact(t, "tap") for t in range(100)), fact(200, "ping")])

    (one,) = fired(program(definition(detect={"count": count})), facts)

    assert (one.at, one.count, one.evidence) == (104, 100, (*(f"e{n}" for n in range(32)), "e99"))


# sequence


def read_sequence(facts, within):
    """Every way to pick three facts; the latest start wins; nothing after a firing reuses what came before."""
    found, since = [], 0
    for end, last in enumerate(facts):
        if last.type != "c":
            continue
        chains = [
            (first, second)
            for first, second in combinations(range(since, end), 2)
            if facts[first].type == "a"
            and facts[second].type == "b"
            and last.t - facts[first].t <= within
            and not any(one.type == "no" for one in facts[first + 1 : end])
        ]
        if chains:
            latest = max(first for first, _ in chains)
            found.append((last.t, facts[latest].id, last.id))
            since = end + 1
    return found


@given(story("a", "b", "c", "no", "other"), st.sampled_from([0, 5, 12]))
def test_sequence_reads_like_its_cell(facts, within):
    steps = [{"type": "a"}, {"type": "b"}, {"type": "c"}]
    given_program = program(
        definition(detect={"sequence": {"steps": steps, "within": within, "without": {"type": "no"}}})
    )

    found = [(at, evidence[0], evidence[-1]) for at, evidence in places(given_program, facts)]

    assert found == read_sequence(facts, within)


@given(story("a", "b"))
def test_a_step_that_comes_twice_needs_two_facts(facts):
    steps = [{"type": "a"}, {"type": "a"}]
    taps = [one for one in facts if one.type == "a"]

    found = places(program(definition(detect={"sequence": {"steps": steps, "within": 10_000}})), facts)

    assert [evidence for _, evidence in found] == [(a.id, b.id) for a, b in zip(taps[::2], taps[1::2], strict=False)]


def test_without_wins_over_a_step():
    sequence = {"steps": [{"type": "a"}, {"type": ["b", "c"]}], "within": 10, "without": {"type": "c"}}

    assert times(program(definition(detect={"sequence": sequence})), [fact(0, "a"), fact(1, "c"), fact(2, "b")]) == []


# alternate


def read_alternate(sides, n, within, *, pairs):
    """Merge neighbours, take the switches, look at the last n that belong to one pair of sides."""
    found, switches, current, other, before = [], [], None, None, None
    for t, side, fact_id in sides:
        if current is not None and side != current:
            if pairs and side != other:
                switches = []
            other = current
            switches.append((t, before, fact_id))
            if len(switches) >= n and t - switches[-n][0] <= within:
                last = switches[-n:]
                found.append((t, (last[0][1], *(one[2] for one in last))))
                switches = []
        current, before = side, fact_id
    return found


@given(story("left", "right", "other", size=20), st.integers(1, 4), st.sampled_from([0, 5, 20]))
def test_alternate_between_two_matches_reads_like_its_cell(facts, n, within):
    between = [{"type": "left"}, {"type": "right"}]
    given_program = program(definition(detect={"alternate": {"between": between, "switches": n, "within": within}}))
    sides = [(one.t, one.type, one.id) for one in facts if one.type != "other"]

    assert places(given_program, facts) == read_alternate(sides, n, within, pairs=False)


@given(story("focus", size=20, field=["a", "b", "c"]), st.integers(1, 4), st.sampled_from([0, 5, 20]))
def test_alternate_by_a_field_reads_like_its_cell(facts, n, within):
    alternate = {"of": {"type": "focus"}, "by": "field", "switches": n, "within": within}
    sides = [(one.t, one.fields["field"], one.id) for one in facts if "field" in one.fields]

    assert places(program(definition(detect={"alternate": alternate})), facts) == read_alternate(
        sides, n, within, pairs=True
    )


# dwell


def read_dwell(facts, wait, *, repeat):
    """Each visit by itself: the first silence of `wait` since enter or activity, seen by a later fact or at the end."""
    found, last = [], facts[-1].t if facts else 0
    inside = None
    for place, one in enumerate(facts):
        if inside and one.type in {"screen_left", "session_end"}:
            inside = None
        if one.type == "in":
            inside = (one, one)
            fresh = True
        elif inside and one.type == "tap":
            inside = (inside[0], one)
            fresh = fresh or repeat
        if inside and fresh and one.type in {"in", "tap"}:
            due = one.t + wait
            until = next(
                (later for later in facts[place + 1 :] if later.type in {"in", "tap", "screen_left", "session_end"}),
                None,
            )
            if due < (until.t if until else last + 1):
                evidence = (inside[0].id,) if inside[1] is inside[0] else (inside[0].id, inside[1].id)
                found.append((due, evidence))
                fresh = False
    return found


@given(story("in", "tap", "screen_left", "session_end", "ping", size=20), st.sampled_from([0, 3, 10]), st.booleans())
def test_dwell_reads_like_its_cell(facts, wait, repeat):
    dwell = {"enter": {"type": "in"}, "activity": TAP, "for": wait, "repeat": repeat, "presence": "not_required"}
    # A ping settles its own time; one a moment later says the same to both readings.
    facts = [one._replace(type="other") if one.type == "ping" else one for one in facts]

    assert places(program(definition(detect={"dwell": dwell})), facts) == read_dwell(facts, wait, repeat=repeat)


VIEW = {"enter": {"type": "screen_view"}, "for": "10s"}
ALLOWED = Grant(1, 1, frozenset({("assistance", "behaviour"), ("assistance", "interaction")}))


def dwelt(*facts: tuple) -> list[int]:
    engine = Engine(program(definition(detect={"dwell": VIEW})))
    found = []
    for number, (t, kind, *delay) in enumerate(facts):
        received = t + (delay[0] if delay else 0)
        found += engine.feed(Fact("s1", t, f"e{number}", kind, {}, received, ALLOWED))
    return [change.detection.at for change in found if isinstance(change, Detected)]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([(0, "screen_view"), (5_000, "ping"), (10_000, "ping")], [10_000]),
        ([(0, "screen_view"), (5_000, "ping"), (9_999, "ping")], []),
        ([(0, "screen_view"), (15_000, "ping")], [10_000]),
        ([(0, "screen_view"), (15_001, "ping")], []),
        ([(0, "screen_view"), (11_000, "ping", 3_000)], [10_000]),
        ([(0, "screen_view"), (11_000, "ping", 3_001)], []),
        ([(0, "screen_view"), (5_000, "background"), (11_000, "ping")], []),
        ([(0, "screen_view"), (5_000, "background"), (6_000, "foreground"), (16_000, "ping")], [16_000]),
        ([(0, "screen_view"), (5_000, "busy_start"), (6_000, "ping"), (16_000, "ping")], []),
        (
            [
                (0, "screen_view"),
                (5_000, "connection_lost"),
                (6_000, "busy_start"),
                (7_000, "busy_end"),
                (17_000, "ping"),
            ],
            [],
        ),
        ([(0, "screen_view"), (5_000, "loss"), (6_000, "ping"), (16_000, "ping")], [16_000]),
        ([(0, "screen_view"), (5_000, "session_end"), (11_000, "ping")], []),
    ],
)
def test_a_dwell_needs_presence_over_its_whole_wait(facts, expected):
    assert dwelt(*facts) == expected


# what all share


def test_a_cooldown_holds_at_its_bound_and_not_after():
    given_program = program(definition(detect={"event": TAP}, cooldown="1s"))

    assert times(given_program, [fact(0, "tap"), fact(1000, "tap"), fact(1001, "tap")]) == [0, 1001]


def test_per_splits_the_state_and_ignores_facts_without_a_value():
    given_program = program(definition(detect={"count": {"of": TAP, "at_least": 2, "within": 10}}, per=["screen"]))
    facts = [fact(0, "tap", screen="a"), fact(1, "tap", screen="b"), fact(2, "tap"), fact(3, "tap", screen="a")]

    (one,) = fired(given_program, facts)

    assert (one.at, one.per) == (3, (("screen", "a"),))


def test_only_the_32_latest_values_are_kept():
    given_program = program(definition(detect={"count": {"of": TAP, "at_least": 2, "within": 1000}}, per=["screen"]))
    facts = [fact(n, "tap", screen=f"s{n}") for n in range(33)]

    assert times(given_program, [*facts, fact(40, "tap", screen="s0")]) == []
    assert times(given_program, [*facts, fact(40, "tap", screen="s1")]) == [40]


def test_unless_hides_a_fact_from_positive_matches_only():
    given_program = program(
        definition(
            detect={"count": {"of": TAP, "at_least": 2, "within": 10, "reset": {"type": "scroll"}}},
            unless=[{"area": "faq"}],
        )
    )

    assert times(given_program, [fact(0, "tap"), fact(1, "tap", area="faq")]) == []
    assert times(given_program, [fact(0, "tap"), fact(1, "scroll", area="faq"), fact(2, "tap")]) == []


def test_where_that_is_not_true_consumes_and_emits_nothing():
    given_program = program(
        definition(detect={"count": {"of": TAP, "at_least": 2, "within": 10}}, emit=["screen"], where={"screen": "a"})
    )

    assert times(given_program, [fact(0, "tap"), fact(1, "tap"), fact(2, "tap", screen="a")]) == []


def test_ends_on_ends_what_is_active():
    engine = Engine(program(definition(detect={"event": TAP}, ends_on={"type": "submit"})), assumed=True)
    (found,) = engine.feed(fact(0, "tap"))

    (ended,) = engine.feed(fact(600_000 - 1, "submit"))

    assert (ended.id, ended.reason) == (found.detection.id, "ENDED_ON")
    assert engine.feed(fact(600_000, "submit")) == []


def test_a_detection_is_at_once_a_fact_for_later_definitions():
    given_program = program(
        definition("above", detect={"sequence": {"steps": [{"type": "error"}, {"signal": "below"}], "within": "1s"}}),
        definition("below", detect={"count": {"of": TAP, "at_least": 2, "within": 10}}),
    )

    assert times(given_program, [fact(0, "error"), fact(1, "tap"), fact(2, "tap")], "above") == [2]


def test_a_shadow_detection_is_no_fact():
    given_program = program(
        definition("above", detect={"event": {"signal": "below"}}),
        definition("below", mode="shadow", detect={"event": TAP}),
    )

    assert [one.signal for one in fired(given_program, [fact(0, "tap")])] == ["below"]


def test_scripted_input_is_never_fed():
    assert times(
        program(definition(detect={"event": TAP})), [fact(0, "tap", trusted=False), fact(1, "tap", trusted=True)]
    ) == [1]


def test_leaving_a_screen_and_a_flow_are_facts_before_the_event_that_left():
    left = definition("left", detect={"event": {"type": "screen_left", "screen": "a"}})
    flow = definition("flow", detect={"event": {"type": "flow_left", "flow": "kyc"}})
    facts = [
        fact(0, "screen_view", screen="a", flow="kyc"),
        fact(1, "screen_view", screen="a", flow="kyc"),
        fact(2, "tap"),
        fact(3, "screen_view", screen="b", id="go"),
    ]

    assert [(one.signal, one.evidence) for one in fired(program(left, flow), facts)] == [
        ("left", ("go#left",)),
        ("flow", ("go#left",)),
    ]


@given(story("tap", "tap", "error", "screen_view", x=["word", True, 3], screen=[1, "a"], ms=["x"]))
def test_unknown_and_mistyped_fields_never_raise(facts):
    given_program = program(
        definition("one", detect={"count": {"of": {"type": "tap", "x": {"gte": 1}}, "at_least": 1, "within": 1}}),
        definition("two", detect={"event": {"type": "error", "not": {"ms": {"lt": 5}}}}, per=["screen"]),
    )

    fired(given_program, facts)
