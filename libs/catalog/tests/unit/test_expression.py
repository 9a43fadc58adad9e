import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.expression import (
    AllOf,
    AnyOf,
    ExpressionInvalid,
    Not,
    Predicate,
    attributes,
    evaluate,
    missing_causes,
    parse,
    scaled,
    settle,
)
from catalog.values import Missing, ValueType, conform

TYPES = {
    "age": ValueType("int"),
    "share": ValueType("ratio"),
    "balance": ValueType("money", "EUR"),
    "since": ValueType("time"),
    "open": ValueType("bool"),
    "colour": ValueType("enum", values=("red", "green", "blue")),
    "screen": ValueType("string"),
    "held": ValueType("set", values=("card", "loan", "savings")),
}


def holds(data, **values):
    expression = parse(data, TYPES)
    return evaluate(expression, lambda name: values.get(name, Missing.UNKNOWN))


def refusal(data):
    with pytest.raises(ExpressionInvalid) as caught:
        parse(data, TYPES)
    return caught.value


@pytest.mark.parametrize(
    ("op", "value", "at", "truth"),
    [
        ("eq", 5, 5, True), ("ne", 5, 5, False), ("lt", 5, 4, True), ("lt", 5, 5, False), ("lte", 5, 5, True),
        ("gt", 5, 5, False), ("gt", 5, 6, True), ("gte", 5, 5, True), ("between", [3, 5], 5, True),
        ("between", [3, 5], 6, False), ("in", [1, 2], 2, True), ("not_in", [1, 2], 2, False),
    ],
)  # fmt: skip
def test_numbers_compare_at_their_bounds(op, value, at, truth):
    assert holds({"attr": "age", "op": op, "value": value}, age=at) is truth


@pytest.mark.parametrize(
    ("op", "members", "truth"),
    [
        ("contains_any", {"card"}, True), ("contains_any", {"savings"}, False), ("contains_all", {"card", "loan"}, True),
        ("contains_all", {"card"}, False), ("contains_none", {"savings"}, True), ("contains_none", {"loan"}, False),
    ],
)  # fmt: skip
def test_sets_are_compared_by_membership(op, members, truth):
    assert holds({"held": {op: ["card", "loan"]}}, held=frozenset(members)) is truth


def test_an_empty_set_is_empty_and_not_missing():
    assert holds({"held": {"empty": True}}, held=frozenset()) is True
    assert holds({"held": {"present": True}}, held=frozenset()) is True
    assert holds({"held": {"empty": True}}) is None


def test_short_forms_mean_their_long_forms():
    long = {"all": [{"attr": "colour", "op": "eq", "value": "red"}, {"attr": "age", "op": "gte", "value": 18}]}

    assert parse({"colour": "red", "age": {"gte": 18}}, TYPES) == parse(long, TYPES)
    assert parse({"open": True}, TYPES) == parse({"attr": "open", "op": "is", "value": True}, TYPES)
    assert parse({"colour": ["red", "blue"]}, TYPES) == parse(
        {"attr": "colour", "op": "in", "value": ["blue", "red"]}, TYPES
    )
    assert parse({"screen": {"present": True}}, TYPES) == Predicate("screen", "present", None, TYPES["screen"])


def test_joins_may_stand_among_short_entries():
    expression = parse({"age": {"gte": 18}, "any": [{"open": True}, {"not": {"colour": "red"}}]}, TYPES)

    assert isinstance(expression, AllOf)
    assert attributes(expression) == {"age", "open", "colour"}


def test_percent_and_times_are_basis_points():
    assert parse({"share": {"gte": "5%"}}, TYPES).value == 500
    assert parse({"share": {"gte": "4x"}}, TYPES).value == 40_000
    assert [scaled("12.5%"), scaled("0.001%"), scaled("5")] == [1250, None, None]


def test_times_are_written_as_dates_or_moments_with_a_zone():
    assert parse({"since": {"gte": "1970-01-02"}}, TYPES).value == 86_400_000
    assert parse({"since": {"gte": "1970-01-01T01:00:00+01:00"}}, TYPES).value == 0
    assert refusal({"since": {"gte": "1970-01-01T01:00:00"}}).code == "TYPE"


def test_money_names_its_currency_or_leaves_it_to_the_attribute():
    assert parse({"balance": {"gte": {"minor": 500, "currency": "EUR"}}}, TYPES).value == 500
    assert refusal({"balance": {"gte": {"minor": 500, "currency": "USD"}}}).code == "CURRENCY"


