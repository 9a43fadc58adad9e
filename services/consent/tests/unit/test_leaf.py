"""Leaves: 162 bytes, one encoding for each value, and nothing else parses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain.leaf import SIZE, ZERO, Leaf, LeafClass, encode, parse
from servicekit.errors import Invalid

hashes = st.binary(min_size=32, max_size=32)
u64 = st.integers(0, 2**64 - 1)
ledgers = st.binary(min_size=16, max_size=16)


@st.composite
def leaves(draw):
    of = draw(st.sampled_from(LeafClass))
    subject = of in (LeafClass.SUBJECT, LeafClass.ERASURE)
    return Leaf(
        int(of),
        draw(ledgers),
        draw(u64),
        draw(u64),
        draw(hashes),
        draw(hashes) if of is LeafClass.SUBJECT else ZERO,
        draw(hashes) if subject else ZERO,
        draw(hashes) if subject else ZERO,
    )


@given(leaves())
def test_a_leaf_is_read_back_as_it_was_written(leaf):
    data = encode(leaf)

    assert len(data) == SIZE == 162
    assert parse(data) == leaf


@given(leaves(), st.integers(0, 161), st.integers(1, 255))
def test_a_changed_byte_is_another_leaf_or_none(leaf, place, change):
    data = bytearray(encode(leaf))
    data[place] ^= change
    try:
        other = parse(bytes(data))
    except Invalid:
        return

    assert other != leaf
    assert encode(other) == bytes(data)


@given(st.binary(min_size=162, max_size=162))
def test_whatever_parses_has_this_one_encoding(data):
    try:
        leaf = parse(data)
    except Invalid:
        return

    assert encode(leaf) == data


@given(leaves(), st.integers(0, 400))
def test_another_length_is_refused(leaf, length):
    data = (encode(leaf) * 3)[:length]
    if length == SIZE:
        return
    with pytest.raises(Invalid):
        parse(data)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused(version):
    with pytest.raises(Invalid):
        parse(bytes([version]) + encode(Leaf(1, bytes(16), 1, 1, ZERO))[1:])


@pytest.mark.parametrize("of", [0, 5, 255])
def test_another_class_is_refused(of):
    with pytest.raises(Invalid):
        parse(bytes([1, of]) + bytes(160))
    with pytest.raises(Invalid):
        encode(Leaf(of, bytes(16), 1, 1, ZERO))


@pytest.mark.parametrize(
    ("of", "field"),
    [(of, field) for of in (2, 3) for field in ("c_priv", "subject_tag", "prev_commit")] + [(4, "c_priv")],
)
def test_a_field_that_the_class_does_not_use_is_zero(of, field):
    leaf = Leaf(of, bytes(16), 1, 1, ZERO)._replace(**{field: bytes(31) + b"\x01"})
    with pytest.raises(Invalid):
        encode(leaf)
    place = 66 + 32 * ("c_priv", "subject_tag", "prev_commit").index(field)
    data = bytearray(encode(Leaf(of, bytes(16), 1, 1, ZERO)))
    data[place] = 1
    with pytest.raises(Invalid):
        parse(bytes(data))


@pytest.mark.parametrize(
    "change", [{"ledger": bytes(15)}, {"c_pub": bytes(33)}, {"epoch": -1}, {"recorded_us": 2**64}, {"subject_tag": b""}]
)
def test_a_value_that_does_not_fit_is_refused(change):
    with pytest.raises(Invalid):
        encode(Leaf(1, bytes(16), 1, 1, ZERO)._replace(**change))


def test_the_fields_lie_where_the_page_says():
    leaf = Leaf(1, b"L" * 16, 2, 3, b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32)

    numbers = (2).to_bytes(8, "big") + (3).to_bytes(8, "big")
    assert encode(leaf) == b"\x01\x01" + b"L" * 16 + numbers + b"a" * 32 + b"b" * 32 + b"c" * 32 + b"d" * 32
