"""The objection layer: what each column of the table ends, what lifts it, and what a grant does not."""

from __future__ import annotations

import pytest
from consent_fakes import NOW, a_document, a_purpose, a_regime, a_registry, acts, ref, scope, screen

from consent_service.domain import entries
from consent_service.domain.acceptance import Actor, Evidence, accept
from consent_service.domain.choices import Key, Scope, Statement
from consent_service.domain.entries import Head
from consent_service.domain.fold import SubjectState, choose, unknown
from consent_service.domain.verdicts import applicable, verdict
from consent_service.domain.words import LIFT_OF, OBJECTIONS, ActorType, Kind, State, Status
from servicekit.errors import AssentError, FailedPrecondition

REGISTRY = a_registry()
BUTTON = Evidence(method="button")
NO = {Kind.RESTRICT: "RESTRICTED", Kind.OBJECT: "OBJECTED", Kind.OPT_OUT: "OPTED_OUT"}


def said(kind: Kind, where: Scope, index: int = 2, **changed) -> Statement:
    notice = ref() if kind in (Kind.GRANT, Kind.NOTICE_SERVED) else None
    fields = {"event_us": NOW + index, "recorded_us": NOW + index, "from_us": NOW, "notice": notice, **changed}
    return Statement(index=index, kind=kind, scope=where, **fields)


def after(*statements: Statement) -> SubjectState:
    state = unknown("someone")
    for statement in statements:
        state = choose(state, statement)
    return state


def judged(*statements: Statement, purpose="offers", registry=REGISTRY, regimes=(), **parts):
    key = Key(purpose, **{"channel": "mobile", "category": "transaction", **parts})
    kept = after(*statements).statements
    return verdict(registry, kept, key, regimes=applicable(registry, regimes), at_us=NOW + 100)


def reason(*statements: Statement, **changed) -> str:
    return judged(*statements, **changed).reason.value


@pytest.mark.parametrize(
    ("purpose", "restricted", "objected", "opted_out"),
    [
        ("offers", "RESTRICTED", "OBJECTED", "OPTED_OUT"),
        ("sharing", "RESTRICTED", "OBJECTED", "OPTED_OUT"),
        ("advice", "RESTRICTED", "OBJECTED", "OPTED_OUT"),
        ("service", "RESTRICTED", "NEEDED", "NEEDED"),
        ("fraud", "NEEDED", "NEEDED", "NEEDED"),
    ],
)
def test_each_lawful_basis_judges_each_objection(purpose, restricted, objected, opted_out):
    granted = said(Kind.GRANT, scope(purpose), 2)
    kinds = (Kind.RESTRICT, Kind.OBJECT, Kind.OPT_OUT)

    found = [judged(granted, said(kind, Scope("*"), 3), purpose=purpose) for kind in kinds]

    assert [verdict.reason for verdict in found] == [restricted, objected, opted_out]
    assert {verdict.state for verdict in found} == {State.OBJECTED}
    assert {verdict.support for verdict in found if not verdict.allowed} <= {3}


@pytest.mark.parametrize("kind", sorted(OBJECTIONS))
def test_a_grant_never_lifts_an_objection_and_its_own_lifting_does(kind):
    objection, grant = said(kind, Scope("offers"), 2), said(Kind.GRANT, scope(), 3)
    others = [said(lift, Scope("*"), 4) for objected, lift in LIFT_OF.items() if objected is not kind]

    assert reason(objection, grant) == NO[kind]
    assert reason(objection, grant, *others) == NO[kind]
    assert reason(objection, grant, said(LIFT_OF[kind], Scope("offers"), 5)) == "GRANTED"
    assert reason(objection, grant, said(LIFT_OF[kind], Scope("*"), 5)) == "GRANTED"


def test_the_last_act_about_a_key_counts():
    told = [
        said(Kind.OBJECT, Scope("offers"), 2),
        said(Kind.LIFT_OBJECT, Scope("offers.credit"), 3),
        said(Kind.OBJECT, Scope("offers.credit", frozenset({"web"})), 4),
    ]

    assert reason(*told) == "OBJECTED"
    assert reason(*told, purpose="offers.credit") == "NO_RECORD"
    assert reason(*told, purpose="offers.credit", channel="web") == "OBJECTED"


def test_a_lifting_that_is_as_old_as_the_objection_lifts_nothing():
    objection = said(Kind.OBJECT, Scope("offers"), 2, event_us=NOW)
    state = after(objection)

    late = said(Kind.LIFT_OBJECT, Scope("*"), 3, event_us=NOW)
    write = entries.record(Head("00" * 16, 1, 3, NOW), state, [late], actor=Actor())

    assert [(entry.effective, entry.reason) for entry in write.entries] == [(False, "LATE_LIFT")]
    assert write.states[0].statements == (objection,)
    assert reason(objection, said(Kind.LIFT_OBJECT, Scope("*"), 3, event_us=NOW + 1)) == "NO_RECORD"


def test_a_lifting_keeps_no_place_once_there_is_nothing_to_lift():
    assert after(said(Kind.LIFT_OBJECT, Scope("*"))).statements == ()
    assert after(said(Kind.OBJECT, Scope("offers"), 2), said(Kind.LIFT_OBJECT, Scope("*"), 3)).statements == ()


