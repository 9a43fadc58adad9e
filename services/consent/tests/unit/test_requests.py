"""Hostile requests: the field is named, and only what cannot be understood turns a denial away."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from consent_fakes import WORDS

from assent.catalog.v1 import value_pb2
from assent.consent.v1 import consent_service_pb2 as pb
from assent.consent.v1 import types_pb2
from consent_service import requests
from consent_service.domain.choices import Scope
from consent_service.domain.position import Position
from consent_service.domain.words import ActorType, Kind
from consent_service.planning import needs
from consent_service.requests import parts
from consent_service.requests.fields import named
from servicekit.errors import Invalid, Unimplemented

TRANSACTION = value_pb2.DATA_CATEGORY_TRANSACTION
REQUEST_ID = "0123456789abcdef"
NOTICE = types_pb2.NoticeRef(id="choices", version=1, locale="en", sha256=hashlib.sha256(WORDS).digest())
CUSTOMER = types_pb2.Actor(type=types_pb2.ACTOR_TYPE_CUSTOMER)
STRANGE = ("\x00", "a\x00b", "\u202e", "a\u2066b", "\ufeff", "a b", "ä", "x" * 129, "\uffff", "'; drop", "a\n")


def a_scope(**changed: Any) -> types_pb2.Scope:
    return types_pb2.Scope(**{"purpose": "offers", "channels": ["mobile"], "categories": [TRANSACTION], **changed})


def a_grant(**changed: Any) -> pb.GrantConsentRequest:
    return pb.GrantConsentRequest(
        **{
            "request_id": REQUEST_ID,
            "subject_id": "anna",
            "scopes": [a_scope()],
            "notice": NOTICE,
            "actor": CUSTOMER,
            **changed,
        }
    )


def an_objection(**changed: Any) -> pb.RecordObjectionRequest:
    fields = {"request_id": REQUEST_ID, "subject_id": "anna", "kind": types_pb2.CHOICE_KIND_OBJECT, "on": True}
    selector = {} if {"purposes", "scope", "all"} & set(changed) else {"all": True}
    return pb.RecordObjectionRequest(**{**fields, **selector, **changed})


def a_signal(**changed: Any) -> pb.RecordOptOutSignalRequest:
    fields = {"request_id": REQUEST_ID, "subject_id": "anna", "signal": "GPC", "on": True}
    return pb.RecordOptOutSignalRequest(**{**fields, **changed})


def a_withdrawal(**changed: Any) -> pb.WithdrawConsentRequest:
    fields: dict[str, Any] = {"request_id": REQUEST_ID, "subject_id": "anna"}
    selector = {} if {"purposes", "scope", "grant"} & set(changed) else {"all": True}
    return pb.WithdrawConsentRequest(**{**fields, **selector, **changed})


@pytest.mark.parametrize("value", [*STRANGE, "\ud800", "a\udfff", ""])
def test_an_id_is_plain_ascii(value):
    with pytest.raises(Invalid) as caught:
        named(value, "subject_id")

    assert caught.value.field == "subject_id"
    assert not value or value not in caught.value.text


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("request_id", lambda v: requests.grant(a_grant(request_id=v))),
        ("subject_id", lambda v: requests.withdraw(a_withdrawal(subject_id=v))),
        ("scopes[0].purpose", lambda v: requests.grant(a_grant(scopes=[a_scope(purpose=v)]))),
        ("scopes[0].channels[0]", lambda v: requests.grant(a_grant(scopes=[a_scope(channels=[v])]))),
        ("scopes[0].recipients[0]", lambda v: requests.grant(a_grant(scopes=[a_scope(recipients=[v])]))),
        ("notice.id", lambda v: requests.grant(a_grant(notice=types_pb2.NoticeRef(id=v, sha256=b"x" * 32)))),
        ("actor.id", lambda v: requests.grant(a_grant(actor=types_pb2.Actor(type=1, id=v)))),
        ("evidence.session_ref", lambda v: requests.grant(a_grant(evidence=types_pb2.Evidence(session_ref=v)))),
        ("regimes[0]", lambda v: requests.grant(a_grant(regimes=[v]))),
        ("signal", lambda v: requests.signal(a_signal(signal=v))),
        ("regime", lambda v: requests.signal(a_signal(regime=v))),
        ("purposes.ids[0]", lambda v: requests.objection(an_objection(purposes=pb.PurposeList(ids=[v])))),
        ("channel", lambda v: requests.evaluate(pb.EvaluateBasisRequest(subject_id="anna", channel=v))),
        ("notice.id", lambda v: requests.find_registry(pb.GetRegistryRequest(notice=types_pb2.NoticeRef(id=v)))),
        ("page_token", lambda v: requests.list_events(pb.ListConsentEventsRequest(subject_id="anna", page_token=v))),
    ],
)
def test_a_strange_text_is_refused_by_field(field, make, value):
    with pytest.raises(Invalid) as caught:
        make(value)

    assert caught.value.field == field
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "request_", "read"),
    [
        ("scopes", a_grant(scopes=[]), requests.grant),
        ("scopes", a_grant(scopes=[a_scope(channels=[f"c{n}"]) for n in range(33)]), requests.grant),
        ("scopes[0].channels", a_grant(scopes=[a_scope(channels=[])]), requests.grant),
        ("scopes[0].categories", a_grant(scopes=[a_scope(categories=[TRANSACTION] * 65)]), requests.grant),
        ("scopes[0].categories[0]", a_grant(scopes=[a_scope(categories=[77])]), requests.grant),
        ("valid_to_us", a_grant(valid_to_us=1 << 62), requests.grant),
        ("valid_from_us", a_grant(valid_from_us=-1), requests.grant),
        ("notice.sha256", a_grant(notice=types_pb2.NoticeRef(id="choices", locale="en")), requests.grant),
        ("actor.type", a_grant(actor=types_pb2.Actor(type=42)), requests.grant),
        ("evidence", a_grant(evidence=types_pb2.Evidence(free_text="x" * 9000)), requests.grant),
        ("evidence", a_grant(evidence=types_pb2.Evidence(free_text="x" * 10_000_000)), requests.grant),
        ("evidence.attachment_refs", a_grant(evidence=types_pb2.Evidence(attachment_refs=["a"] * 17)), requests.grant),
        ("wait_for", a_grant(wait_for=9), requests.grant),
        ("kind", an_objection(kind=types_pb2.CHOICE_KIND_OPT_OUT), requests.objection),
        ("kind", an_objection(kind=types_pb2.CHOICE_KIND_LIFT_OBJECT), requests.objection),
        ("kind", an_objection(kind=0), requests.objection),
        ("selector", an_objection(all=False), requests.objection),
        ("purposes.ids", an_objection(purposes=pb.PurposeList()), requests.objection),
        ("actor.type", an_objection(on=False, actor=types_pb2.Actor(type=42)), requests.objection),
        ("device_ref", a_signal(on=False, device_ref="a b"), requests.signal),
        ("absorbed", pb.SetSubjectLinkRequest(survivor="anna", absorbed="anna"), requests.set_link),
        ("keys", pb.CheckConsentRequest(subject_id="anna"), requests.check),
        ("ttl_ms", pb.EvaluateBasisRequest(subject_id="anna", channel="web", ttl_ms=30_001), requests.evaluate),
        (
            "at_us",
            pb.EvaluateBasisRequest(
                subject_id="anna", channel="web", replay_position=types_pb2.Position(ledger="0" * 32)
            ),
            requests.evaluate,
        ),
        (
            "replay_position.ledger",
            pb.EvaluateBasisRequest(
                subject_id="anna", channel="web", at_us=1, replay_position=types_pb2.Position(ledger="north")
            ),
            requests.evaluate,
        ),
        (
            "replay_key_id",
            pb.EvaluateBasisRequest(subject_id="anna", channel="web", replay_key_id="harbour"),
            requests.evaluate,
        ),
        (
            "as_of_position",
            pb.GetConsentStateRequest(
                subject_id="anna", as_of_us=1, as_of_position=types_pb2.Position(ledger="0" * 32)
            ),
            requests.look,
        ),
        ("page_size", pb.ListConsentEventsRequest(subject_id="anna", page_size=501), requests.list_events),
        ("page_size", pb.ListConsentEventsRequest(subject_id="anna", page_size=-1), requests.list_events),
        ("position", pb.GetRegistryRequest(digest="sha256:" + "0" * 64, position={}), requests.find_registry),
        ("document", pb.PublishRegistryRequest(document=b"x" * ((1 << 20) + 1)), requests.publish),
    ],
)
def test_a_bad_field_is_named(field, request_, read):
    with pytest.raises(Invalid) as caught:
        read(request_)

    assert caught.value.field == field


@pytest.mark.parametrize("waited", ["PROPAGATED", "WITNESSED"])
@pytest.mark.parametrize(
    ("make", "read"),
    [
        (a_grant, requests.grant),
        (a_withdrawal, requests.withdraw),
        (an_objection, requests.objection),
        (a_signal, requests.signal),
        (
            lambda **c: pb.SetSubjectLinkRequest(request_id=REQUEST_ID, survivor="anna", absorbed="ben", **c),
            requests.set_link,
        ),
        (lambda **c: pb.PublishRegistryRequest(request_id=REQUEST_ID, document=b"{}", **c), requests.publish),
        (
            lambda **c: pb.RecordChoiceRequest(
                request_id=REQUEST_ID, subject_id="anna", items=[pb.Choice(kind=2, scope=a_scope())], **c
            ),
            requests.record_choice,
        ),
    ],
)
def test_what_cannot_be_waited_for_is_not_pretended(make, read, waited):
    for waiting in (types_pb2.WAIT_FOR_COMMITTED, types_pb2.WAIT_FOR_CHECKPOINTED):
        assert read(make(wait_for=waiting)).request == read(make()).request
    with pytest.raises(Unimplemented) as caught:
        read(make(wait_for=types_pb2.WaitFor.Value(f"WAIT_FOR_{waited}")))

    assert caught.value.field == "wait_for"


def test_two_scopes_about_one_key_are_refused_by_field():
    command = requests.grant(a_grant(scopes=[a_scope(), a_scope(channels=["web"]), a_scope(channels=["web"])]))

    with pytest.raises(Invalid) as caught:
        needs(command)

    assert (caught.value.field, caught.value.code) == ("scopes[2]", "DUPLICATE_KEY")


def test_nothing_beside_its_selector_turns_an_objection_or_a_signal_away():
    odd = {
        "actor": types_pb2.Actor(type=42, id="\u202e"),
        "evidence": types_pb2.Evidence(free_text="x" * 10_000_000, locale="no locale", method="button"),
        "event_time_us": -(1 << 63),
    }
    objection = requests.objection(an_objection(**odd, regimes=["\x00"]))
    signal = requests.signal(a_signal(**odd, device_ref="\u202e"))

    for actor, evidence in (
        (objection.screen.actor, objection.screen.evidence),
        (signal.actor, signal.evidence),
    ):
        assert (actor.type, actor.id) == (ActorType.UNSPECIFIED, "")
        assert (evidence.method, evidence.dropped) == ("button", ("free_text", "locale"))
    assert signal.device_ref == ""
    assert objection.screen.regimes == ()


def test_a_selector_means_what_it_says():
    purposes = pb.PurposeList(ids=["offers", "advice", "offers"])

    assert [i.scope for i in requests.objection(an_objection()).screen.items] == [Scope("*")]
    assert requests.withdraw(a_withdrawal(purposes=purposes)).scopes == (Scope("advice"), Scope("offers"))
    assert requests.withdraw(a_withdrawal(grant=7)).grant == 7
    assert requests.withdraw(a_withdrawal(grant=0)).grant == 0
    lifted = requests.objection(an_objection(on=False, actor=CUSTOMER)).screen.items
    assert [item.kind for item in lifted] == [Kind.LIFT_OBJECT]
    assert requests.signal(a_signal()).signal == "gpc"


def test_a_place_is_taken_where_a_time_is():
    place = types_pb2.Position(ledger="ab" * 16, epoch=1, index=4)

    looked = requests.look(pb.GetConsentStateRequest(subject_id="anna", as_of_position=place, as_known_at_us=3))

    assert (looked.as_of, looked.as_known_at) == (Position("ab" * 16, 1, 4), 3)


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("evidence.free_text", {"free_text": "a\x00b"}),
        ("evidence", {"free_text": "ü" * 4096}),
        ("evidence.attachment_refs", {"attachment_refs": ["a"] * 17}),
        ("evidence.attachment_refs[1]", {"attachment_refs": ["a", "\u202e"]}),
        ("evidence.attachment_refs[0]", {"attachment_refs": ["a" * 129]}),
        ("evidence.locale", {"locale": "no locale"}),
    ],
)
def test_evidence_of_what_widens_is_refused_by_field(field, said):
    with pytest.raises(Invalid) as caught:
        requests.grant(a_grant(evidence=types_pb2.Evidence(**said)))

    assert caught.value.field == field


def test_words_with_half_a_character_are_refused():
    with pytest.raises(Invalid) as caught:
        parts._words("\ud800")

    assert caught.value.field == "evidence.free_text"


def test_evidence_takes_eight_kibibytes_and_no_more():
    rest = types_pb2.Evidence(method="form", free_text="x" * 1000).ByteSize() - 1000
    fits = types_pb2.Evidence(method="form", free_text="x" * (8192 - rest))

    assert len(requests.grant(a_grant(evidence=fits)).screen.evidence.free_text) == 8192 - rest
    fits.free_text += "x"
    with pytest.raises(Invalid) as caught:
        requests.grant(a_grant(evidence=fits))
    assert caught.value.field == "evidence"


def test_of_a_denials_evidence_what_can_be_kept_is_kept():
    said = types_pb2.Evidence(method="form", free_text="never again", attachment_refs=["scan:1", "no ref", "scan:2"])
    kept = requests.objection(an_objection(evidence=said)).screen.evidence

    assert (kept.free_text, kept.attachment_refs) == ("never again", ("scan:1", "scan:2"))
    assert kept.dropped == ("attachment_refs",)
    said.free_text = "a\x00b"
    assert requests.objection(an_objection(evidence=said)).screen.evidence.dropped == ("free_text", "attachment_refs")
