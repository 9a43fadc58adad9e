"""Keys, notes and checkpoints: one encoding each, and a signature of a known key is right or the note is refused."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from tlog_building import LOG, LOG_KEY, ORIGIN, Witness, checkpoint, refused

from tlog import (
    COSIGNATURE,
    ED25519,
    Checkpoint,
    Ed25519Signer,
    ProofError,
    Verifier,
    VerifierKey,
    encode_checkpoint,
    format_vkey,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    sign_checkpoint,
    sign_note,
    verify_checkpoint,
    verify_note,
)

TEXT = "first\n\nsecond\n"
NOTE = sign_note(TEXT, [LOG])
WITNESS = Witness("witness.example/w1", 1)
STRANGER = Ed25519Signer("stranger.example", bytes([9]) * 32)
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="+"), min_size=1)
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.just("\n")).map(lambda text: f"{text}\n")


# Keys


@given(
    name=NAMES,
    kind=st.integers(0, 255),
    key=st.binary(min_size=1, max_size=99),
    raw=st.binary(min_size=32, max_size=32),
)
def test_a_key_of_any_type_is_read_as_it_was_written(name, kind, key, raw):
    vkey = VerifierKey(name, kind, raw if kind in {ED25519, COSIGNATURE} else key)

    assert parse_vkey(format_vkey(vkey)) == vkey


def test_the_type_is_part_of_the_key_id():
    raw = LOG.vkey.key

    assert len({VerifierKey(ORIGIN, kind, raw).key_id for kind in range(256)}) == 256


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+00000000",
        format_vkey(LOG.vkey).replace(ORIGIN, ORIGIN + "x"),
        format_vkey(LOG.vkey).replace(ORIGIN, ""),
        format_vkey(LOG.vkey) + "=",
        format_vkey(LOG.vkey) + "\n",
        " " + format_vkey(LOG.vkey),
        format_vkey(LOG.vkey).upper(),
        "a b+" + VerifierKey("ab", 1, bytes(32)).key_id.hex() + "+" + b64encode(b"\1" + bytes(32)).decode(),
        "\ud800+00000000+AQ==",
        "name+00000000+",
        None,
        b"name+00000000+AQ==",
    ],
)
def test_a_key_that_is_not_itself_is_refused(text):
    with refused("BAD_KEY"):
        parse_vkey(text)


@pytest.mark.parametrize(
    ("name", "kind", "key"),
    [
        ("", 1, bytes(32)),
        ("a b", 1, bytes(32)),
        ("a\u2003b", 1, bytes(32)),
        ("a+b", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("\ud800", 1, bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 4, bytes(33)),
        ("a", 6, b""),
        ("a", True, bytes(32)),
        ("a", 256, bytes(32)),
        ("a", 1, "x" * 32),
    ],
)
def test_what_would_not_be_read_back_is_no_key(name, kind, key):
    with refused("BAD_KEY"):
        VerifierKey(name, kind, key)


def test_a_signer_takes_a_key_or_its_seed_and_shows_neither():
    seed = bytes([7]) * 32

    assert Ed25519Signer("a", seed).vkey == Ed25519Signer("a", Ed25519PrivateKey.from_private_bytes(seed)).vkey
    assert seed.hex() not in repr(Ed25519Signer("a", seed))
    with refused("BAD_KEY"):
        Ed25519Signer("a", bytes(31))


# Notes


@given(text=TEXTS, names=st.lists(NAMES, min_size=1, max_size=4, unique=True))
def test_a_note_is_read_as_it_was_signed(text, names):
    signers = [Ed25519Signer(name, bytes([at]) * 32) for at, name in enumerate(names)]
    note = sign_note(text, signers)

    assert parse_note(note).text == text
    assert verify_note(note, [Verifier(signer.vkey) for signer in reversed(signers)]) == (text, tuple(names))


@given(at=st.integers(0, 8 * len(NOTE) - 1))
def test_every_flipped_bit_fails(at):
    altered = bytearray(NOTE)
    altered[at // 8] ^= 1 << at % 8

    with pytest.raises(ProofError):
        verify_note(bytes(altered), [LOG_KEY])


@given(cut=st.integers(0, len(NOTE) - 1), tail=st.binary(min_size=1, max_size=9))
def test_every_truncation_and_extension_fails(cut, tail):
    with pytest.raises(ProofError):
        verify_note(NOTE[:cut], [LOG_KEY])
    with pytest.raises(ProofError):
        verify_note(NOTE + tail, [LOG_KEY])


@given(data=st.binary(max_size=200))
def test_whatever_bytes_come_the_answer_is_ours(data):
    for given_bytes in (data, TEXT.encode() + b"\n" + data, NOTE + data):
        with pytest.raises(ProofError):
            verify_note(given_bytes, [STRANGER_KEY])


STRANGER_KEY = Verifier(STRANGER.vkey)


def line(name: str, key_id: bytes, signature: bytes) -> bytes:
    return f"\u2014 {name} {b64encode(key_id + signature).decode()}\n".encode()


def test_a_wrong_signature_of_a_known_key_fails_beside_a_good_one():
    for wrong in (bytes(64), bytes(63), bytes(65), LOG.sign(b"other")):
        with refused("BAD_SIGNATURE"):
            verify_note(NOTE + line(ORIGIN, LOG.key_id, wrong), [LOG_KEY])


def test_a_repeated_line_counts_once():
    repeated = NOTE + NOTE[NOTE.rindex(b"\xe2\x80\x94") :]

    assert verify_note(repeated, [LOG_KEY]).names == (ORIGIN,)


def test_lines_of_unknown_keys_are_ignored():
    noise = (
        line("stranger.example", bytes(4), b"?") + line(ORIGIN, bytes(4), bytes(64)) + line("x", LOG.key_id, bytes(64))
    )

    assert verify_note(NOTE + noise, [LOG_KEY]).names == (ORIGIN,)
    with refused("NO_KNOWN_SIGNATURE"):
        verify_note(NOTE, [STRANGER_KEY])
    with refused("NO_KNOWN_SIGNATURE"):
        verify_note(NOTE, [])


def test_a_key_of_a_type_we_do_not_know_verifies_nothing():
    later = Verifier(VerifierKey(ORIGIN, 0x06, bytes(1312)))
    note = NOTE + line(ORIGIN, later.key_id, bytes(2420))

    assert verify_note(note, [LOG_KEY, later]).names == (ORIGIN,)
    with refused("NO_KNOWN_SIGNATURE"):
        verify_note(note, [later])


def test_two_known_keys_of_one_name_and_id_are_refused():
    with refused("BAD_KEY"):
        verify_note(NOTE, [LOG_KEY, STRANGER_KEY, Verifier(LOG.vkey)])
    with refused("BAD_KEY"):
        sign_note(TEXT, [LOG, LOG])


def test_two_keys_of_one_name_both_count_while_they_are_rotated():
    new = Ed25519Signer(ORIGIN, bytes([5]) * 32)

    assert verify_note(sign_note(TEXT, [new, LOG]), [LOG_KEY, Verifier(new.vkey)]).names == (ORIGIN, ORIGIN)


@pytest.mark.parametrize("count", [16, 100])
def test_many_signatures_are_read(count):
    signers = [Ed25519Signer(f"signer{at}", bytes([at]) * 32) for at in range(count)]

    assert len(verify_note(sign_note(TEXT, signers), [Verifier(signer.vkey) for signer in signers]).names) == count


def test_more_than_a_hundred_signatures_are_too_many():
    with refused("BAD_NOTE"):
        parse_note(NOTE + line("x", bytes(4), b"?") * 100)
    with refused("BAD_NOTE"):
        sign_note(TEXT, [Ed25519Signer(f"signer{at}", bytes([at]) * 32) for at in range(101)])


def test_a_note_of_one_mebibyte_is_the_largest():
    room = (1 << 20) - len(sign_note("\n", [LOG]))

    assert len(sign_note("x" * room + "\n", [LOG])) == 1 << 20
    with refused("BAD_NOTE"):
        sign_note("x" * (room + 1) + "\n", [LOG])


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        TEXT.encode(),
        NOTE[:-1],
        b"\xff" + NOTE,
        b"\xed\xa0\x80" + NOTE,
        NOTE.replace(b"second", b"sec\tond"),
        NOTE.replace(b"second", b"second\r"),
        NOTE.replace(b"second", b"\0"),
        NOTE.replace(b"\xe2\x80\x94 ", b"- "),
        NOTE.replace(b"\xe2\x80\x94 ", b"\xe2\x80\x94"),
        NOTE.replace(b"\xe2\x80\x94 bank", b"\xe2\x80\x94  bank"),
        NOTE.replace(b"/main ", b"/ma+in "),
        NOTE.replace(b"/main ", b"/main\xc2\xa0x "),
        NOTE.replace(b"=\n", b"\n"),
        NOTE.replace(b"=\n", b"=\n\n"),
        NOTE + b"\n",
        NOTE + b"line\n",
        TEXT.encode() + b"\n" + line(ORIGIN, LOG.key_id, b""),
        NOTE.decode(),
        None,
        bytearray(NOTE),
    ],
)
def test_what_is_malformed_is_no_note(note):
    with refused("BAD_NOTE"):
        verify_note(note, [LOG_KEY])


def test_base64_with_stray_bits_is_another_note():
    whole = NOTE.decode().removesuffix("=\n")

    # One byte is missing in the last group, so the last letter has two bits that say nothing.
    with refused("BAD_NOTE"):
        parse_note(f"{whole[:-1]}{chr(ord(whole[-1]) + 1)}=\n".encode())


@pytest.mark.parametrize("text", ["", "no newline", "tab\there\n", "\ud800\n", None, b"bytes\n"])
def test_what_is_no_text_is_not_signed(text):
    with refused("BAD_NOTE"):
        sign_note(text, [LOG])
    with refused("BAD_NOTE"):
        sign_note("nobody signs\n", [])


# Checkpoints

ORIGINS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
CHECKPOINTS = st.builds(
    Checkpoint, origin=ORIGINS, size=st.integers(0, (1 << 64) - 1), root=st.binary(min_size=32, max_size=32)
)


@given(given_checkpoint=CHECKPOINTS)
def test_a_checkpoint_is_read_as_it_was_written(given_checkpoint):
    note = sign_checkpoint(given_checkpoint, [LOG])

    assert parse_checkpoint(encode_checkpoint(given_checkpoint)) == given_checkpoint
    assert verify_checkpoint(note, [LOG_KEY], given_checkpoint.origin) == given_checkpoint


@given(text=TEXTS | st.text())
def test_a_checkpoint_has_one_encoding(text):
    with suppress(ProofError):
        assert text.startswith(encode_checkpoint(parse_checkpoint(text)))


GOOD = encode_checkpoint(checkpoint(7))


def test_extension_lines_are_read_past_and_signed():
    note = sign_note(GOOD + "extension\n", [LOG])

    assert verify_checkpoint(note, [LOG_KEY], ORIGIN) == checkpoint(7)
    with refused("BAD_SIGNATURE"):
        verify_checkpoint(note.replace(b"extension", b"Extension"), [LOG_KEY], ORIGIN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "\n",
        GOOD + "\nextension\n",
        "\n" + GOOD,
        GOOD.replace(ORIGIN, ""),
        GOOD.replace("\n7\n", "\n07\n"),
        GOOD.replace("\n7\n", "\n+7\n"),
        GOOD.replace("\n7\n", "\n-7\n"),
        GOOD.replace("\n7\n", "\n\u0667\n"),
        GOOD.replace("\n7\n", "\n7 \n"),
        GOOD.replace("\n7\n", "\n\n"),
        GOOD.replace("\n7\n", f"\n{1 << 64}\n"),
        GOOD.replace("\n7\n", f"\n{'9' * 5000}\n"),
        GOOD.replace("=\n", "\n"),
        GOOD.replace("=\n", "==\n"),
        GOOD.split("\n", 2)[0] + "\n7\nAAAA\n",
        GOOD.replace("bank", "ba\0nk"),
        GOOD.replace("\n", "\r\n"),
        "\ud800\n7\n" + GOOD.split("\n")[2] + "\n",
    ],
)
def test_what_is_malformed_is_no_checkpoint(text):
    with refused("BAD_CHECKPOINT"):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 1, bytes(32)),
        ("a\nb", 1, bytes(32)),
        ("a", True, bytes(32)),
        ("a", -1, bytes(32)),
        ("a", 1 << 64, bytes(32)),
        ("a", 1, bytes(31)),
        ("a", 1, "x" * 32),
        ("\ud800", 1, bytes(32)),
        (None, 1, bytes(32)),
    ],
)
def test_what_could_not_be_written_is_no_checkpoint(origin, size, root):
    with refused("BAD_CHECKPOINT"):
        Checkpoint(origin, size, root)


def test_a_checkpoint_of_another_origin_is_refused():
    note = sign_checkpoint(checkpoint(7), [LOG])

    with refused("WRONG_ORIGIN"):
        verify_checkpoint(note, [LOG_KEY], ORIGIN + "/other")
    with refused("BAD_CHECKPOINT"):
        verify_checkpoint(NOTE, [LOG_KEY], ORIGIN)


# Cosignatures


def test_a_witness_may_be_the_one_that_is_known():
    note = sign_checkpoint(checkpoint(7), [STRANGER]) + WITNESS.line(GOOD)

    assert verify_checkpoint(note, [WITNESS.verifier], ORIGIN) == checkpoint(7)


@pytest.mark.parametrize("time", [0, 1, (1 << 63) - 1])
def test_a_cosignature_covers_its_time_up_to_63_bits(time):
    assert verify_note(NOTE + WITNESS.line(TEXT, time), [WITNESS.verifier]).names == ("witness.example/w1",)


def test_a_cosignature_with_another_time_text_or_length_is_refused():
    message = f"cosignature/v1\ntime {1 << 63}\n{TEXT}".encode()
    good = WITNESS.key.sign(f"cosignature/v1\ntime 5\n{TEXT}".encode())
    time = (5).to_bytes(8, "big")
    wrong = [
        (1 << 63).to_bytes(8, "big") + WITNESS.key.sign(message),
        (6).to_bytes(8, "big") + good,
        time + WITNESS.key.sign(TEXT.encode()),
        WITNESS.key.sign(TEXT.encode()),
        time + good + b"\0",
        time + good[:-1],
        b"\0",
    ]

    verify_note(NOTE + WITNESS.written(time + good), [WITNESS.verifier])
    for signature in wrong:
        with refused("BAD_SIGNATURE"):
            verify_note(NOTE + WITNESS.written(signature), [WITNESS.verifier])


def test_a_cosignature_is_no_signature_of_type_1():
    plain = Verifier(VerifierKey(WITNESS.vkey.name, ED25519, WITNESS.vkey.key))

    with refused("NO_KNOWN_SIGNATURE"):
        verify_note(NOTE + WITNESS.line(TEXT), [plain])