def test_the_reason_is_the_first_by_precedence():
    told = [
        said(Kind.WITHDRAW, Scope("*"), 2),
        said(Kind.OPT_OUT, Scope("*"), 3),
        said(Kind.OBJECT, Scope("*"), 4),
        said(Kind.RESTRICT, Scope("*"), 5),
    ]

    assert [reason(*told[:end]) for end in (1, 2, 3, 4)] == ["WITHDRAWN", "OPTED_OUT", "OBJECTED", "RESTRICTED"]
    assert reason(*told, purpose="unheard_of") == "UNKNOWN_PURPOSE"


@pytest.mark.parametrize("basis", ["CONTRACT", "LEGAL_OBLIGATION", "LEGITIMATE_INTEREST"])
def test_an_objection_to_direct_marketing_is_absolute_under_gdpr(basis):
    purposes = [a_purpose("newsletter", basis, tags=["direct_marketing"]), a_purpose("statements", basis)]
    registry = a_registry(purposes=purposes, notices=[])
    objection = said(Kind.OBJECT, Scope("*"))

    assert reason(objection, registry=registry, purpose="newsletter") == "OBJECTED"
    assert (reason(objection, registry=registry, purpose="statements") == "OBJECTED") is (
        basis == "LEGITIMATE_INTEREST"
    )


def test_a_regime_says_which_objections_are_absolute():
    loose = a_regime("gdpr", "CONTRACT", absolute_objection=[])
    registry = a_registry(
        regimes=[loose], purposes=[a_purpose("newsletter", "CONTRACT", tags=["direct_marketing"])], notices=[]
    )

    assert reason(said(Kind.OBJECT, Scope("*")), registry=registry, purpose="newsletter") == "NEEDED"


@pytest.mark.parametrize("status", [Status.SEALED, Status.ERASED])
def test_a_closed_subject_is_denied_whatever_is_asked(status):
    keys = [Key(purpose, "mobile", "transaction") for purpose in (*REGISTRY.purpose_ids, "unheard_of")]
    granted = [said(Kind.GRANT, scope(), 2)]

    found = [verdict(REGISTRY, granted, key, regimes=("gdpr",), at_us=NOW + 9, status=status) for key in keys]

    assert {f.reason.value for f in found} == {f"SUBJECT_{status.value}"}
    assert not any(f.allowed for f in found)


def lifted(**changed) -> str:
    try:
        accept(REGISTRY, screen(acts(Kind.LIFT_OBJECT, "offers"), notice=None, **changed), first_index=7, now_us=NOW)
    except AssentError as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("", {"evidence": BUTTON}),
        ("", {"evidence": BUTTON, "actor": Actor(ActorType.AGENT, id="a7")}),
        ("EVIDENCE_MISSING", {}),
        ("EVIDENCE_MISSING", {"actor": Actor(ActorType.AGENT, id="a7")}),
        ("ACTOR_MAY_NOT_WIDEN", {"evidence": BUTTON, "actor": Actor(ActorType.SYSTEM)}),
        ("ACTOR_MAY_NOT_WIDEN", {"evidence": BUTTON, "actor": Actor(ActorType.AUTHORITY)}),
        ("ACTOR_MISSING", {"evidence": BUTTON, "actor": Actor(ActorType.AGENT)}),
        ("EVENT_IN_FUTURE", {"evidence": BUTTON, "event_us": NOW + 1_000_000_000}),
        ("EVENT_TOO_OLD", {"evidence": BUTTON, "event_us": 0}),
    ],
)
def test_only_the_person_or_an_agent_with_evidence_lifts(code, changed):
    assert lifted(**changed) == code


def test_an_objection_is_taken_from_anybody_at_any_time_about_retired_purposes_too():
    purposes = [{**p, "retired": True} if p["id"] == "offers" else p for p in a_document()["purposes"]]
    made = accept(
        a_registry(purposes=purposes),
        screen(acts(Kind.OBJECT, "offers"), notice=None, actor=Actor(ActorType.SYSTEM), event_us=-5),
        first_index=7,
        now_us=NOW,
    )

    assert [(s.kind, s.event_us) for s in made] == [(Kind.OBJECT, NOW)]


def test_a_sealed_subject_may_say_no_and_nothing_else():
    sealed = unknown("someone")
    write = entries.seal(Head("00" * 16, 1, 3, NOW), [sealed], Kind.SEALED, now_us=NOW, case="case-1")
    [state] = write.states
    head = Head("00" * 16, 1, 4, NOW)

    assert state.status is Status.SEALED
    assert entries.record(head, state, [said(Kind.WITHDRAW, Scope("*"), 4)], actor=Actor()).entries
    for kind in (Kind.GRANT, Kind.NOTICE_SERVED, Kind.LIFT_OBJECT):
        with pytest.raises(FailedPrecondition) as caught:
            entries.record(head, state, [said(kind, scope(), 4)], actor=Actor())
        assert caught.value.code == "SUBJECT_SEALED"
    [opened] = entries.seal(head, [state], Kind.UNSEALED, now_us=NOW, case="case-1").states
    assert opened.status is Status.LIVE
