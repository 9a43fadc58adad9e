"""What a reader gets to see."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from profile_service.domain.features import Reading
from profile_service.domain.history import History
from profile_service.domain.view import Declared, Withheld, holds, view

CATEGORIES = ("holding", "transaction", "sensitive")
NOW = 1_000_000


def declared(name: str, category: str, freshness: int | None = None, needs: frozenset[str] = frozenset()) -> Declared:
    return Declared(name, "int", None, category, freshness, lambda _history, _now: None, needs)


fields = st.lists(
    st.builds(
        declared,
        st.text("abc", min_size=1),
        st.sampled_from(CATEGORIES),
        st.none() | st.integers(0, 100),
        st.frozensets(st.sampled_from(CATEGORIES), max_size=1),
    ),
    unique_by=lambda field: field.id,
)
bases = st.dictionaries(st.sampled_from(("offers", "advice", "security")), st.frozensets(st.sampled_from(CATEGORIES)))


@given(fields, bases, st.none() | st.integers(0, NOW))
def test_no_field_leaves_without_a_purpose_that_covers_it(asked, allowed, as_of):
    reading = None if as_of is None else Reading(5, as_of)
    found = view(asked, lambda _: reading, allowed, now_ms=NOW)
    by_name = {field.id: field for field in asked}
    withheld = dict(found.withheld)

    assert {one.id for one in found.given} | set(withheld) == set(by_name)
    for one in found.given:
        needs = by_name[one.id].needs | {one.category}
        assert one.purposes
        assert list(one.purposes) == sorted(p for p, categories in allowed.items() if needs <= categories)
    for name, reason in withheld.items():
        covered = any(by_name[name].needs | {by_name[name].category} <= categories for categories in allowed.values())
        assert (reason is Withheld.NO_CONSENT) == (not covered)


def test_nothing_is_computed_for_a_category_that_is_not_covered():
    def refuse(_: Declared) -> Reading | None:
        raise AssertionError

    found = view([declared("a", "sensitive")], refuse, {"offers": frozenset({"holding"})}, now_ms=NOW)

    assert found.withheld == [("a", Withheld.NO_CONSENT)]


def test_a_value_is_stale_one_millisecond_after_its_freshness():
    allowed = {"offers": frozenset({"holding"})}
    at_limit, beyond = (
        view([declared("a", "holding", 100)], lambda _: Reading(1, as_of), allowed, now_ms=NOW)  # noqa: B023
        for as_of in (NOW - 100, NOW - 101)
    )

    assert [one.id for one in at_limit.given] == ["a"]
    assert beyond.withheld == [("a", Withheld.STALE)]


@given(
    st.lists(st.tuples(st.none() | st.integers(0, 50), st.integers(0, 60)), max_size=4),
    st.lists(st.integers(60, 130), max_size=3),
)
def test_a_view_is_the_same_at_all_times_at_which_it_holds(fields_of, times):
    allowed = {"offers": frozenset({"holding"})}
    asked = [declared(str(place), "holding", freshness) for place, (freshness, _) in enumerate(fields_of)]
    as_of = {str(place): at for place, (_, at) in enumerate(fields_of)}

    def at(now_ms: int):
        return view(asked, lambda field: Reading(1, as_of[field.id]), allowed, now_ms=now_ms)

    known = History({}, {}, max(as_of.values(), default=0))
    holding = holds(known, at(70), asked, 70)

    assert 70 in holding
    assert all(at(time) == at(70) for time in (*times, holding[0], min(holding[-1], 200)) if time in holding)


def test_a_value_of_another_type_than_declared_is_not_served():
    found = view([declared("a", "holding")], lambda _: Reading("x", NOW), {"p": frozenset({"holding"})}, now_ms=NOW)

    assert found.withheld == [("a", Withheld.UNKNOWN)]
