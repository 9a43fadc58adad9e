"""Bodies: canonical, the same entry again, and the public one never says who."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.bodies import Place, class_of, open_body, private_body, public_body, read_entry
from consent_service.domain.canonical import joined, number, parsed, text, unique, whole
from consent_service.domain.choices import NoticeRef, Scope, Statement
from consent_service.domain.entries import Entry
from consent_service.domain.fold import Link
from consent_service.domain.leaf import LeafClass
from consent_service.domain.words import ActorType, Kind
from servicekit.basis import canonical
from servicekit.errors import Invalid

words = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
sets = st.frozensets(words, max_size=4)
times = st.integers(0, 2**52)
scopes = st.builds(Scope, words.filter(bool), sets, sets, sets)
notices = st.builds(NoticeRef, words, st.integers(0, 9), words, words)
actors = st.builds(Actor, st.sampled_from(ActorType), words, words, words)
evidences = st.builds(Evidence)
regimes = st.lists(words, max_size=3).map(tuple)
CHOICES = (Kind.GRANT, Kind.REFUSE, Kind.WITHDRAW, Kind.NOTICE_SERVED)


@st.composite
def choices(draw):
    index, kind, event, recorded = draw(times), draw(st.sampled_from(CHOICES)), draw(times), draw(times)
    effective = draw(st.booleans())
    statement = Statement(
        index=index,
        kind=kind,
        scope=draw(scopes),
        event_us=event,
        recorded_us=recorded,
        from_us=draw(times),
        to_us=draw(st.none() | times),
        explicit=draw(st.booleans()),
        notice=draw(st.none() | notices),
        effective=effective,
    )
    return Entry(
        index=index,
        epoch=draw(st.integers(1, 5)),
        kind=kind,
        recorded_us=recorded,
        event_us=event,
        subject=draw(words),
        effective=effective,
        reason=draw(st.sampled_from(["", "LATE_GRANT"])),
        statement=statement,
        actor=draw(st.none() | actors),
        evidence=draw(st.none() | evidences),
        regimes=draw(regimes),
        request_id=draw(st.none() | words),
    )


def place(entry: Entry) -> Place:
    return Place(entry.index, entry.epoch, entry.recorded_us)


@given(choices(), st.integers(1, 2**40))
def test_a_choice_is_read_back_from_its_two_bodies(entry, seq):
    pub, priv = public_body(entry, seq), private_body(entry)

    assert read_entry(place(entry), pub, priv) == entry
    assert parsed(pub)["seq"] == seq


@given(choices())
def test_both_bodies_are_canonical(entry):
    for body in (public_body(entry, 1), private_body(entry)):
        assert canonical(parsed(body)) == body


def test_evidence_is_read_back():
    shown = Evidence("click", "v2", "en-GB", "s-1", ("locale",), ("file:2", "file:1"), "my «own»\nwords \x01")
    entry = replace(linked("survivor"), evidence=shown, actor=Actor(ActorType.AGENT, "a-1", "2", "ref"))

    assert read_entry(place(entry), public_body(entry, 1), private_body(entry)) == entry


def linked(side) -> Entry:
    denial = Statement(5, Kind.WITHDRAW, Scope("offers"), 3, 4, 3, links=(5,), exceptions=(Scope("offers.x"),))
    link = Link(side, "somebody", 5, frozenset({"somebody", "another"}), (denial,), frozenset({"another"}))
    return Entry(5, 1, Kind.LINKED, 4, 4, subject="me", link=link, note={"evidence_ref": "case 7"})


@pytest.mark.parametrize("side", ["survivor", "absorbed"])
def test_a_link_is_read_back_and_its_public_body_names_nobody(side):
    entry = linked(side)
    pub, priv = public_body(entry, 2), private_body(entry)

    assert read_entry(place(entry), pub, priv) == entry
    assert not any(secret in pub for secret in (b"somebody", b"another", b'"me"', b"case 7"))


@given(choices())
def test_without_the_private_body_nobody_is_named(entry):
    marked = replace(
        entry, subject="WHO", actor=Actor(id="WHO"), request_id="WHO", evidence=Evidence(session_ref="WHO")
    )
    pub = public_body(marked, 1)
    seen = read_entry(place(entry), pub)

    assert pub == public_body(entry, 1)
    assert (seen.subject, seen.actor, seen.evidence, seen.request_id) == (None, None, None, None)


def test_a_seal_is_read_back_and_its_public_body_names_nobody():
    entry = Entry(5, 1, Kind.SEALED, 4, 4, subject="me", sealed=frozenset({"me", "somebody"}), note={"case": "case 7"})
    pub, priv = public_body(entry, 2), private_body(entry)

    assert read_entry(place(entry), pub, priv) == entry
    assert not any(secret in pub for secret in (b"somebody", b'"me"', b"case 7"))


def test_an_open_entry_is_read_back_from_one_body():
    entry = Entry(0, 1, Kind.REGISTRY, 7, 7, note={"digest": "sha256:00", "approvers": "a,b"})
    body = open_body(entry, document='{"v":1}')

    assert read_entry(place(entry), body) == entry
    assert parsed(body)["document"] == '{"v":1}'


def test_each_kind_has_its_class():
    assert {kind: class_of(kind) for kind in ("REGISTRY", "LEDGER", "ERASURE")} == {
        "REGISTRY": LeafClass.REGISTRY,
        "LEDGER": LeafClass.LEDGER,
        "ERASURE": LeafClass.ERASURE,
    }
    for kind in set(Kind) - {Kind.REGISTRY, Kind.LEDGER, Kind.ERASURE}:
        assert class_of(kind) is (LeafClass.ERASURE if kind == "ERASURE" else LeafClass.SUBJECT)


def test_every_field_of_an_entry_has_its_place():
    """A new field must be given a place in one of the bodies before this list grows."""
    assert {field.name for field in fields(Entry)} == {
        *("index", "epoch", "kind", "recorded_us", "event_us", "subject", "effective", "reason", "statement"),
        *("link", "actor", "evidence", "regimes", "request_id", "note", "sealed"),
    }
    assert {field.name for field in fields(Statement)} == {
        *("index", "kind", "scope", "event_us", "recorded_us", "from_us", "to_us", "explicit", "notice"),
        *("effective", "links", "exceptions"),
    }


@given(st.dictionaries(st.sampled_from("abcdef"), words), sets, st.integers(-(2**53) + 1, 2**53 - 1))
def test_parts_join_to_what_the_whole_is(values, members, count):
    parts = {name: text(value) for name, value in values.items()}
    parts |= {"set": unique(members), "count": number(count)}

    assert joined(parts) == whole({**values, "set": sorted(members), "count": count})


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\ud800", "x\udfff", "\udc00\ud800"])
def test_nul_and_unpaired_surrogates_are_refused(value):
    for write in (text, whole, lambda given: unique([given])):
        with pytest.raises(Invalid):
            write(value)


@pytest.mark.parametrize("value", [None, 1.5, 2**53, -(2**53), {"a": None}, [1.0], {"é": 1}, {1: 2}])
def test_what_is_not_canonical_is_refused(value):
    with pytest.raises(Invalid):
        whole(value)


@pytest.mark.parametrize("value", [2**53, -(2**53)])
def test_a_number_is_below_2_to_the_53(value):
    with pytest.raises(Invalid):
        number(value)


@pytest.mark.parametrize(
    "data",
    [
        *(b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a":1.0}', b'{"a":null}', b'{"a":1e3}'),
        *(
            b'{"a":"\\u0061"}',
            b'{"a":"\\/"}',
            b'{"a":NaN}',
            b'{"a":9007199254740992}',
            b"{}\n",
            b"\xef\xbb\xbf{}",
            b"\xff",
        ),
        *(b'{"a":"\\ud800"}', b'{"a":"\\u0000"}', b'{"a":01}', b'{"a":-0}', b"", b"[" * 100_000),
    ],
)
def test_text_that_is_not_canonical_is_not_read(data):
    with pytest.raises(Invalid):
        parsed(data)
