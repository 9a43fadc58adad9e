"""What must always hold of verdicts, whatever was said: invariants 13 to 24 and 29 of consent.md section 11."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from consent_fakes import (
    CATEGORIES,
    CHANNELS,
    DAY,
    NOW,
    Bench,
    MemoryLedger,
    a_document,
    a_notice,
    a_registry,
    ref,
    screen,
)
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.acceptance import Actor, Evidence, Item, accept
from consent_service.domain.choices import Key, Scope, Statement
from consent_service.domain.entries import Entry, Head, fold, record
from consent_service.domain.fold import choose, unknown
from consent_service.domain.verdicts import applicable, verdict
from consent_service.domain.words import (
    DENIALS,
    LIFTS,
    OBJECTIONS,
    REFUSALS,
    SUBTREE,
    ActorType,
    Basis,
    Kind,
    Reason,
    State,
)
from servicekit.errors import AssentError, FailedPrecondition, Invalid

REGISTRY = a_registry()
REGIMES = ("au_cdr", "gdpr", "glba_fcra")
PURPOSES = REGISTRY.purpose_ids
KEYS = [
    Key(purpose, channel, category)
    for purpose in PURPOSES
    for channel in ("mobile", "web")
    for category in ("sensitive", "transaction")
]
LATER = NOW + 31 * DAY


def some(values):
    return st.frozensets(st.sampled_from(values), min_size=1)


def any_of(values):
    return st.one_of(st.just(frozenset()), some(values))


grant_scopes = st.builds(Scope, st.sampled_from(PURPOSES), some(CHANNELS), some(CATEGORIES), some(("partner", "self")))
wide_scopes = st.builds(
    Scope, st.sampled_from((*PURPOSES, "*")), any_of(CHANNELS), any_of(CATEGORIES), any_of(("partner", "self"))
)
narrow = st.tuples(st.sampled_from(sorted(DENIALS)), wide_scopes)
acts = st.one_of(
    st.tuples(st.sampled_from([Kind.GRANT, Kind.NOTICE_SERVED]), grant_scopes),
    st.tuples(st.sampled_from(sorted(SUBTREE)), wide_scopes),
)


def said(index, kind, scope, **changed) -> Statement:
    at = NOW + index
    notice = None if kind in SUBTREE else ref()
    fields = {"event_us": at, "recorded_us": at, "from_us": at, "notice": notice, **changed}
    return Statement(index=index, kind=kind, scope=scope, **fields)


@st.composite
def histories(draw, what=acts, most=7):
    """Statements in index order, some with an end, some late by their event time."""
    made = []
    for index, (kind, scope) in enumerate(draw(st.lists(what, max_size=most)), start=2):
        changed = {"event_us": NOW + index - draw(st.integers(0, 3))}
        if kind is Kind.GRANT:
            ends = draw(st.one_of(st.none(), st.integers(1, 40)))
            changed |= {"to_us": None if ends is None else NOW + index + ends, "explicit": draw(st.booleans())}
        made.append(said(index, kind, scope, **changed))
    return made


def folded(statements, state=None):
    state = state or unknown("someone")
    for statement in statements:
        state = choose(state, statement)
    return state


def judged(state, *, regimes=(), at_us=LATER, registry=REGISTRY):
    named = applicable(registry, regimes)
    return {key: verdict(registry, state.statements, key, regimes=named, at_us=at_us) for key in KEYS}


def allowed(state, **changed):
    return {key for key, found in judged(state, **changed).items() if found.allowed}


@given(histories(), narrow, st.sampled_from([NOW + 20, LATER]))
def test_a_denial_never_turns_a_no_into_a_yes(history, denial, at_us):
    state = folded(history)

    more = choose(state, said(50, *denial))

    assert allowed(more, at_us=at_us) <= allowed(state, at_us=at_us)


@given(st.lists(narrow, min_size=1, max_size=5), st.randoms(use_true_random=False), histories())
def test_denials_at_one_time_may_come_in_any_order_and_twice(denials, random, before):
    state = folded(before)
    shuffled = denials * 2
    random.shuffle(shuffled)

    def reasons(order):
        made = [said(50 + n, kind, scope, event_us=NOW + 50) for n, (kind, scope) in enumerate(order)]
        return {key: (found.state, found.reason) for key, found in judged(folded(made, state)).items()}

    assert reasons(shuffled) == reasons(denials)


@given(histories(), st.integers(1, 10_000), st.integers(0, 10_000))
def test_a_grant_ends_to_the_microsecond(history, lasts, starts):
    start = NOW + 50 + starts
    grant = said(50, Kind.GRANT, Scope("offers", frozenset(CHANNELS), frozenset(CATEGORIES), frozenset({"self"})))
    grant = replace(grant, explicit=True, from_us=start, to_us=start + lasts)
    state = folded([s for s in history if s.kind not in OBJECTIONS])
    state = choose(state, grant)
    key = Key("offers", "mobile", "transaction")

    found = {at: judged(state, at_us=at)[key] for at in (start, start + lasts - 1, start + lasts)}

    assert [found[start].reason, found[start + lasts - 1].reason, found[start + lasts].reason] == [
        Reason.GRANTED,
        Reason.GRANTED,
        Reason.EXPIRED,
    ]
    assert found[start + lasts].state is State.EXPIRED
    assert not found[start + lasts].allowed


@given(histories(), histories(what=st.one_of(narrow, st.tuples(st.sampled_from(sorted(LIFTS)), wide_scopes))))
def test_after_everything_was_withdrawn_consent_is_no_until_a_later_grant(before, after):
    state = choose(folded(before), said(50, Kind.WITHDRAW, Scope("*")))
    state = folded([replace(s, index=s.index + 60) for s in after], state)

    found = judged(state)

    assert not any(verdict.allowed for verdict in found.values() if verdict.basis is Basis.CONSENT)


@given(histories(), st.sampled_from(sorted(DENIALS)))
def test_a_parents_denial_reaches_its_children(before, kind):
    state = choose(folded(before), said(50, kind, Scope("offers")))

    assert not allowed(state) & {key for key in KEYS if key.purpose.startswith("offers")}


@given(histories())
def test_a_parents_grant_reaches_no_child(history):
    told = [s for s in history if s.scope.purpose != "offers.credit" or s.kind in SUBTREE]

    assert not any(key.purpose == "offers.credit" for key in allowed(folded(told)))


@given(histories(), st.sampled_from([NOW, NOW + 5, NOW + 20, LATER]), st.sets(st.sampled_from(REGIMES)))
def test_unknown_is_never_a_yes_where_consent_is_needed(history, at_us, regimes):
    for found in judged(folded(history), at_us=at_us, regimes=regimes).values():
        if found.basis is Basis.CONSENT:
            assert found.allowed is (found.state is State.GRANTED and found.reason is Reason.GRANTED)
        assert not (found.allowed and found.reason is Reason.NO_RECORD)


@given(histories())
def test_a_void_notice_recalls_every_grant(history):
    void = a_registry(notices=[a_notice("de", status="VOID"), a_notice("en", status="VOID")])

    found = judged(folded(history), registry=void)

    assert not any(verdict.reason in (Reason.GRANTED, Reason.NOTICE_SERVED) for verdict in found.values())


@given(histories(), st.sets(st.sampled_from(REGIMES)))
def test_sensitive_data_is_used_only_by_an_explicit_grant_or_on_a_declared_ground(history, regimes):
    explicit = {s.index for s in history if s.kind is Kind.GRANT and s.explicit}
    for key, found in judged(folded(history), regimes=regimes).items():
        if key.category == "sensitive" and found.allowed:
            grounded = key.purpose == "fraud"
            assert grounded or (found.basis is Basis.CONSENT and found.support in explicit)


@given(histories(), st.sets(st.sampled_from(REGIMES)), st.sampled_from([NOW + 5, NOW + 20, LATER]))
def test_more_regimes_never_widen(history, regimes, at_us):
    state = folded(history)

    assert allowed(state, regimes=regimes, at_us=at_us) <= allowed(state, at_us=at_us)


@given(histories(), st.integers(0, 40))
def test_without_a_grant_opting_out_waits_for_a_served_notice_and_its_window(history, days):
    told = [s for s in history if s.kind is not Kind.GRANT]
    at_us = NOW + days * DAY
    served = [s for s in told if s.kind is Kind.NOTICE_SERVED]
    for key, found in judged(folded(told), regimes=("glba_fcra",), at_us=at_us).items():
        if found.allowed and found.basis is Basis.OPT_OUT:
            assert any(s.scope.lists(key) and at_us >= s.event_us + 30 * DAY for s in served)


@given(histories(), grant_scopes, st.sampled_from(sorted(REFUSALS)), st.integers(0, 5))
def test_a_grant_that_is_as_old_as_a_covering_denial_has_no_effect(history, scope, kind, back):
    denial = said(50, kind, Scope(scope.purpose), event_us=NOW + 50)
    before = choose(folded(history), denial)

    after = choose(before, said(51, Kind.GRANT, scope, event_us=NOW + 50 - back, explicit=True))

    assert after.statements == before.statements


# 13: as of a time is the fold of what had happened by then; what was stored without effect is in no fold.


def recorded(statements) -> list[Entry]:
    """The entries that these choices of one subject become, each after the ones before it."""
    entries, root = [], unknown("someone")
    for made in statements:
        head = Head("ledger", 1, made.index, made.recorded_us)
        write = record(head, root, [made], actor=Actor())
        entries += write.entries
        [root] = write.states
    return entries


def as_of(entries, at_us):
    state = unknown("someone")
    for entry in entries:
        if entry.event_us <= at_us:
            state = fold(state, entry)
    return state


def test_a_late_grant_takes_no_earlier_one_away_as_of_a_time_before_the_denial():
    scope = Scope("offers", frozenset({"mobile"}), frozenset({"transaction"}), frozenset({"self"}))
    first, denial, late = recorded(
        [
            said(2, Kind.GRANT, scope, event_us=NOW - 30, from_us=NOW - 30),
            said(3, Kind.WITHDRAW, Scope("offers"), event_us=NOW - 10),
            said(4, Kind.GRANT, scope, event_us=NOW - 20, from_us=NOW - 20),
        ]
    )
    assert (first.effective, late.effective, late.reason) == (True, False, "LATE_GRANT")

    state = as_of([first, denial, late], NOW - 15)

    found = judged(state, at_us=NOW - 15)[Key("offers", "mobile", "transaction")]
    assert (found.reason, found.support) == (Reason.GRANTED, first.index)


@given(histories(most=9), st.integers(-3, 12))
def test_what_was_stored_without_effect_changes_no_verdict_as_of_any_time(history, after):
    entries = recorded(history)
    at_us = NOW + after

    whole = as_of(entries, at_us)

    assert whole.statements == as_of([entry for entry in entries if entry.effective], at_us).statements
    assert all(statement.effective for statement in whole.statements)


@given(
    st.sampled_from([ActorType.SYSTEM, ActorType.AUTHORITY]),
    st.one_of(st.tuples(st.sampled_from([Kind.GRANT, Kind.NOTICE_SERVED, *LIFTS]), grant_scopes)),
)
def test_systems_and_authorities_only_narrow(actor, act):
    kind, scope = act
    made = screen(Item(kind, scope, explicit=True), actor=Actor(actor), evidence=Evidence(method="batch"))

    if kind is Kind.NOTICE_SERVED and actor is ActorType.SYSTEM:
        return  # a system may report what it served
    with pytest.raises(AssentError) as caught:
        accept(REGISTRY, made, first_index=7, now_us=NOW)
    assert caught.value.code in ("ACTOR_MAY_NOT_WIDEN", "UNKNOWN_PURPOSE")


# 13 and 29: what was answered at a place of the ledger is what is replayed of it, for ever.

SUBJECTS = ("anna", "ben")
moves = st.one_of(
    st.tuples(st.just("act"), st.sampled_from(SUBJECTS), acts, st.integers(0, 3)),
    st.tuples(st.just("link"), st.permutations(SUBJECTS), st.booleans()),
    st.tuples(st.just("publish"), st.sampled_from(["OPEN", "CLOSED", "VOID"])),
    st.tuples(st.just("time"), st.integers(1, 5)),
)


async def play(bench, move) -> None:
    """One move; what is turned away changes nothing."""
    try:
        if move[0] == "act":
            (_, subject, (kind, scope), back) = move
            item = Item(kind, scope, explicit=True)
            await bench.choose(subject, item, event_us=bench.clock.now_us() - back, evidence=Evidence(method="button"))
        elif move[0] == "link":
            await bench.link(*move[1], linked=move[2])
        elif move[0] == "publish":
            await bench.publish(notices=[a_notice("de"), a_notice("en", status=move[1])])
        else:
            bench.clock.advance(move[1])
    except (FailedPrecondition, Invalid):
        pass


@given(st.lists(moves, max_size=10))
def test_what_was_answered_is_replayed_to_the_bit(played):
    async def scenario():
        bench = Bench(MemoryLedger())
        await bench.publish()
        given_out = []
        for move in played:
            await play(bench, move)
            at_us = bench.clock.now_us()
            for subject in SUBJECTS:
                signed, position = await bench.basis(subject)
                looked = await bench.look(subject)
                given_out.append((subject, at_us, position, signed, looked))
        bench.clock.advance(DAY)
        for subject, at_us, position, signed, looked in given_out:
            again, where = await bench.basis(subject, replay=position, at_us=at_us)
            assert (again.body, again.key_id, again.signature, where) == (signed.body, signed.key_id, b"", position)
            then = await bench.look(subject, as_of=at_us, as_known_at=position)
            assert (then.statements, then.verdicts, then.members) == (
                looked.statements,
                looked.verdicts,
                looked.members,
            )
            assert json.loads(again.body)["index"] == position.index

    asyncio.run(scenario())


def test_the_example_registry_has_every_basis():
    bases = {basis for purpose in a_document()["purposes"] for basis in purpose["bases"].values()}

    assert bases == {basis.value for basis in Basis}
