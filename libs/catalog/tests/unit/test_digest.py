import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.digest import bundle_digest, bundle_from_json, bundle_to_json, canonical, digest_of
from catalog.findings import CatalogInvalid
from catalog.loading import load_bundle

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
keys = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), texts),
    lambda part: st.one_of(st.lists(part, max_size=4), st.dictionaries(keys, part, max_size=4)),
)


def shuffled(value, order):
    if isinstance(value, dict):
        entries = [(key, shuffled(part, order)) for key, part in value.items()]
        order.shuffle(entries)
        return dict(entries)
    return [shuffled(part, order) for part in value] if isinstance(value, list) else value


@given(values, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_the_digest(value, order):
    assert digest_of(canonical(value)) == digest_of(canonical(shuffled(value, order)))


@given(values)
def test_canonical_json_is_json(value):
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", [1.5, None, 2**53, {"é": 1}, {1: 2}, "\0", "\ud800", {"a": {1, 2}}, b"x"])
def test_what_has_no_canonical_form_is_refused(value):
    with pytest.raises(ValueError, match=r"2\^53|ASCII|NUL|canonical"):
        canonical(value)


def test_a_bundle_survives_the_round_trip(harbour):
    data = bundle_to_json(harbour)

    assert bundle_from_json(data) == harbour
    assert bundle_to_json(bundle_from_json(data)) == data


def test_bytes_with_another_digest_are_refused(harbour):
    data = bundle_to_json(harbour)

    with pytest.raises(CatalogInvalid, match="another digest"):
        bundle_from_json(data.replace(b"Harbour Bank", b"Harbor Bank"), bundle_digest(harbour))


def test_shuffled_json_makes_the_same_bundle(harbour):
    data = json.dumps(shuffled(json.loads(bundle_to_json(harbour)), random.Random(7))).encode()

    assert bundle_digest(bundle_from_json(data)) == bundle_digest(harbour)


def test_loading_twice_gives_the_same_digest(harbour, harbour_folder):
    assert bundle_digest(load_bundle(harbour_folder)) == bundle_digest(harbour)


def test_bytes_that_are_no_bundle_are_refused():
    with pytest.raises(CatalogInvalid):
        bundle_from_json(b'{"format":1}')


def test_a_bundle_cannot_be_changed(harbour):
    with pytest.raises(TypeError, match="immutable"):
        harbour.messages["en-GB"] = ""
    with pytest.raises(ValueError, match="frozen"):
        harbour.bank.name = "Other"
