"""Commitments and seals: what they are computed from, and that nothing else opens them."""

from __future__ import annotations

import hmac
import os
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from hypothesis import given
from hypothesis import strategies as st

from consent_service.domain import commitments as c
from consent_service.domain.leaf import ZERO, LeafClass, parse
from servicekit.errors import Invalid

K, E, LEDGER = bytes(range(32)), bytes(range(16)), b"L" * 16
STAMP = c.Stamp(LEDGER, 3, 1_790_000_000_000_000)
keys = st.binary(min_size=32, max_size=32)
event_ids = st.binary(min_size=16, max_size=16)


@given(keys, event_ids, st.sampled_from([c.SALT_PUB, c.SALT_PRIV, c.TAG, c.ENC]))
def test_a_sub_key_is_one_block_of_hkdf_expand(key, event_id, label):
    expected = HKDFExpand(SHA256(), 32, label + b"\x00" + event_id).derive(key)

    assert c.SubjectKey(key).sub(label, event_id) == expected
    assert c.SubjectKey(key).chain == hmac.digest(key, b"chain", "sha256")


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_has_32_bytes(length):
    with pytest.raises(Invalid):
        c.SubjectKey(bytes(length))


def test_a_subjects_leaf_holds_what_the_page_says():
    key = c.SubjectKey(K)
    leaf = parse(c.subject_leaf(key, STAMP, E, pub=b"{}", priv=b'{"a":1}', previous=b"p" * 32))

    assert (leaf.of, leaf.ledger, leaf.epoch, leaf.recorded_us) == (1, *STAMP)
    assert leaf.c_pub == sha256(b"assent/pub/v1\x00" + key.sub(b"salt-pub", E) + b"{}").digest()
    assert leaf.c_priv == sha256(b"assent/priv/v1\x00" + key.sub(b"salt-priv", E) + b'{"a":1}').digest()
    assert leaf.subject_tag == key.sub(b"tag", E)
    assert leaf.prev_commit == sha256(b"assent/chain/v1\x00" + key.chain + b"p" * 32).digest()


def test_a_first_entry_follows_32_zero_bytes():
    key = c.SubjectKey(K)
    leaf = parse(c.subject_leaf(key, STAMP, E, pub=b"{}", priv=b"{}"))

    assert leaf.prev_commit == sha256(b"assent/chain/v1\x00" + key.chain + bytes(32)).digest()


@pytest.mark.parametrize("of", [LeafClass.REGISTRY, LeafClass.LEDGER])
def test_an_open_leaf_commits_without_a_salt(of):
    leaf = parse(c.open_leaf(of, STAMP, b'{"kind":"X"}'))

    assert leaf.c_pub == sha256(b'assent/open/v1\x00{"kind":"X"}').digest()
    assert (leaf.of, leaf.c_priv, leaf.subject_tag, leaf.prev_commit) == (of, ZERO, ZERO, ZERO)


def test_an_erasure_carries_the_tag_and_closes_the_chain():
    key = c.SubjectKey(K)
    leaf = parse(c.erasure_leaf(key, STAMP, E, body=b"{}", previous=b"p" * 32))

    assert (leaf.of, leaf.c_priv) == (LeafClass.ERASURE, ZERO)
    assert leaf.c_pub == c.open_commitment(b"{}")
    assert (leaf.subject_tag, leaf.prev_commit) == (key.sub(b"tag", E), c.link_to(key.chain, b"p" * 32))


@given(st.lists(st.tuples(keys, event_ids), min_size=2, max_size=20, unique=True), st.binary(max_size=50))
def test_equal_bodies_give_unlike_leaves_and_nothing_repeats(pairs, body):
    leaves = [parse(c.subject_leaf(c.SubjectKey(key), STAMP, e, pub=body, priv=body)) for key, e in pairs]

    shown = [value for leaf in leaves for value in (leaf.c_pub, leaf.c_priv, leaf.subject_tag)]
    assert len(set(shown)) == len(shown)


def test_an_erased_subjects_entries_look_uniform_and_share_nothing():
    """A chi-square over the bytes of commitments and tags of one subject: 255 degrees of freedom, six deviations wide."""
    key, previous, shown = c.SubjectKey(os.urandom(32)), c.FIRST, []
    for _ in range(2_000):
        data = c.subject_leaf(
            key, STAMP, os.urandom(16), pub=b'{"kind":"GRANT"}', priv=b'{"subject":"x"}', previous=previous
        )
        previous = sha256(b"\x00" + data).digest()
        shown += parse(data)[4:]
    counts = [0] * 256
    for byte in b"".join(shown):
        counts[byte] += 1
    expected = sum(counts) / 256

    assert len(set(shown)) == len(shown)
    assert abs(sum((count - expected) ** 2 / expected for count in counts) - 255) < 6 * (2 * 255) ** 0.5


@given(keys, keys, event_ids, event_ids, st.binary(max_size=40), st.binary(max_size=40))
def test_no_commitment_opens_to_two_bodies(one_key, other_key, one_id, other_id, one, other):
    """Also across labels and classes: the prefixes part them, and a salt's length is fixed."""
    first, second = c.SubjectKey(one_key), c.SubjectKey(other_key)
    salts = (first.sub(c.SALT_PUB, one_id), second.sub(c.SALT_PUB, other_id))
    openings = {("pub", salts[0], one), ("pub", salts[1], other), ("priv", salts[0], one), ("open", b"", one)}
    openings |= {("open", b"", salts[0] + one)}
    commit = {"pub": c.public_commitment, "priv": c.private_commitment, "open": lambda _, body: c.open_commitment(body)}

    assert len({commit[form](salt, body) for form, salt, body in openings}) == len(openings)


@given(keys, event_ids, st.binary(max_size=200))
def test_a_sealed_body_opens_with_its_key_in_its_place(key, event_id, body):
    sealed = c.seal(c.SubjectKey(key), LEDGER, event_id, body, os.urandom)

    assert c.unseal(c.SubjectKey(key), LEDGER, event_id, sealed) == body
    assert len(sealed.ciphertext) == len(body) + 16


def test_a_sealed_body_opens_nowhere_else():
    key = c.SubjectKey(K)
    sealed = c.seal(key, LEDGER, E, b"secret", os.urandom)
    broken = sealed._replace(ciphertext=bytes([sealed.ciphertext[0] ^ 1]) + sealed.ciphertext[1:])
    tries = [
        (c.SubjectKey(bytes(32)), LEDGER, E, sealed),
        (key, b"M" * 16, E, sealed),
        (key, LEDGER, bytes(16), sealed),
        (key, LEDGER, E, broken),
        (key, LEDGER, E, sealed._replace(ciphertext=b"")),
        (key, LEDGER, E, sealed._replace(nonce=b"")),
    ]
    for given_key, ledger, event_id, given_seal in tries:
        with pytest.raises(Invalid):
            c.unseal(given_key, ledger, event_id, given_seal)


def test_equal_plaintexts_give_unequal_bytes():
    key = c.SubjectKey(K)

    assert len({c.seal(key, LEDGER, os.urandom(16), b"same", os.urandom).ciphertext for _ in range(50)}) == 50


def test_a_key_shows_nothing_of_itself():
    assert K.hex() not in repr(c.SubjectKey(K))
    assert str(K) not in repr(c.SubjectKey(K))
