"""A basis says exactly what a check says, for every key, and is the same bytes every time."""

from __future__ import annotations

import json

import pytest
from consent_fakes import CATEGORIES, CHANNELS, DAY, KEY, LEDGER, NOW, VKEY, a_registry, ref, scope
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain import basis
from consent_service.domain.choices import Key, Scope, Statement
from consent_service.domain.fold import choose, unknown
from consent_service.domain.verdicts import applicable, verdict
from consent_service.domain.words import CATEGORIES as ALL_CATEGORIES
from consent_service.domain.words import SUBTREE, Kind, Reason, Status
from consent_service.registries import Registries
from servicekit import basis as kit

REGISTRY = a_registry()
PURPOSES = ("advice", "offers", "offers.credit", "sharing")


def some(values):
    return st.frozensets(st.sampled_from(values), min_size=1)


grants = st.builds(Scope, st.sampled_from(PURPOSES), some(CHANNELS), some(CATEGORIES), some(("partner", "self")))
denials = st.builds(
    Scope,
    st.sampled_from((*PURPOSES, "*")),
    *(st.one_of(st.just(frozenset()), some(values)) for values in (CHANNELS, CATEGORIES, ("partner", "self"))),
)
kinds = st.one_of(
    st.tuples(st.sampled_from([Kind.GRANT, Kind.NOTICE_SERVED]), grants),
    st.tuples(st.sampled_from(sorted(SUBTREE)), denials),
)


@st.composite
def states(draw):
    state = unknown("someone")
    for index, (kind, where) in enumerate(draw(st.lists(kinds, max_size=8)), start=2):
        said = {"notice": ref()} if kind in (Kind.GRANT, Kind.NOTICE_SERVED) else {}
        ends = draw(st.one_of(st.none(), st.integers(1, 40))) if kind is Kind.GRANT else None
        made = Statement(
            index=index,
            kind=kind,
            scope=where,
            event_us=NOW + index,
            recorded_us=NOW + index,
            from_us=NOW + index,
            to_us=None if ends is None else NOW + index + ends,
            explicit=draw(st.booleans()),
            **said,
        )
        state = choose(state, made)
    return state


def body(state, *, channel="mobile", regimes=(), at_us=NOW + 20, purposes=()):
    plan = basis.plan(REGISTRY, applicable(REGISTRY, regimes), channel, purposes)
    return basis.body(
        basis.evaluate(plan, state.statements, at_us),
        plan,
        ledger=LEDGER,
        epoch=1,
        index=9,
        subject=state.subject,
        members=state.members,
        at_us=at_us,
        ttl_us=basis.DEFAULT_TTL_US,
        kid=VKEY.key_id,
    )


@given(
    states(),
    st.sampled_from((*CHANNELS, "nowhere")),
    st.sampled_from([(), ("au_cdr",), ("glba_fcra",)]),
    st.sampled_from([NOW + 5, NOW + 20, NOW + 31 * DAY]),
)
def test_a_basis_allows_what_a_check_allows_for_every_key(state, channel, regimes, at_us):
    made = body(state, channel=channel, regimes=regimes, at_us=at_us)
    signed = kit.sign(made, KEY, VKEY.key_id)
    keys = kit.public_keys([VKEY])
    checks = {
        (purpose, category): verdict(
            REGISTRY,
            state.statements,
            Key(purpose, channel, category),
            regimes=applicable(REGISTRY, regimes),
            at_us=at_us,
        )
        for purpose in REGISTRY.purpose_ids
        for category in ALL_CATEGORIES
    }

    found = kit.verify(signed, keys, now_us=at_us, ledger=LEDGER, subject="someone", channel=channel)

    assert found.pairs == {pair for pair, check in checks.items() if check.allowed}
    reasons = {(denial["purpose"], denial["category"]): denial["reason"] for denial in made["denied"]}
    for pair, check in checks.items():
        if not check.allowed and check.reason is not Reason.CATEGORY_NOT_LISTED:
            assert reasons.get(pair, reasons.get((pair[0], "*"))) == check.reason
    ends = [check.until_us for check in checks.values() if check.allowed and check.until_us is not None]
    assert found.not_after_us == min([at_us + basis.DEFAULT_TTL_US, *ends])


@given(states(), st.sampled_from(CHANNELS), st.integers(-5, 60), st.integers(-60, 60))
def test_what_was_judged_holds_until_a_time_of_a_statement_comes(state, channel, at, later):
    plan = basis.plan(REGISTRY, applicable(REGISTRY), channel)
    holds = basis.holds(plan, state.statements, NOW + at)

    assert NOW + at in holds
    for time in (holds[0], min(holds[-1], NOW + 31 * DAY), NOW + at + later):
        if time in holds:
            assert basis.evaluate(plan, state.statements, time) == basis.evaluate(plan, state.statements, NOW + at)


@given(states(), st.sampled_from((*CHANNELS, "nowhere")), st.lists(st.integers(-5, 60), min_size=1, max_size=4))
def test_what_is_remembered_is_the_bytes_of_what_is_judged_anew(state, channel, times):
    registries = Registries()
    plan = registries.plan(REGISTRY, applicable(REGISTRY), channel, ())
    for at in times:
        made = body(state, channel=channel, at_us=NOW + at)

        assert registries.judged(plan, state.statements, NOW + at).encode(made) == kit.canonical(made)


@given(states())
def test_a_basis_is_the_same_bytes_on_replay(state):
    assert kit.canonical(body(state)) == kit.canonical(json.loads(json.dumps(body(state))))


def test_a_body_has_the_fields_of_section_4_and_nothing_else():
    state = choose(unknown("someone"), Statement(4, Kind.GRANT, scope(), NOW, NOW, NOW, NOW + 7_000_000, notice=ref()))

    made = body(state, at_us=NOW + 1, purposes=("offers", "unheard_of"))

    assert made == {
        "v": 1,
        "ledger": LEDGER,
        "epoch": 1,
        "index": 9,
        "subject": "someone",
        "members": ["someone"],
        "channel": "mobile",
        "recipient": "self",
        "regimes": ["gdpr"],
        "registry": REGISTRY.digest,
        "at": NOW + 1,
        "not_after": NOW + 7_000_000,
        "kid": VKEY.key_id,
        "allowed": [{"purpose": "offers", "categories": ["transaction"], "basis": "CONSENT", "support": 4}],
        "denied": [
            {"purpose": "offers", "category": "behaviour", "reason": "NO_RECORD"},
            {"purpose": "offers", "category": "holding", "reason": "NO_RECORD"},
            {"purpose": "offers", "category": "sensitive", "reason": "NO_RECORD"},
            {"purpose": "unheard_of", "category": "*", "reason": "UNKNOWN_PURPOSE"},
        ],
    }


@pytest.mark.parametrize("status", [Status.SEALED, Status.ERASED])
def test_a_closed_subject_is_allowed_nothing(status):
    plan = basis.plan(REGISTRY, applicable(REGISTRY), "mobile", ())

    found = basis.closed(plan, status)

    assert found.allowed == []
    assert {denial["reason"] for denial in found.denied} == {f"SUBJECT_{status.value}"}
    assert [denial["purpose"] for denial in found.denied] == list(REGISTRY.purpose_ids)


def test_a_purpose_that_is_denied_for_one_reason_is_one_entry():
    made = body(unknown("someone"), purposes=("offers",))

    assert made["denied"] == [{"purpose": "offers", "category": "*", "reason": "NO_RECORD"}]
