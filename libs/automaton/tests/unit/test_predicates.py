"""Compiled predicates against the reference evaluator: equal on everything, and nothing raises."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from automaton.predicates import compiled
from catalog.expression import AllOf, AnyOf, Not, Predicate, evaluate
from catalog.values import BOOL, INT, STRING, Missing, ValueType, conform

ROLE = ValueType("enum", values=("button", "link", "tab"))
TYPES = {"ms": INT, "x": INT, "changed": BOOL, "screen": STRING, "role": ROLE}
numbers = st.integers(-5, 5)
words = st.sampled_from(["button", "link", "tab"])


def _of(name: str) -> st.SearchStrategy[Predicate]:
    declared = TYPES[name]
    existence = st.builds(
        Predicate, st.just(name), st.sampled_from(["present", "missing"]), st.none(), st.just(declared)
    )
    if declared.kind == "bool":
        return existence | st.builds(Predicate, st.just(name), st.just("is"), st.booleans(), st.just(declared))
    values = numbers if declared.numeric else words
    single = ["eq", "ne", *(("lt", "lte", "gt", "gte") if declared.numeric else ())]
    some = st.lists(values, min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
    tests = [
        st.builds(Predicate, st.just(name), st.sampled_from(single), values, st.just(declared)),
        st.builds(Predicate, st.just(name), st.sampled_from(["in", "not_in"]), some, st.just(declared)),
    ]
    if declared.numeric:
        pair = st.tuples(values, values).map(lambda found: tuple(sorted(found)))
        tests.append(st.builds(Predicate, st.just(name), st.just("between"), pair, st.just(declared)))
    return st.one_of(existence, *tests)


leaves = st.sampled_from(sorted(TYPES)).flatmap(_of)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
values = st.one_of(numbers, words, st.booleans(), st.sampled_from(["other", ""]))
fields = st.dictionaries(st.sampled_from(sorted(TYPES)), values)


@given(expressions, fields)
def test_a_compiled_predicate_is_true_exactly_when_the_reference_says_true(expression, given_fields):
    def lookup(name: str):
        return conform(given_fields[name], TYPES[name]) if name in given_fields else Missing.UNKNOWN

    assert compiled(expression)(given_fields) is (evaluate(expression, lookup) is True)
