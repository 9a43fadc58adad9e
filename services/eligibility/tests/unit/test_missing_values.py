"""Strong Kleene logic, and what becomes of a rule that ends unknown (eligibility.md section 5, N4)."""

from __future__ import annotations

import pytest
from eligibility_builders import DAY, NOON, a_bank, a_request, a_rule, codes, reasons
from hypothesis import given
from hypothesis import strategies as st

from catalog.expression import AllOf, AnyOf, Not, Predicate, evaluate, settle
from catalog.values import BOOL, Missing, ValueType
from eligibility_service.domain.request import Money, Seen
from eligibility_service.domain.verdicts import Joined, normal_form

TRUTHS = (True, False, None)
ADULT, RICH = {"view.age": {"gte": 18}}, {"view.balance": {"gte": 100}}


def settled(require, view=None, missing="fail", **changes):
    bank = a_bank(rules=[a_rule(require, missing=missing)])
    return codes(bank, a_request(view, **changes), "help")


@pytest.mark.parametrize(
    ("require", "missing", "expected"),
    [
        (ADULT, "fail", ["A_RULE"]),
        (ADULT, "pass", []),
        ({"not": ADULT}, "fail", ["A_RULE"]),
        ({"not": ADULT}, "pass", []),
        ({"all": [ADULT, {"view.active": True}]}, "pass", []),
        ({"all": [ADULT, {"view.active": False}]}, "pass", ["A_RULE"]),
        ({"any": [ADULT, {"view.active": True}]}, "fail", []),
        ({"any": [ADULT, {"view.active": False}]}, "fail", ["A_RULE"]),
        ({"any": [ADULT, {"view.active": False}]}, "pass", []),
        ({"view.age": {"missing": True}}, "fail", []),
        ({"view.age": {"present": True}}, "pass", ["A_RULE"]),
    ],
)
def test_a_rule_about_an_unknown_age_is_settled_by_what_is_known(require, missing, expected):
    assert settled(require, {"view.active": True}, missing) == expected


def test_a_protective_rule_settles_unknown_as_no_whatever_it_says():
    bank = a_bank(rules=[a_rule(RICH, stage="suppression", missing="pass")])

    assert codes(bank, a_request(), "help") == ["A_RULE"]


def test_a_suppression_rule_reads_under_safeguarding():
    bank = a_bank(
        rules=[a_rule(ADULT, "reads.age", stage="suppression"), a_rule(RICH, "reads.money", stage="suppression")]
    )

    [reason] = reasons(bank, a_request({"view.age": 40, "view.balance": 200}), "help")
    assert (reason.code, reason.missing) == ("READS_AGE", "no_consent")


@pytest.mark.parametrize(
    ("view", "changes", "cause"),
    [
        ({}, {}, "unknown"),
        ({}, {"withheld": {"view.age": Missing.NO_CONSENT}}, "no_consent"),
        ({}, {"withheld": {"view.age": Missing.STALE}}, "stale"),
        ({"view.age": 40}, {"unavailable": frozenset({"profile"})}, "unavailable"),
        ({"view.age": "forty"}, {}, "mismatch"),
        ({"view.age": True}, {}, "mismatch"),
        ({"view.age": 1 << 63}, {}, "mismatch"),
        ({"view.age": Seen(40, NOON - 400 * DAY - 1)}, {}, "stale"),
        ({"view.age": Seen(40, 0)}, {}, "stale"),
        ({"view.age": Seen(40, NOON - 400 * DAY)}, {}, None),
    ],
)
def test_a_missing_value_has_a_cause(view, changes, cause):
    bank = a_bank(rules=[a_rule(ADULT)])
    found = [reason.missing for reason in reasons(bank, a_request(view, **changes), "help")]

    assert found == ([] if cause is None else [cause])


def test_freshness_is_judged_at_the_requests_own_time():
    view = {"view.age": Seen(40, NOON)}

    assert settled(ADULT, view, now_ms=NOON + 400 * DAY) == []
    assert settled(ADULT, view, now_ms=NOON + 400 * DAY + 1) == ["A_RULE"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Money(200, "EUR"), []),
        (Money(200, "USD"), ["A_RULE"]),
        (Money(200, ""), ["A_RULE"]),
        (200, []),
        ("200", ["A_RULE"]),
    ],
)
def test_money_of_another_currency_is_no_money(value, expected):
    assert settled(RICH, {"view.balance": value}) == expected


