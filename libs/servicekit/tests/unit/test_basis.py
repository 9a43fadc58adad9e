"""The one verifier of consent bases: what it lets through, and every reason for which it does not."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from servicekit.basis import CONTEXT, SignedBasis, Verifier, canonical, public_keys, sign, verify
from servicekit.errors import Forbidden, Invalid
from servicekit.vkeys import verifier_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VKEY = verifier_key("harbour/statements", KEY.public_key())
KEYS = public_keys([VKEY])
AT = 1_700_000_000_000_000
NOT_AFTER = AT + 10_000_000
BODY = {
    "v": 1,
    "ledger": "harbour",
    "epoch": 3,
    "index": 41,
    "subject": "s1",
    "members": ["s1", "s0"],
    "channel": "mobile",
    "recipient": "self",
    "regimes": ["gdpr"],
    "registry": "d" * 64,
    "at": AT,
    "not_after": NOT_AFTER,
    "kid": VKEY.key_id,
    "allowed": [
        {"purpose": "offers", "categories": ["behaviour", "holding"], "basis": "CONSENT", "support": 7},
        {"purpose": "service", "categories": ["identity"], "basis": "CONTRACT", "support": 0},
    ],
    "denied": [{"purpose": "offers.credit", "category": "*", "reason": "WITHDRAWN"}],
}
SIGNED = sign(BODY, KEY, VKEY.key_id)
RIGHT = {"now_us": AT + 1, "ledger": "harbour", "subject": "s1", "channel": "mobile", "purposes": ("offers",)}


def reason(signed: SignedBasis | None = SIGNED, **changed) -> str:
    with pytest.raises(Forbidden) as caught:
        verify(signed, KEYS, **{**RIGHT, **changed})
    return caught.value.code


def signed_body(**changed) -> SignedBasis:
    return sign({**BODY, **changed}, KEY, VKEY.key_id)


def test_a_right_basis_gives_its_pairs():
    basis = verify(SIGNED, KEYS, **RIGHT)

    assert basis.pairs == {("offers", "behaviour"), ("offers", "holding"), ("service", "identity")}
    assert (basis.epoch, basis.index, basis.members) == (3, 41, {"s0", "s1"})
    assert (basis.recipient, basis.regimes) == ("self", ("gdpr",))


def test_what_is_not_listed_is_not_allowed():
    basis = verify(SIGNED, KEYS, **RIGHT)

    assert basis.allows("offers", "holding")
    assert not basis.allows("offers", "identity")
    assert not basis.allows("offers.credit", "holding")


def test_an_absorbed_subject_is_covered():
    assert verify(SIGNED, KEYS, **{**RIGHT, "subject": "s0"}).subject == "s1"


@pytest.mark.parametrize(
    "missing", [None, SignedBasis(b"", VKEY.key_id, SIGNED.signature), SignedBasis(SIGNED.body, VKEY.key_id, b"")]
)
def test_nothing_is_missing(missing):
    assert reason(missing) == "BASIS_MISSING"


def test_an_unknown_key_is_refused():
    assert reason(SignedBasis(SIGNED.body, "harbour/statements+00000000", SIGNED.signature)) == "BASIS_SIGNATURE"


def test_a_signature_for_another_purpose_is_refused():
    signature = KEY.sign(b"assent/receipt/v1\x00" + SIGNED.body)

    assert reason(SignedBasis(SIGNED.body, VKEY.key_id, signature)) == "BASIS_SIGNATURE"


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"not JSON", b"\xff", canonical({**BODY, "v": 2}), canonical({**BODY, "kid": "x"})]
)
def test_a_signed_body_that_is_not_a_basis_is_refused(body):
    assert reason(SignedBasis(body, VKEY.key_id, KEY.sign(CONTEXT + body))) == "BASIS_SIGNATURE"


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("BASIS_LEDGER", {"ledger": "north"}),
        ("BASIS_EPOCH", {"min_epoch": 4}),
        ("BASIS_EXPIRED", {"now_us": NOT_AFTER}),
        ("BASIS_FUTURE", {"now_us": AT - 2_000_001}),
        ("BASIS_SUBJECT", {"subject": "s2"}),
        ("BASIS_CHANNEL", {"channel": "web"}),
        ("BASIS_SCOPE", {"purposes": ("offers", "offers.credit")}),
    ],
)
def test_every_reason_is_given(code, changed):
    assert reason(**changed) == code


def test_a_basis_for_somebody_else_does_not_serve_the_bank():
    assert reason(signed_body(recipient="partner")) == "BASIS_SCOPE"


def test_a_basis_that_was_recomputed_is_unsigned_and_does_not_serve():
    assert reason(SignedBasis(SIGNED.body, VKEY.key_id, b"")) == "BASIS_MISSING"


@pytest.mark.parametrize("field", sorted(set(BODY) - {"denied", "recipient", "regimes"}))
def test_a_signed_body_without_one_of_its_fields_is_refused(field):
    body = canonical({name: value for name, value in BODY.items() if name != field})

    assert reason(SignedBasis(body, VKEY.key_id, KEY.sign(CONTEXT + body))) == "BASIS_SIGNATURE"


def test_the_first_reason_in_the_order_of_the_design_is_given():
    late = {"now_us": NOT_AFTER, "subject": "s2", "channel": "web", "purposes": ("offers.credit",)}

    assert reason(**late, ledger="north", min_epoch=4) == "BASIS_LEDGER"
    assert reason(**late, min_epoch=4) == "BASIS_EPOCH"
    assert reason(**late) == "BASIS_EXPIRED"
    assert reason(**{**late, "now_us": AT}) == "BASIS_SUBJECT"
    assert reason(**{**late, "now_us": AT, "subject": "s0"}) == "BASIS_CHANNEL"


def test_the_edges_of_its_time_are_exact():
    assert verify(SIGNED, KEYS, **{**RIGHT, "now_us": NOT_AFTER - 1})
    assert verify(SIGNED, KEYS, **{**RIGHT, "now_us": AT - 2_000_000})


@given(bit=st.integers(0, 8 * len(SIGNED.body) - 1))
def test_any_flipped_bit_of_the_body_is_refused(bit):
    body = bytearray(SIGNED.body)
    body[bit // 8] ^= 1 << bit % 8

    assert reason(SignedBasis(bytes(body), VKEY.key_id, SIGNED.signature)) == "BASIS_SIGNATURE"


@given(bit=st.integers(0, 511))
def test_any_flipped_bit_of_the_signature_is_refused(bit):
    signature = bytearray(SIGNED.signature)
    signature[bit // 8] ^= 1 << bit % 8

    assert reason(SignedBasis(SIGNED.body, VKEY.key_id, bytes(signature))) == "BASIS_SIGNATURE"


@given(cut=st.integers(0, 63))
def test_a_cut_signature_is_refused(cut):
    assert reason(SignedBasis(SIGNED.body, VKEY.key_id, SIGNED.signature[:cut])) in {"BASIS_SIGNATURE", "BASIS_MISSING"}


class TestVerifier:
    def right(self) -> dict:
        return {name: value for name, value in RIGHT.items() if name != "ledger"}

    def test_what_it_remembers_is_still_looked_at(self):
        verifier = Verifier(KEYS, ledger="harbour")
        verifier.verify(SIGNED, **self.right())

        with pytest.raises(Forbidden) as caught:
            verifier.verify(SIGNED, **{**self.right(), "now_us": NOT_AFTER})

        assert caught.value.code == "BASIS_EXPIRED"

    def test_it_refuses_an_epoch_below_the_highest_it_has_seen(self):
        verifier = Verifier(KEYS, ledger="harbour")
        verifier.verify(signed_body(epoch=4), **self.right())

        with pytest.raises(Forbidden) as caught:
            verifier.verify(SIGNED, **self.right())

        assert caught.value.code == "BASIS_EPOCH"

    def test_a_basis_of_another_ledger_does_not_raise_the_epoch(self):
        verifier = Verifier(KEYS, ledger="harbour")
        with pytest.raises(Forbidden):
            verifier.verify(signed_body(epoch=9, ledger="north"), **self.right())

        assert verifier.verify(SIGNED, **self.right()).epoch == 3

    def test_it_does_not_remember_a_forgery_as_the_original(self):
        verifier = Verifier(KEYS, ledger="harbour")
        verifier.verify(SIGNED, **self.right())

        with pytest.raises(Forbidden):
            verifier.verify(SignedBasis(SIGNED.body, VKEY.key_id, bytes(64)), **self.right())

    def test_it_remembers_no_more_than_told(self):
        verifier = Verifier(KEYS, ledger="harbour", remember=2)
        for index in range(5):
            verifier.verify(signed_body(index=index), **self.right())

        assert len(verifier._known) == 2


def test_a_basis_names_the_key_that_signs_it():
    with pytest.raises(Invalid):
        sign(BODY, KEY, "another+00000000")


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_characters="\x00")), st.integers(-(2**53) + 1, 2**53 - 1)
    )
)
def test_canonical_bytes_do_not_depend_on_order_and_read_back(body):
    turned = dict(reversed(body.items()))

    assert canonical(body) == canonical(turned)
    assert json.loads(canonical(body)) == body


@pytest.mark.parametrize(
    "bad", [None, 1.5, 2**53, -(2**53), "\x00", "\ud800", {"ä": 1}, {1: 2}, [None], {"a": {"b": 1.0}}, b"x"]
)
def test_what_has_more_than_one_encoding_is_refused(bad):
    with pytest.raises(Invalid):
        canonical(bad)


def test_canonical_text_is_as_rfc_8785_has_it():
    assert canonical({"b": 'q"\\\n\t\x07/é€😀', "a": [True, False, 0, {}]}) == (
        '{"a":[true,false,0,{}],"b":"q\\"\\\\\\n\\t\\u0007/é€😀"}'.encode()
    )


def test_a_purpose_that_rests_on_two_grants_allows_the_categories_of_both():
    first = {"purpose": "offers", "categories": ["behaviour"], "basis": "CONSENT", "support": 7}
    second = {"purpose": "offers", "categories": ["holding"], "basis": "CONSENT", "support": 9}

    basis = verify(signed_body(allowed=[first, second]), KEYS, **RIGHT)

    assert basis.pairs == {("offers", "behaviour"), ("offers", "holding")}


def test_a_basis_is_judged_as_of_another_time_whatever_was_seen_since():
    verifier = Verifier(KEYS, ledger="harbour")
    then = {name: value for name, value in RIGHT.items() if name != "ledger"}
    verifier.verify(signed_body(epoch=9), **then)

    assert verifier.verify_then(SIGNED, **then).subject == "s1"
    with pytest.raises(Forbidden) as refused:
        verifier.verify_then(SIGNED, **{**then, "channel": "branch"})
    assert refused.value.code == "BASIS_CHANNEL"


def test_a_recorded_basis_is_read_long_after_its_end_and_only_with_its_signature():
    verifier = Verifier(KEYS, ledger="harbour")

    assert verifier.recorded(SIGNED).subject == "s1"
    with pytest.raises(Forbidden):
        verifier.recorded(SignedBasis(SIGNED.body + b" ", SIGNED.key_id, SIGNED.signature))
