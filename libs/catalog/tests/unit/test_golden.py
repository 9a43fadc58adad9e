import pytest

from catalog.golden import Outcome, run_case, run_cases
from catalog.model import Expected, GoldenCase
from catalog.reference import evaluate_reference


def changed(case, **update):
    return case.given.model_copy(update=update)


@pytest.fixture
def idle_cash(harbour):
    return next(case for case in harbour.cases if case.name == "idle cash brings the savings offer")


def test_every_golden_case_of_the_example_bank_passes(harbour):
    assert [result for result in run_cases(harbour, evaluate_reference) if not result.passed] == []


def test_one_code_more_or_fewer_is_a_difference(harbour, idle_cash):
    def engine(bundle, given):
        return Outcome(frozenset(), {"gold_card": frozenset({"A", "B"})})

    wrong = GoldenCase(name="wrong", given=idle_cash.given, expect=Expected(reject={"gold_card": ("A",)}))

    assert run_case(harbour, wrong, engine).differences == ("gold_card should be rejected with A, not A B",)


def test_a_survivor_that_should_not_be_is_a_difference(harbour, idle_cash):
    case = idle_cash.model_copy(update={"expect": Expected(reject={"savings_idle_cash": ("HELP_FIRST",)})})

    assert not run_case(harbour, case, evaluate_reference).passed


def test_slates_are_judged_only_where_the_engine_ranks(harbour, idle_cash):
    case = idle_cash.model_copy(update={"expect": Expected(shown={"home.hero": ("gold_card",)})})

    def ranked(bundle, given):
        return Outcome(frozenset(), {}, {"home.hero": ("savings_idle_cash",)})

    assert run_case(harbour, case, evaluate_reference).passed
    assert run_case(harbour, case, ranked).differences == ("home.hero should show gold_card, not savings_idle_cash",)


def test_every_candidate_survives_or_has_a_reason(harbour):
    for case in harbour.cases:
        outcome = evaluate_reference(harbour, changed(case, placements=()))
        here = {action.id for action in harbour.actions if action.treatments_on(case.given.channel)}
        assert outcome.survivors | set(outcome.rejected) == here
        assert outcome.survivors.isdisjoint(outcome.rejected)


def test_dropping_a_purpose_from_the_basis_never_adds_a_survivor(harbour):
    for case in harbour.cases:
        before = evaluate_reference(harbour, case.given).survivors
        for purpose in case.given.basis:
            fewer = {name: categories for name, categories in case.given.basis.items() if name != purpose}
            assert evaluate_reference(harbour, changed(case, basis=fewer)).survivors <= before


@pytest.mark.parametrize(
    "update", [{"signals_fresh": False}, {"unavailable": ("signals",)}, {"unavailable": ("contact",)}]
)
def test_what_is_unavailable_never_adds_a_survivor(harbour, update):
    for case in harbour.cases:
        before = evaluate_reference(harbour, changed(case, signals=())).survivors
        assert evaluate_reference(harbour, changed(case, signals=(), **update)).survivors <= before


def test_nothing_sells_while_any_friction_is_live(harbour, idle_cash):
    for signal in harbour.signals:
        if signal.kind == "friction":
            active = harbour.cases[0].given.signals[0].model_copy(update={"id": signal.id})
            survivors = evaluate_reference(harbour, changed(idle_cash, signals=(active,))).survivors
            assert not any(harbour.action[name].selling for name in survivors)


def test_an_action_is_in_force_from_its_start_until_its_end(harbour, idle_cash):
    start = harbour.action["savings_idle_cash"].validity.start

    assert (
        "NOT_IN_FORCE" in evaluate_reference(harbour, changed(idle_cash, now=start - 1)).rejected["savings_idle_cash"]
    )
    assert "savings_idle_cash" in evaluate_reference(harbour, changed(idle_cash, now=start)).survivors
