"""Planning: nothing but what was seen decides, and a batch is planned like the same commands one after the other."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from consent_fakes import (
    LEDGER,
    NOW,
    WORDS,
    WORDS_DE,
    a_document,
    a_notice,
    a_purpose,
    a_regime,
    a_registry,
    a_request,
    acts,
    grant,
    ref,
    refuse,
    screen,
)
from hypothesis import given
from hypothesis import strategies as st

from consent_service import planning
from consent_service.commands import Publish, RecordChoice, SetLink, Signal, Withdraw
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.choices import Scope
from consent_service.domain.entries import Head
from consent_service.domain.fold import unknown
from consent_service.domain.words import ActorType, Kind
from consent_service.planning import Needs, Seen
from consent_service.ports import NoticeBytes
from servicekit.basis import canonical
from servicekit.errors import AssentError, FailedPrecondition, Invalid

REGISTRY = a_registry()
HEAD = Head(LEDGER, 1, 5, NOW - 1, registry_index=1, registry_digest=REGISTRY.digest)
BUTTON = Evidence(method="button")
SUBJECTS = ("anna", "ben", "carl")


def seen(registry=REGISTRY, **changed) -> Seen:
    return Seen(**{"head": HEAD, "now_us": NOW, "registry": registry, **changed})


def choose(subject, *items, **changed) -> RecordChoice:
    return RecordChoice(a_request(), subject, screen(*items, **changed))


def chosen(*commands, start: Seen | None = None) -> tuple[Seen, list]:
    """What is seen after the commands, each a microsecond after the one before, and their drafts."""
    now, drafts = start or seen(), []
    for command in commands:
        now = replace(now, now_us=now.now_us + 1)
        drafts.append(planning.plan(command, now))
        now = now.after(drafts[-1])
    return now, drafts


def entry_kinds(draft) -> list[str]:
    return [entry.kind.value for entry in draft.write.entries]


# Opt-out signals

SIGNALLED = a_registry(
    regimes=[
        a_regime("cpra", "OPT_OUT", signals={"gpc": ["sale", "sharing"]}),
        a_regime("gdpr", "OPT_OUT", "CONSENT"),
    ],
    purposes=[
        a_purpose("ads", "OPT_OUT", ("cpra", "OPT_OUT"), tags=["sale"]),
        a_purpose("ads.partners", "OPT_OUT", ("cpra", "OPT_OUT"), tags=["sharing"]),
        a_purpose("gone", "OPT_OUT", ("cpra", "OPT_OUT"), tags=["sale"], retired=True),
        a_purpose("offers", "CONSENT"),
        a_purpose("partners", "OPT_OUT", ("cpra", "OPT_OUT"), tags=["sharing"]),
    ],
    notices=[],
)


def signal(on=True, **changed) -> Signal:
    return Signal(a_request(), "anna", on=on, **{"signal": "gpc", "evidence": BUTTON, **changed})


def test_a_signal_opts_out_of_the_topmost_purposes_that_its_tags_mark_and_is_honoured_once():
    after, [first, again] = chosen(signal(device_ref="device-1"), signal(), start=seen(SIGNALLED))

    assert [(entry.kind, entry.statement.scope) for entry in first.write.entries] == [
        (Kind.OPT_OUT, Scope("ads")),
        (Kind.OPT_OUT, Scope("partners")),
    ]
    assert first.display_status == "HONOURED"
    assert first.write.entries[0].note == {"signal": "gpc", "device_ref": "device-1", "display_status": "HONOURED"}
    assert (again.write.entries, again.display_status) == ((), "ALREADY_HONOURED")
    assert after.head.size == HEAD.size + 2


def test_a_signal_opts_out_of_what_was_lifted_since_and_of_nothing_else():
    lift = choose("anna", acts(Kind.LIFT_OPT_OUT, "ads.partners"), evidence=BUTTON, notice=None)

    _, [_, _, again] = chosen(signal(), lift, signal(), start=seen(SIGNALLED))

    assert [entry.statement.scope for entry in again.write.entries] == [Scope("ads")]
    assert again.display_status == "HONOURED"


def test_switching_a_signal_off_is_an_act_of_the_person_with_evidence():
    _, [_, off, idle] = chosen(signal(), signal(on=False), signal(on=False), start=seen(SIGNALLED))
    assert entry_kinds(off) == ["LIFT_OPT_OUT", "LIFT_OPT_OUT"]
    assert (idle.write.entries, idle.display_status) == ((), "ALREADY_HONOURED")

    for wrong in ({"evidence": Evidence()}, {"actor": Actor(ActorType.SYSTEM)}):
        with pytest.raises(AssentError):
            chosen(signal(), signal(on=False, **wrong), start=seen(SIGNALLED))


def test_a_signal_that_no_regime_knows_is_not_applicable():
    _, [other, elsewhere] = chosen(signal(signal="dnt"), signal(regime="gdpr"), start=seen(SIGNALLED))

    assert [(d.write.entries, d.display_status) for d in (other, elsewhere)] == [((), "NOT_APPLICABLE")] * 2
    with pytest.raises(Invalid, match="regime"):
        chosen(signal(regime="unheard_of"), start=seen(SIGNALLED))


# Withdrawals


def test_a_grant_is_withdrawn_by_its_index_whether_it_still_holds_or_not():
    after, [granted, *_] = chosen(choose("anna", grant(to_us=NOW + 3)), Withdraw(a_request(), "anna", (Scope("*"),)))
    late = replace(after, now_us=NOW + 100)

    draft = planning.plan(Withdraw(a_request(), "anna", grant=HEAD.size), late)

    assert [entry.statement.scope for entry in draft.write.entries] == [granted.write.entries[0].statement.scope]
    assert draft.denied == ("offers", "offers.credit")


def test_nobody_elses_entry_and_no_other_kind_is_withdrawn_by_index():
    after, _ = chosen(choose("anna", grant()), choose("ben", refuse()))

    for subject, index in (("ben", HEAD.size), ("ben", HEAD.size + 1), ("anna", 99), ("anna", 1 << 63)):
        with pytest.raises(Invalid) as caught:
            planning.plan(Withdraw(a_request(), subject, grant=index), after)
        assert (caught.value.field, caught.value.code) == ("grant", "GRANT_UNKNOWN")


def test_a_grant_from_before_a_link_is_withdrawn_by_either_side():
    link = SetLink(a_request(), "ben", "anna", linked=True)
    for subject in ("anna", "ben"):
        _, [*_, draft] = chosen(choose("anna", grant()), link, Withdraw(a_request(), subject, grant=HEAD.size))

        assert [entry.subject for entry in draft.write.entries] == ["ben"]


def test_a_claimed_time_that_is_not_believed_is_noted():
    for claimed in (NOW + 10**15, -7, 0):
        draft = planning.plan(Withdraw(a_request(), "anna", (Scope("*"),), event_us=claimed), seen())

        assert draft.write.entries[0].event_us == NOW
        assert draft.write.entries[0].note == {"claimed_event_us": str(claimed)}
    believed = planning.plan(Withdraw(a_request(), "anna", (Scope("*"),), event_us=NOW - 5), seen())
    assert (believed.write.entries[0].event_us, believed.write.entries[0].note) == (NOW - 5, {})


def test_an_act_names_the_purposes_that_it_ends():
    ended = {
        kind: planning.plan(choose("anna", acts(kind), notice=None), seen()).denied
        for kind in (Kind.REFUSE, Kind.OBJECT, Kind.RESTRICT)
    }

    assert ended[Kind.REFUSE] == ended[Kind.OBJECT] == ("advice", "offers", "offers.credit", "sharing")
    assert ended[Kind.RESTRICT] == ("advice", "offers", "offers.credit", "service", "sharing")
    assert planning.plan(choose("anna", grant()), seen()).denied == ()


# Closed subjects


def test_an_erased_subject_keeps_nothing_and_turns_no_denial_away():
    start = seen(SIGNALLED, states={"anna": replace(unknown("anna"), erased=True)})
    objection = choose("anna", acts(Kind.OBJECT), notice=None)

    withdrawals = [Withdraw(a_request(), "anna", (Scope("*"),)), Withdraw(a_request(), "anna", grant=3)]
    for command in (*withdrawals, objection, signal()):
        draft = planning.plan(command, start)
        assert (draft.write.entries, draft.write.states) == ((), ())
    with pytest.raises(FailedPrecondition, match="erased"):
        planning.plan(SetLink(a_request(), "ben", "anna", linked=True), start)


@pytest.mark.parametrize("code", ["SUBJECT_SEALED", "SUBJECT_ERASED"])
def test_a_closed_subject_is_granted_nothing(code):
    state = replace(unknown("anna"), erased=code == "SUBJECT_ERASED", sealed=frozenset({"anna"}))

    with pytest.raises(FailedPrecondition) as caught:
        planning.plan(choose("anna", grant(), refuse("advice")), seen(states={"anna": state}))

    assert caught.value.code == code


# Registries


def a_publication(**changed) -> Publish:
    words = [NoticeBytes(ref("en"), WORDS), NoticeBytes(ref("de"), WORDS_DE)]
    return Publish(a_request(), canonical(a_document(**changed)), tuple(words), ("one", "two"))


def test_a_batch_judges_by_the_registry_that_was_published_in_it():
    closed = a_publication(notices=[a_notice("de"), a_notice("en", status="CLOSED")])
    after, [draft] = chosen(closed)

    assert (after.head.registry_index, after.head.registry_digest) == (HEAD.size, draft.digest)
    with pytest.raises(FailedPrecondition) as caught:
        planning.plan(choose("anna", grant()), after)
    assert caught.value.code == "NOTICE_NOT_OPEN"
    assert planning.plan(closed, after).write.entries == ()


def test_a_publication_needs_the_notices_that_it_does_not_bring():
    command = replace(a_publication(), notices=(NoticeBytes(ref("en"), WORDS),))

    assert planning.needs(command) == Needs(notices=(ref("de"),))
    with pytest.raises(Invalid, match="missing"):
        planning.plan(command, seen())
    assert planning.plan(command, seen(notices={ref("de")[:3]: ref("de").sha256})).digest


# Batches

items = st.sampled_from(
    [grant(), grant("offers.credit"), refuse("advice"), refuse("*"), acts(Kind.OBJECT), acts(Kind.RESTRICT, "offers")]
)
commands = st.one_of(
    st.builds(choose, st.sampled_from(SUBJECTS), items),
    st.builds(lambda subject: Withdraw(a_request(), subject, (Scope("*"),)), st.sampled_from(SUBJECTS)),
    st.builds(
        lambda pair, linked: SetLink(a_request(), pair[0], pair[1], linked=linked),
        st.permutations(SUBJECTS),
        st.booleans(),
    ),
)


@given(st.lists(commands, max_size=8))
def test_a_command_sees_only_what_it_needs(batch):
    """Planned on all that is known or only on the lineages it named, a command appends the same; indices have no gap."""
    everything = seen()
    for command in batch:
        everything = replace(everything, now_us=everything.now_us + 1)
        lineages = [everything.lineage(subject) for subject in planning.needs(command).subjects]
        states = {s.subject: s for lineage in lineages for s in lineage}
        try:
            draft = planning.plan(command, everything)
        except AssentError as refused:
            with pytest.raises(type(refused)):
                planning.plan(command, replace(everything, states=states))
            continue
        assert planning.plan(command, replace(everything, states=states)) == draft
        indices = [entry.index for entry in draft.write.entries]
        assert indices == list(range(everything.head.size, everything.head.size + len(indices)))
        assert {entry.recorded_us for entry in draft.write.entries} <= {everything.now_us}
        everything = everything.after(draft)


def test_the_document_of_a_publication_is_what_is_stored():
    _, [draft] = chosen(a_publication())

    assert json.loads(draft.registry.document) == a_document()