def test_money_is_no_count():
    assert settled(ADULT, {"view.age": Money(200, "EUR")}) == ["A_RULE"]


def test_an_enum_has_only_its_own_values():
    assert settled({"view.tier": {"not_in": ["low"]}}, {"view.tier": "platinum"}) == ["A_RULE"]


@pytest.mark.parametrize("one", TRUTHS)
@pytest.mark.parametrize("other", TRUTHS)
def test_all_and_any_are_kleenes(one, other):
    parts = (lambda _: one, lambda _: other)
    worth = {True: 1, None: 0, False: -1}
    by_worth = {number: truth for truth, number in worth.items()}

    assert Joined(settling=False, parts=parts)(None) is by_worth[min(worth[one], worth[other])]
    assert Joined(settling=True, parts=parts)(None) is by_worth[max(worth[one], worth[other])]


INT = ValueType("int")
SET = ValueType("set", values=("a", "b"))
numbers, subsets = st.integers(-2, 2), st.frozensets(st.sampled_from(["a", "b"]), min_size=1).map(sorted).map(tuple)
tests_of_n = st.one_of(
    st.builds(
        Predicate, st.sampled_from("nm"), st.sampled_from(["eq", "ne", "lt", "lte", "gt", "gte"]), numbers, st.just(INT)
    ),
    st.builds(Predicate, st.just("n"), st.sampled_from(["in", "not_in"]), st.tuples(numbers, numbers), st.just(INT)),
    st.builds(
        Predicate,
        st.just("n"),
        st.just("between"),
        st.tuples(numbers, numbers).map(lambda p: tuple(sorted(p))),
        st.just(INT),
    ),
)
tests_of_rest = st.one_of(
    st.builds(Predicate, st.just("b"), st.just("is"), st.booleans(), st.just(BOOL)),
    st.builds(
        Predicate,
        st.just("s"),
        st.sampled_from(["contains_any", "contains_all", "contains_none"]),
        subsets,
        st.just(SET),
    ),
    st.builds(Predicate, st.just("s"), st.just("empty"), st.booleans(), st.just(SET)),
    st.builds(Predicate, st.sampled_from("nbs"), st.sampled_from(["present", "missing"]), st.none(), st.just(INT)),
)
expressions = st.recursive(
    tests_of_n | tests_of_rest,
    lambda parts: (
        st.builds(Not, parts)
        | st.lists(parts, min_size=1, max_size=3).map(tuple).flatmap(lambda p: st.sampled_from([AllOf(p), AnyOf(p)]))
    ),
    max_leaves=12,
)
absent = st.sampled_from(Missing)
worlds = st.fixed_dictionaries(
    {
        "n": numbers | absent,
        "m": numbers | absent,
        "b": st.booleans() | absent,
        "s": st.frozensets(st.sampled_from("ab")) | absent,
    }
)


@given(expressions, worlds)
def test_the_normal_form_says_what_the_raw_expression_says(expression, world):
    assert normal_form(expression)(world.__getitem__) is evaluate(expression, world.__getitem__)


@given(expressions, worlds)
def test_the_normal_form_of_the_opposite_is_the_opposite(expression, world):
    assert normal_form(expression, negated=True)(world.__getitem__) is evaluate(Not(expression), world.__getitem__)


@given(expressions, worlds)
def test_the_test_that_is_blamed_is_as_false_or_unknown_as_the_whole(expression, world):
    form, read = normal_form(expression), world.__getitem__
    truth = form(read)
    if truth is not True:
        assert form.blame(read, truth)(read) is truth


@given(expressions, worlds, st.sampled_from(["pass", "fail"]))
def test_settling_at_the_tests_equals_settling_at_the_root(expression, world, missing):
    read = world.__getitem__

    def at_the_tests(form):
        if isinstance(form, Joined):
            return (any if form.settling else all)(map(at_the_tests, form.parts))
        return settle(form(read), missing)

    assert at_the_tests(normal_form(expression)) is settle(evaluate(expression, read), missing)
