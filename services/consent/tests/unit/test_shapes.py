"""Reading bodies by their shape says what reading them one by one says."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.shapes import _shape, reading, said
from servicekit.basis import canonical
from servicekit.errors import Invalid

BODY = {
    "effective": True,
    "event_time": 1_790_000_000_000_000,
    "kind": "GRANT",
    "notice": {"id": "n1", "locale": "en", "sha256": "ab01" * 16, "version": 3},
    "scope": {"purpose": "offers.2"},
    "seq": 10,
}
TEXT = canonical(BODY)


def answer(read, pub):
    try:
        return read(pub)
    except Invalid:
        return "refused"


digits = st.sampled_from("0123456789")


@given(st.lists(digits, min_size=120, max_size=120))
def test_texts_that_differ_in_digits_alone(choice):
    """Among them numbers that begin with 0, and numbers above 2^53."""
    drawn = iter(choice)
    pub = "".join(next(drawn) if char.isdigit() else char for char in TEXT.decode()).encode()

    assert answer(said, pub) == answer(reading, pub)


@given(st.data())
def test_texts_with_some_bytes_changed(data):
    pub = bytearray(TEXT)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(pub) - 1))
        pub[place : place + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"0", b"1", b'"', b"-", b"\\", b"", b"{"])
        )

    assert answer(said, bytes(pub)) == answer(reading, bytes(pub))


@pytest.mark.parametrize(
    "pub",
    [
        *(b'{"kind":"GRANT","seq":%b}' % number for number in (b"0", b"01", b"-0", b"-1", b"00", b"9007199254740991")),
        *(b'{"kind":"GRANT","seq":%b}' % number for number in (b"9007199254740992", b"-9007199254740992", b"1" * 17)),
        *(b'{"a%b":1,"a%b":1,"kind":"X"}' % pair for pair in ((b"1", b"2"), (b"2", b"1"), (b"1", b"1"))),
        *(
            b'{"kind":"GRANT","notice":{"id":"a","locale":"b","sha%b":"c","version":1}}' % name
            for name in (b"256", b"255", b"111")
        ),
        *(b'{"kind":"LEDGER%b"}' % number for number in (b"", b"1", b"2")),
        *(b'{"kind":"X","t":"%b"}' % text for text in (rb"\u0001", rb"\u0011", rb"\n1", rb"\"1", b"0123")),
        b'{"kind":"GRANT","notice":{"id":"a","locale":"b","version":1}}',
        b'{"kind":"WITHDRAW","notice":{"id":"a","locale":"b","sha256":"c","version":1}}',
        b'{"kind":1}',
        b"{}",
        b"[]",
        b"1",
        b"",
    ],
)
def test_texts_on_the_edge(pub):
    for _ in range(2):
        assert answer(said, pub) == answer(reading, pub)


def test_most_bodies_are_read_by_their_shape(monkeypatch):
    _shape.cache_clear()
    said(TEXT)
    monkeypatch.setattr("consent_service.domain.shapes.reading", None)
    for number in range(100):
        said(canonical({**BODY, "seq": 10 + number % 90, "event_time": 1_790_000_000_000_000 + number}))

    assert _shape.cache_info().misses == 1


def test_a_body_vouches_for_the_words_that_were_shown():
    assert said(TEXT).notices == ((("n1", 3, "en"), "ab01" * 16),)
    assert said(canonical({**BODY, "kind": "WITHDRAW"})).notices == ()


def test_a_registry_vouches_for_its_notices_and_says_each_thing_once():

    for document, good in (
        ('{"notices": [{"id":"a","version":1,"locale":"b","sha256":"c"}]}', True),
        ('{"v":1,"v":1}', False),
    ):
        digest = f"sha256:{hashlib.sha256(document.encode()).hexdigest()}"
        body = {"kind": "REGISTRY", "document": document, "note": {"digest": digest}}
        assert (answer(said, canonical(body)) != "refused") is good
    assert json.loads(canonical(body)) == body
