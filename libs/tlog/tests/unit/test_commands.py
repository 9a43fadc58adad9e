"""`assent tlog`: one JSON object in, one line out, exit 0 or 1, whatever comes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64encode

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tlog_building import DATA, LEAVES, LOG, ORIGIN, Witness, checkpoint, mth, path, proof

from tlog import Ed25519Signer, encode_checkpoint, encode_proof, format_vkey, sign_checkpoint, sign_note
from tlog.answers import ANSWERS, answer
from tlog.commands import tlog

MAX = (1 << 64) - 1
WITNESS = Witness("witness.example/w1", 1)
SECOND = Ed25519Signer("second.example", bytes([2]) * 32)
COSIGNED = sign_checkpoint(checkpoint(11), [LOG]) + WITNESS.line(encode_checkpoint(checkpoint(11)))
BUNDLE = encode_proof(4, path(4, LEAVES[:11]), COSIGNED)
GOOD = {
    "verify-inclusion": {
        "leaf_hash": LEAVES[4].hex(),
        "index": 4,
        "size": 11,
        "proof": [each.hex() for each in path(4, LEAVES[:11])],
        "root": mth(LEAVES[:11]).hex(),
    },
    "verify-consistency": {
        "size1": 6,
        "root1": mth(LEAVES[:6]).hex(),
        "size2": 11,
        "root2": mth(LEAVES[:11]).hex(),
        "proof": [each.hex() for each in proof(6, LEAVES[:11])],
    },
    "verify-note": {
        "note": COSIGNED.decode(),
        "vkeys": [format_vkey(WITNESS.vkey), format_vkey(LOG.vkey)],
        "kind": "checkpoint",
        "origin": ORIGIN,
    },
    "verify-proof": {
        "bundle": BUNDLE,
        "leaf_hash": LEAVES[4].hex(),
        "vkeys": [format_vkey(LOG.vkey)],
        "origin": ORIGIN,
        "witnesses": [format_vkey(WITNESS.vkey)],
        "quorum": 1,
    },
    "root": {"leaf_hashes": [each.hex() for each in LEAVES[:11]], "root": mth(LEAVES[:11]).hex()},
}
ROOT = mth(LEAVES[:11]).hex()
EXPECTED = {
    "verify-inclusion": "OK inclusion",
    "verify-consistency": "OK consistency",
    "verify-note": f"OK checkpoint 11 {ROOT}",
    "verify-proof": "OK proof 4 11",
    "root": f"OK root {ROOT}",
}
COMMANDS = sorted(ANSWERS)
FIELDS = [(command, field) for command in COMMANDS for field in GOOD[command]]


def said(command: str, request: object = None, /, **changes) -> str:
    """The answer to a request, or to the good one with changes; None drops a field."""
    if request is None:
        request = {field: value for field, value in (GOOD[command] | changes).items() if value is not None}
    data = request if isinstance(request, bytes) else json.dumps(request).encode()
    done = CliRunner().invoke(tlog, [command], input=data)

    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert done.output == done.stdout
    assert done.output.count("\n") == 1
    assert done.output.endswith("\n")
    assert done.exit_code == (0 if done.output.startswith("OK ") else 1)
    return done.output[:-1]


def code(line: str) -> str:
    assert re.fullmatch(r"FAIL [A-Z_]+ \S[ -~]*", line), line
    return line.split(" ")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_good_request_is_ok(command):
    assert said(command) == EXPECTED[command]


# What each command proves


def test_a_leaf_may_be_given_as_bytes():
    for encoding, leaf in (
        ("utf8", "entry 4"),
        ("hex", DATA[4].hex().upper()),
        ("base64", b64encode(DATA[4]).decode()),
    ):
        assert said("verify-inclusion", leaf_hash=None, leaf=leaf, encoding=encoding) == "OK inclusion"
        assert said("verify-proof", leaf_hash=None, leaf=leaf, encoding=encoding) == "OK proof 4 11"


def test_hashes_may_be_hexadecimal_in_either_case_or_base64():
    leaf, root = LEAVES[4].hex().upper(), b64encode(mth(LEAVES[:11])).decode()

    assert said("verify-inclusion", leaf_hash=leaf, root=root) == "OK inclusion"


def test_inclusion_says_what_is_wrong():
    said_of = lambda **changes: code(said("verify-inclusion", **changes))  # noqa: E731

    assert said_of(index=5) == "ROOT_MISMATCH"
    assert said_of(leaf_hash=LEAVES[5].hex()) == "ROOT_MISMATCH"
    assert said_of(root="00" * 32) == "ROOT_MISMATCH"
    assert said_of(index=11) == "BAD_INDEX"
    assert said_of(index=MAX, size=MAX) == "BAD_INDEX"
    assert said_of(proof=[]) == "BAD_PROOF_LENGTH"
    assert said_of(size=MAX) == "BAD_PROOF_LENGTH"


def test_consistency_says_what_is_wrong():
    said_of = lambda **changes: code(said("verify-consistency", **changes))  # noqa: E731

    assert said_of(root1="00" * 32) == said_of(root2="00" * 32) == "ROOT_MISMATCH"
    assert said_of(size1=0) == said_of(size1=12) == said_of(size2=0) == "BAD_SIZE"
    assert said_of(proof=[]) == said_of(size2=MAX) == "BAD_PROOF_LENGTH"
    assert said_of(size1=11) == "BAD_PROOF_LENGTH"
    assert said_of(size1=11, proof=[]) == "ROOT_MISMATCH"


def test_a_notes_names_are_printed_in_the_order_of_its_lines():
    note = sign_note("hello\n", [SECOND, LOG]).decode()
    vkeys = [format_vkey(LOG.vkey), format_vkey(SECOND.vkey)]

    assert said("verify-note", note=note, vkeys=vkeys, kind="note", origin=None) == f"OK note second.example,{ORIGIN}"
    assert said("verify-note", note=note, vkeys=vkeys[:1], kind="note", origin=None) == f"OK note {ORIGIN}"
    assert code(said("verify-note", note=note, vkeys=vkeys)) == "BAD_CHECKPOINT"


def test_a_note_may_be_given_as_base64():
    note_b64 = b64encode(COSIGNED).decode()

    assert said("verify-note", note=None, note_b64=note_b64) == EXPECTED["verify-note"]
    assert code(said("verify-note", note=None, note_b64=b64encode(b"\xff" + COSIGNED).decode())) == "BAD_NOTE"
    assert code(said("verify-note", note=None, note_b64=note_b64 + "\n")) == "BAD_INPUT"
    assert code(said("verify-note", note_b64=note_b64)) == "BAD_INPUT"


def test_a_note_says_what_is_wrong():
    said_of = lambda **changes: code(said("verify-note", **changes))  # noqa: E731
    good = format_vkey(LOG.vkey)

    assert said_of(vkeys=[]) == said_of(vkeys=[format_vkey(SECOND.vkey)]) == "NO_KNOWN_SIGNATURE"
    assert said_of(vkeys=[good[:-1]]) == said_of(vkeys=[good, good]) == "BAD_KEY"
    assert said_of(note=COSIGNED.decode()[:-1]) == said_of(note="x" * (1 << 20) + "x") == "BAD_NOTE"
    assert said_of(note=COSIGNED.decode().replace("\n11\n", "\n12\n")) == "BAD_SIGNATURE"
    assert said_of(origin="other") == "WRONG_ORIGIN"
    assert said_of(kind="note") == said_of(kind="Note", origin=None) == said_of(origin=None) == "BAD_INPUT"


def test_a_proof_says_what_is_wrong():
    said_of = lambda **changes: code(said("verify-proof", **changes))  # noqa: E731

    assert said("verify-proof", witnesses=None, quorum=None) == "OK proof 4 11"
    assert said_of(witnesses=None) == said_of(quorum=None) == "BAD_INPUT"
    assert said_of(quorum=2) == said_of(witnesses=[]) == "QUORUM"
    assert said_of(bundle=BUNDLE.replace("index", "Index")) == "BAD_BUNDLE"
    assert said_of(bundle=BUNDLE.replace("index 4", "index 3")) == "ROOT_MISMATCH"
    assert said_of(bundle=BUNDLE.replace("index 4", "index 11")) == "BAD_INDEX"
    assert said_of(bundle=BUNDLE[:-1]) == "BAD_NOTE"
    assert said_of(leaf_hash=LEAVES[3].hex()) == "ROOT_MISMATCH"
    assert said_of(origin="other") == "WRONG_ORIGIN"
    assert said_of(vkeys=[format_vkey(SECOND.vkey)]) == "NO_KNOWN_SIGNATURE"
    assert said_of(witnesses=[format_vkey(WITNESS.vkey)] * 2) == "BAD_KEY"


def test_a_root_is_computed_or_compared():
    leaves = [data.decode() for data in DATA[:11]]

    assert said("root", {"leaves": leaves, "encoding": "utf8"}) == f"OK root {ROOT}"
    assert said("root", {"leaf_hashes": []}) == f"OK root {mth([]).hex()}"
    assert code(said("root", root="00" * 32)) == "ROOT_MISMATCH"


# What comes in


@pytest.mark.parametrize(("command", "field"), FIELDS)
def test_a_field_that_is_missing_null_twice_or_of_another_type_is_refused(command, field):
    good = GOOD[command]
    optional = field == "root" and command == "root"
    text = json.dumps(good)
    twice = f"{text[:-1]}, {json.dumps(field)}: {json.dumps(good[field])}}}"

    assert (
        optional or code(said(command, {name: value for name, value in good.items() if name != field})) == "BAD_INPUT"
    )
    assert code(said(command, good | {field: None})) == "BAD_INPUT"
    assert code(said(command, twice.encode())) == "BAD_INPUT"
    for wrong in (True, False, 1.0, -1, MAX + 1, {}, [1], [None], [[]], "\ud800", ["\ud800"]):
        assert code(said(command, good | {field: wrong})) == "BAD_INPUT"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_field_is_refused(command):
    for name in ("extra", "", "Proof", "\n\ud800", "x" * 10_000):
        assert code(said(command, GOOD[command] | {name: 1})) == "BAD_INPUT"
    assert code(said(command, GOOD[command] | {"encoding": "hex"})) == "BAD_INPUT"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{} x",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff",
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b"\0",
        b"{'a': 1}",
        b'{"a": 1,}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e400}',
        b'{"a": 01}',
        b'{"a": "\n"}',
        b'{"a": ' + b"9" * 100_000 + b"}",
        b'{"a": 0.' + b"9" * 100_000 + b"}",
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b'{"a": {"b": 1, "b": 2}}',
        b'{"a": 1, "\\u0061": 1}',
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_not_one_json_object_is_refused(command, data):
    assert code(said(command, data)) == "BAD_INPUT"


@pytest.mark.parametrize(
    "written", ["-0", "4.0", "4e0", "04", "+4", "0x4", '"4"', "true", "-4", str(MAX + 1), "4" * 5000]
)
def test_an_integer_has_one_form(written):
    text = json.dumps(GOOD["verify-inclusion"]).replace('"index": 4', f'"index": {written}')

    assert code(said("verify-inclusion", text.encode())) == "BAD_INPUT"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "00",
        ROOT[:-1],
        ROOT + "0",
        ROOT[:-1] + "g",
        ROOT[:-2] + " 0",
        " " * 64,
        "\uff10" * 64,
        "A" * 44,
        "A" * 43,
        "A" * 42 + "==",
        "A" * 42 + "B=",
        "-" * 43 + "=",
        "A" * 43 + "=\n",
        "\u0661" * 44,
    ],
)
def test_a_hash_has_two_forms_and_no_third(written):
    assert code(said("verify-inclusion", root=written)) == "BAD_INPUT"
    assert code(said("root", {"leaf_hashes": [ROOT, written]})) == "BAD_INPUT"


@pytest.mark.parametrize(
    ("encoding", "leaf"),
    [
        ("hex", "0"),
        ("hex", "0 "),
        ("hex", "zz"),
        ("hex", "00 00 "),
        ("base64", "AA"),
        ("base64", "AB=="),
        ("base64", "A A="),
        ("utf8", "\udfff"),
        ("utf-8", "a"),
        ("", "a"),
        ("HEX", "00"),
        (7, "00"),
        (None, "00"),
        ("hex", 7),
    ],
)
def test_bytes_are_in_the_encoding_that_is_named(encoding, leaf):
    assert code(said("verify-inclusion", leaf_hash=None, leaf=leaf, encoding=encoding)) == "BAD_INPUT"
    assert code(said("root", {"leaves": [leaf], "encoding": encoding})) == "BAD_INPUT"


def test_a_leaf_and_its_hash_are_one_too_many():
    assert code(said("verify-inclusion", leaf="entry 4", encoding="utf8")) == "BAD_INPUT"
    assert code(said("verify-proof", leaf="entry 4", encoding="utf8")) == "BAD_INPUT"
    assert code(said("root", leaves=["entry 4"], encoding="utf8")) == "BAD_INPUT"


def test_sixteen_mebibytes_are_the_most():
    text = json.dumps({"leaf_hashes": []}).encode()
    room = (16 << 20) - len(text)

    assert said("root", text + b" " * room).startswith("OK ")
    assert said("root", text + b" " * (room + 1)) == "FAIL BAD_INPUT the input is over 16 MiB"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([ROOT, BUNDLE, "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(place=st.sampled_from(FIELDS), value=JSON)
def test_whatever_value_comes_the_answer_is_one_line(place, value):
    command, field = place
    line = answer(command, json.dumps(GOOD[command] | {field: value}).encode())

    assert line == EXPECTED[command] or code(line)


@given(command=st.sampled_from(COMMANDS), data=st.binary(max_size=100), at=st.integers(0, 3000), bit=st.integers(0, 7))
def test_whatever_bytes_come_the_answer_is_one_line(command, data, at, bit):
    flipped = bytearray(json.dumps(GOOD[command]).encode())
    flipped[at % len(flipped)] ^= 1 << bit

    assert code(answer(command, data))
    # An upper-case digit, a space beside a comma and an escaped letter are the same request.
    assert (line := answer(command, bytes(flipped))) == EXPECTED[command] or code(line)


# The command itself


def run(*words: str, stdin: str = "</dev/null", **environment: str) -> subprocess.CompletedProcess[bytes]:
    start = f'exec "{sys.executable}" -c "from tlog.commands import tlog; tlog()" "$@" {stdin}'
    return subprocess.run(
        ["/bin/sh", "-c", start, "sh", *words],
        env=os.environ | environment,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_closed_or_empty_input_is_bad_input():
    for stdin in ("<&-", "</dev/null"):
        done = run("root", stdin=stdin)
        assert (done.returncode, done.stderr) == (1, b"")
        assert done.stdout.startswith(b"FAIL BAD_INPUT ")


@pytest.mark.parametrize("stdout", [">&-", ">/dev/full"])
def test_what_could_not_be_told_is_not_ok(stdout, tmp_path):
    (tmp_path / "request").write_text(json.dumps(GOOD["root"]))
    done = run("root", stdin=f"<{tmp_path}/request {stdout}")

    assert (done.returncode, done.stderr) == (1, b"")


def test_names_are_printed_in_utf8_on_any_terminal(tmp_path):
    signer = Ed25519Signer("b\u00e4nk.example", bytes(32))
    note = sign_note("hello\n", [signer]).decode()
    (tmp_path / "request").write_text(json.dumps({"note": note, "vkeys": [format_vkey(signer.vkey)], "kind": "note"}))

    done = run("verify-note", stdin=f"<{tmp_path}/request", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (done.returncode, done.stdout.decode()) == (0, "OK note b\u00e4nk.example\n")


def test_arguments_are_bad_input():
    for words in (["file.json"], ["--json"], ["--index", "4"], ["-x"]):
        done = CliRunner().invoke(tlog, ["verify-inclusion", *words], input=b"{}")
        assert (done.exit_code, code(done.output[:-1])) == (1, "BAD_INPUT")


@pytest.mark.parametrize("words", [[], *([command] for command in COMMANDS)])
def test_help_teaches_with_an_example(words):
    done = CliRunner().invoke(tlog, [*words, "--help"])

    assert done.exit_code == 0
    assert "| assent tlog" in done.output
    assert [command for command in COMMANDS if not words and command not in done.output] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_the_help_is_ok_in_any_shell(command):
    example = re.search(r"(?:echo|printf %s) '(\{.*\})' \| assent tlog", tlog.commands[command].help, re.DOTALL)

    assert example is not None
    assert example.group().startswith("printf") or "\\" not in example.group()  # some echo read the backslashes
    assert said(command, example.group(1).encode()).startswith("OK ")