@pytest.mark.parametrize(
    "data", [{}, {"all": []}, {"any": []}, {"age": {}}, {"not": {}}, {"held": {"contains_any": []}}, [], None, 5]
)
def test_nothing_to_check_is_refused(data):
    assert refusal(data).code == "EMPTY"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"wage": 5}, "UNKNOWN_ATTRIBUTE"),
        ({"colour": "mauve"}, "UNKNOWN_VALUE"),
        ({"held": {"contains_any": ["boat"]}}, "UNKNOWN_VALUE"),
        ({"age": "old"}, "TYPE"),
        ({"age": True}, "TYPE"),
        ({"screen": {"gt": "a"}}, "TYPE"),
        ({"open": {"eq": True}}, "TYPE"),
        ({"open": "yes"}, "TYPE"),
        ({"age": {"between": [5, 3]}}, "TYPE"),
        ({"age": {"gte": 1 << 63}}, "TYPE"),
        ({"age": {"present": False}}, "TYPE"),
        ({"attr": "age", "op": "eq", "value": 1, "unit": "y"}, "UNKNOWN_FIELD"),
    ],
)
def test_what_does_not_fit_is_refused(data, code):
    assert refusal(data).code == code


def test_a_refusal_leads_to_the_part():
    assert refusal({"all": [{"age": 5}, {"any": [{"colour": "mauve"}]}]}).path == ("all", 1, "any", 0, "colour")


def test_endless_nesting_is_refused():
    data = {"age": 5}
    for _ in range(100):
        data = {"not": data}

    assert refusal(data).code == "TOO_DEEP"


def test_missing_values_keep_their_cause():
    causes = {"age": Missing.STALE, "open": Missing.NO_CONSENT}
    expression = parse({"age": 5, "open": True}, TYPES)

    assert missing_causes(expression, lambda name: causes[name]) == causes


def test_values_of_another_type_are_a_mismatch():
    assert conform(value=True, declared=TYPES["age"]) is Missing.MISMATCH
    assert conform(1 << 63, TYPES["age"]) is Missing.MISMATCH
    assert conform("card", TYPES["held"]) is Missing.MISMATCH
    assert conform(("card",), TYPES["held"]) == frozenset({"card"})


truths = st.sampled_from([True, False, None])
STATES = {True: 1, False: 0, None: Missing.UNKNOWN}


def leaf(name):
    return Predicate(name, "eq", 1, ValueType("int"))


def trees(names=("a", "b", "c")):
    return st.recursive(
        st.sampled_from([leaf(name) for name in names]),
        lambda part: st.one_of(
            part.map(Not),
            st.lists(part, min_size=1, max_size=3).map(lambda parts: AllOf(tuple(parts))),
            st.lists(part, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        ),
        max_leaves=12,
    )


worlds = st.fixed_dictionaries(dict.fromkeys("abc", truths))


def judged(expression, world):
    return evaluate(expression, lambda name: STATES[world[name]])


@given(trees(), worlds)
def test_double_negation_changes_nothing(expression, world):
    assert judged(Not(Not(expression)), world) is judged(expression, world)


@given(trees(), trees(), worlds)
def test_de_morgan_holds_for_unknowns_too(one, other, world):
    assert judged(Not(AllOf((one, other))), world) is judged(AnyOf((Not(one), Not(other))), world)


@given(st.lists(trees(), min_size=1, max_size=4), worlds, st.randoms(use_true_random=False))
def test_order_never_matters(parts, world, random):
    shuffled = parts[:]
    random.shuffle(shuffled)

    assert judged(AllOf(tuple(parts)), world) is judged(AllOf(tuple(shuffled)), world)
    assert judged(AnyOf(tuple(parts)), world) is judged(AnyOf(tuple(shuffled)), world)


@given(trees(), worlds)
def test_learning_a_value_never_turns_a_known_answer(expression, world):
    before = judged(expression, world)
    for name in "abc":
        if world[name] is None and before is not None:
            assert {judged(expression, {**world, name: truth}) for truth in (True, False)} == {before}


@given(truths)
def test_settling_decides_only_the_unknown(truth):
    assert settle(truth, "fail") is bool(truth)
    assert settle(truth, "pass") is (truth is not False)
