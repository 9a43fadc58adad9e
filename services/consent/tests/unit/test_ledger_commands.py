"""The command `assent ledger verify`: one line, exit code 0 or 1, and how fast it goes."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from ledger_samples import ORIGIN, VKEY, a_sample

from consent_service.ledger_commands import ledger

SAMPLE = a_sample()
KEY = ("--vkey", VKEY, "--origin", ORIGIN)


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "export.jsonl"
    path.write_bytes(b"".join(SAMPLE.lines()))
    return path


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "kept.note"
    path.write_bytes(SAMPLE.notes[10])
    return path


def run(*arguments):
    done = CliRunner().invoke(ledger, ["verify", *map(str, arguments)])
    assert not done.exception or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout


def test_a_whole_export_is_ok(export, note):
    code, said = run("--export", export, "--known", note, *KEY)

    assert code == 0
    assert said == (
        f"OK 40 entries from 0, 3 checkpoints, 1 known notes, 33 bodies, 1 notices, 2 chains, root {SAMPLE.range().root().hex()}\n"
    )


def test_a_changed_export_fails_with_one_line(export):
    export.write_bytes(export.read_bytes().replace(b'"index":7,', b'"index":8,', 1))
    code, said = run("--export", export, *KEY)

    assert (code, said) == (1, "FAIL INDEX where entry 7 should be there is entry 8\n")


def test_as_json(export):
    code, said = run("--export", export, *KEY, "--json")
    assert (code, json.loads(said)["ok"], json.loads(said)["end"]) == (0, True, 40)
    export.write_text("nonsense")
    code, said = run("--export", export, *KEY, "--json")

    assert (code, json.loads(said)) == (
        1,
        {"ok": False, "code": "FORMAT", "text": "A line is no JSON object of a known type."},
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--export", "a", "--database", "b"),
        ("--bundle", "a"),
        ("--leaf", "a"),
        ("--export", "a", "--leaf", "b"),
        ("--bundle", "/nowhere", "--leaf", "/nowhere"),
        ("--export", "/nowhere"),
        ("--export", "/nowhere", "--known", "/nowhere"),
    ],
)
def test_what_cannot_be_read_fails_with_one_line(arguments):
    code, said = run(*arguments, *KEY)

    assert code == 1
    assert said.startswith("FAIL ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("vkey", ["", "x", VKEY[:-4], VKEY.replace("+", "-")])
def test_a_key_that_is_none_fails_with_one_line(export, vkey):
    code, said = run("--export", export, "--vkey", vkey, "--origin", ORIGIN)

    assert (code, said.split()[:2]) == (1, ["FAIL", "BAD_KEY"])


def test_errors_never_repeat_what_is_written(export):
    text = export.read_text().replace("offers.credit", "canary.text")
    export.write_text(text)
    _, said = run("--export", export, *KEY)

    assert "canary" not in said
