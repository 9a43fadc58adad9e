"""Which subjects become one, as a function of identifiers and subjects alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profile_service.domain.identity import STRONG, Known, Subject, link
from servicekit.errors import FailedPrecondition

subjects = st.lists(
    st.builds(
        Subject,
        id=st.sampled_from("abcdef"),
        created_at_us=st.integers(0, 5),
        strong=st.frozensets(st.sampled_from((b"1", b"2")), max_size=1),
    ),
    unique_by=lambda subject: subject.id,
)


@st.composite
def cases(draw):
    known = draw(subjects)
    owners = [subject.id for subject in known] or [None]
    named = st.builds(
        Known,
        type=st.sampled_from((STRONG, "visitor", "device")),
        digest=st.sampled_from((b"1", b"2", b"3")),
        subject=st.sampled_from([*owners, None]),
        shared=st.booleans(),
    )
    return draw(st.lists(named, min_size=1, max_size=6, unique_by=lambda one: (one.type, one.digest))), known


def decided(identifiers, known):
    try:
        return link(identifiers, known)
    except FailedPrecondition as refused:
        return refused.code


@given(cases())
def test_two_customers_never_become_one(case):
    identifiers, known = case
    decision = decided(identifiers, known)
    if isinstance(decision, str):
        return
    joined = [one for one in known if one.id in {decision.survivor, *decision.absorbed}]
    strong = {digest for one in joined for digest in one.strong} | {
        one.digest for one in decision.attach if one.type == STRONG
    }

    assert len(strong) <= 1


@given(cases())
def test_shared_identifiers_neither_merge_nor_attach(case):
    identifiers, known = case
    personal = [one for one in identifiers if not one.shared]

    assert decided(identifiers, known) == (decided(personal, known) if personal else "SHARED_IDENTIFIER")


@given(st.data(), cases())
def test_the_order_of_identifiers_does_not_choose_the_survivor(data, case):
    identifiers, known = case
    one, other = decided(identifiers, known), decided(data.draw(st.permutations(identifiers)), known)
    if isinstance(one, str) or isinstance(other, str):
        assert one == other
        return

    assert (one.survivor, one.absorbed, set(one.attach)) == (other.survivor, other.absorbed, set(other.attach))


def test_the_oldest_subject_survives():
    known = [Subject("young", 9), Subject("old", 1)]
    decision = link([Known("visitor", b"v", "young"), Known("device", b"d", "old"), Known("email_hash", b"e")], known)

    assert (decision.survivor, decision.absorbed) == ("old", ("young",))
    assert [one.type for one in decision.attach] == ["email_hash"]


@pytest.mark.parametrize("kind", ["visitor", STRONG])
def test_an_unknown_identifier_starts_a_new_subject(kind):
    assert link([Known(kind, b"x")], []).survivor is None
