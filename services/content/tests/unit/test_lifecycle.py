"""The life of a bundle: who may move it on, and when."""

from __future__ import annotations

import pytest

from content_service import domain
from content_service.domain import LIFECYCLE, State, Step
from servicekit.errors import FailedPrecondition, Forbidden


def test_one_other_person_approves_an_ordinary_bundle(a_life):
    life = domain.approve(a_life(), by="grace", compliance=False, now_ms=2)

    assert (State.APPROVED, ("grace",)) == (life.state, life.approved_by)


def test_the_proposer_cannot_approve(a_life):
    with pytest.raises(Forbidden) as refused:
        domain.approve(a_life(), by="ada", compliance=True, now_ms=2)

    assert refused.value.code == "SAME_PERSON"


def test_a_bundle_that_touches_purposes_needs_two_people_of_compliance(a_life):
    guarded = a_life(touches=frozenset({"purposes"}))

    once = domain.approve(guarded, by="grace", compliance=True, now_ms=2)
    twice = domain.approve(once, by="edith", compliance=True, now_ms=3)

    assert (State.PROPOSED, State.APPROVED) == (once.state, twice.state)


def test_the_same_person_approving_twice_counts_once(a_life):
    guarded = a_life(touches=frozenset({"purposes"}))

    once = domain.approve(guarded, by="grace", compliance=True, now_ms=2)

    assert once == domain.approve(once, by="grace", compliance=True, now_ms=3)


def test_without_the_compliance_scope_nobody_approves_what_is_guarded(a_life):
    with pytest.raises(Forbidden) as refused:
        domain.approve(a_life(touches=frozenset({"credit products"})), by="grace", compliance=False, now_ms=2)

    assert refused.value.code == "COMPLIANCE_NEEDED"


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("verb", list(Step))
def test_every_step_that_the_table_does_not_have_is_refused(a_life, state, verb):
    life = a_life(state=state)

    if verb in LIFECYCLE[state]:
        assert domain.step(life, verb, now_ms=9).state is LIFECYCLE[state][verb]
    else:
        with pytest.raises(FailedPrecondition) as refused:
            domain.step(life, verb, now_ms=9)
        assert refused.value.code == "ILLEGAL_STEP"


def test_activating_the_active_bundle_changes_nothing(a_life):
    life = a_life(state=State.ACTIVE)

    assert life == domain.activate(life, now_ms=9)
