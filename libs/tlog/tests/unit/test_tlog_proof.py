"""A proof that stands alone: one encoding, one verdict, and a quorum of witnesses who are not each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tlog_building import LEAVES, LOG, LOG_KEY, ORIGIN, Witness, checkpoint, path, refused

from tlog import (
    Ed25519Signer,
    ProofError,
    Verifier,
    VerifierKey,
    encode_checkpoint,
    encode_proof,
    parse_proof,
    sign_checkpoint,
    sign_note,
    verify_proof,
)

INDEX, SIZE = 4, 11
STATED = encode_checkpoint(checkpoint(SIZE))
NOTE = sign_checkpoint(checkpoint(SIZE), [LOG])
TEXT = encode_proof(INDEX, path(INDEX, LEAVES[:SIZE]), NOTE)
WITNESSES = [Witness(f"witness{at}.example", at) for at in range(1, 4)]


def verify(text=TEXT, leaf=LEAVES[INDEX], log_keys=LOG_KEY, origin=ORIGIN, witnesses=(), quorum=0):
    return verify_proof(text, leaf, log_keys, origin, [witness.verifier for witness in witnesses], quorum)


@given(size=st.integers(1, 60), data=st.data(), extra=st.none() | st.binary(max_size=40))
def test_a_proof_is_read_as_it_was_written_and_verifies(size, data, extra):
    index = data.draw(st.integers(0, size - 1))
    proof, note = path(index, LEAVES[:size]), sign_checkpoint(checkpoint(size), [LOG])
    text = encode_proof(index, proof, note, extra)
    found = parse_proof(text)

    assert (found.index, list(found.proof), found.note, found.extra) == (index, proof, note, extra)
    assert verify(text, LEAVES[index]) == checkpoint(size)


def test_the_text_is_that_of_the_specification():
    lines = encode_proof(0, [bytes(32)], NOTE, b"\0").split("\n")

    assert lines[:4] == ["c2sp.org/tlog-proof@v1", "extra AA==", "index 0", "A" * 43 + "="]
    assert "\n".join(lines[4:]) == "\n" + NOTE.decode()


@given(data=st.data())
def test_every_flipped_bit_truncation_and_extension_fails(data):
    raw = TEXT.encode()
    at = data.draw(st.integers(0, 8 * len(raw) - 1))
    flipped = bytearray(raw)
    flipped[at // 8] ^= 1 << at % 8
    for altered in (bytes(flipped), raw[: at // 8], raw + b"\n", b"\n" + raw):
        with pytest.raises(ProofError):
            verify(altered.decode(errors="surrogateescape"))


@given(data=st.data())
def test_other_leaves_indices_and_swapped_lines_fail(data):
    other = data.draw(st.integers(0, SIZE - 1).filter(lambda index: index != INDEX))
    proof = path(INDEX, LEAVES[:SIZE])
    at = data.draw(st.integers(0, len(proof) - 2))
    swapped = [*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]]

    with pytest.raises(ProofError):
        verify(leaf=LEAVES[other])
    with pytest.raises(ProofError):
        verify(encode_proof(other, proof, NOTE))
    with refused("ROOT_MISMATCH"):
        verify(encode_proof(INDEX, swapped, NOTE))
    with refused("BAD_PROOF_LENGTH"):
        verify(encode_proof(INDEX, proof[:-1], NOTE))
    with refused("BAD_INDEX"):
        verify(encode_proof(SIZE, proof, NOTE))


@given(text=st.text() | st.text().map(lambda tail: "c2sp.org/tlog-proof@v1\n" + tail))
def test_whatever_text_comes_the_answer_is_ours(text):
    with pytest.raises(ProofError):
        verify(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("index 4\n", ""),
        TEXT.replace("index 4", "index 04"),
        TEXT.replace("index 4", "index -4"),
        TEXT.replace("index 4", "index  4"),
        TEXT.replace("index 4", "index 4 "),
        TEXT.replace("index 4", f"index {1 << 64}"),
        TEXT.replace("index 4", "index 4\nindex 4"),
        TEXT.replace("index 4", "index 4\nextra AA=="),
        TEXT.replace("index 4", "extra AA==\nextra AA==\nindex 4"),
        TEXT.replace("index 4", "extra AA\nindex 4"),
        TEXT.replace("index 4", "extra AB==\nindex 4"),
        TEXT.replace("index 4", "extra\nindex 4"),
        TEXT.replace("index 4", "index 4\nAAAA"),
        TEXT.replace("\n", "\r\n"),
        TEXT.split("\n\n", maxsplit=1)[0],
        TEXT.replace("index 4", "index 4\n" + "\n".join(["A" * 43 + "="] * 64)),
        "\ud800" + TEXT,
        None,
        TEXT.encode(),
    ],
)
def test_what_is_malformed_is_no_bundle(text):
    with refused("BAD_BUNDLE"):
        verify(text)


def test_extra_data_is_not_vouched_for():
    text = encode_proof(INDEX, path(INDEX, LEAVES[:SIZE]), NOTE, b"claim")

    assert verify(text) == verify(text.replace("Y2xhaW0=", "b3RoZXI="))


def test_the_log_itself_must_have_signed():
    other = Ed25519Signer("other.example", bytes([8]) * 32)
    text = encode_proof(INDEX, path(INDEX, LEAVES[:SIZE]), sign_note(STATED, [other]) + WITNESSES[0].line(STATED))

    with refused("NO_KNOWN_SIGNATURE"):
        verify(text, witnesses=WITNESSES, quorum=1)
    with refused("NO_KNOWN_SIGNATURE"):
        verify(log_keys=[])
    with refused("NO_KNOWN_SIGNATURE"):
        verify(log_keys=Verifier(other.vkey))


def test_either_key_of_a_rotation_will_do():
    new = Verifier(Ed25519Signer(ORIGIN, bytes([8]) * 32).vkey)

    assert verify(log_keys=[new, LOG_KEY]) == checkpoint(SIZE)


def test_another_origin_or_text_is_refused():
    with refused("WRONG_ORIGIN"):
        verify(origin="bank.example/consent/other")
    with refused("BAD_CHECKPOINT"):
        verify(encode_proof(INDEX, [], sign_note("no checkpoint\n", [LOG])))


# Witnesses


def cosigned(*witnesses: Witness) -> str:
    note = NOTE + b"".join(witness.line(STATED) for witness in witnesses)
    return encode_proof(INDEX, path(INDEX, LEAVES[:SIZE]), note)


@pytest.mark.parametrize("quorum", range(5))
@pytest.mark.parametrize("count", range(4))
def test_as_many_witnesses_as_asked_for_must_have_cosigned(count, quorum):
    text = cosigned(*WITNESSES[:count])
    if count >= quorum:
        assert verify(text, witnesses=WITNESSES, quorum=quorum) == checkpoint(SIZE)
    else:
        with refused("QUORUM"):
            verify(text, witnesses=WITNESSES, quorum=quorum)


def test_a_witness_counts_once_and_the_log_not_at_all():
    with refused("QUORUM"):
        verify(cosigned(WITNESSES[0], WITNESSES[0]), witnesses=WITNESSES, quorum=2)
    with refused("QUORUM"):
        verify(cosigned(), witnesses=WITNESSES, quorum=1)


def test_a_false_cosignature_is_refused_even_when_not_needed():
    text = cosigned(*WITNESSES[:2])
    false = encode_proof(INDEX, path(INDEX, LEAVES[:SIZE]), parse_proof(text).note + WITNESSES[2].line("other\n"))

    assert verify(false, witnesses=WITNESSES[:2], quorum=2)
    with refused("BAD_SIGNATURE"):
        verify(false, witnesses=WITNESSES, quorum=2)


def test_one_key_under_two_names_is_not_two_witnesses():
    twin = Witness("twin.example", 1)
    self_made = Verifier(VerifierKey("self.example", 0x04, LOG.vkey.key))

    with refused("BAD_KEY"):
        verify(cosigned(WITNESSES[0], twin), witnesses=[WITNESSES[0], twin], quorum=2)
    with refused("BAD_KEY"):
        verify_proof(TEXT, LEAVES[INDEX], LOG_KEY, ORIGIN, [self_made], 1)
    with refused("BAD_KEY"):
        verify_proof(TEXT, LEAVES[INDEX], LOG_KEY, ORIGIN, [Verifier(WITNESSES[0].key.vkey)], 1)


def test_a_witness_of_a_later_type_does_not_count_yet():
    later = Verifier(VerifierKey("later.example", 0x06, bytes(1312)))

    assert verify_proof(TEXT, LEAVES[INDEX], LOG_KEY, ORIGIN, [later], 0) == checkpoint(SIZE)
    with refused("QUORUM"):
        verify_proof(TEXT, LEAVES[INDEX], LOG_KEY, ORIGIN, [later], 1)


@pytest.mark.parametrize("quorum", [True, -1, 1.0, None, 1 << 64])
def test_a_quorum_is_a_number(quorum):
    with refused("BAD_INPUT"):
        verify(quorum=quorum)


def test_what_could_not_be_read_back_is_not_written():
    with refused("BAD_INDEX"):
        encode_proof(1.0, [], NOTE)
    with refused("BAD_INPUT"):
        encode_proof(0, [b"short"], NOTE)
    with refused("BAD_PROOF_LENGTH"):
        encode_proof(0, [bytes(32)] * 65, NOTE)
    with refused("BAD_NOTE"):
        encode_proof(0, [], b"no note")
    with refused("BAD_BUNDLE"):
        encode_proof(0, [], NOTE, "text")
