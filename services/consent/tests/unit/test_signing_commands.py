"""What operators run about the checkpoint key."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from signing_fakes import KEY, NEXT_KEY, ORIGIN

from consent_service.domain.words import Kind
from consent_service.ledger_commands import ledger
from consent_service.signing.rotation import entry_of
from consent_service.signing.settings import Settings
from servicekit.errors import Invalid
from tlog import Ed25519Signer, format_vkey


def run(*words):
    return CliRunner().invoke(ledger, [str(word) for word in words])


def rotated(folder):
    return run("rotate-key", "--origin", ORIGIN, "--key", folder / "old.pem", "--new", folder / "new.pem")


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.pem"
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_the_verifier_key_is_that_of_the_file(old):
    told = run("vkey", "--origin", ORIGIN, "--key", old)

    assert told.output == f"{format_vkey(KEY.vkey)}\n"


def test_a_rotation_makes_a_key_that_nobody_else_can_read_and_names_both(old, tmp_path):
    done = rotated(tmp_path)

    told = json.loads(done.output)
    assert told["entry"] == {"event": "KEY_ROTATED", "old": told["old_vkey"], "new": told["new_vkey"]}
    assert told["old_vkey"] == run("vkey", "--origin", ORIGIN, "--key", old).output.strip()
    assert (tmp_path / "new.pem").stat().st_mode & 0o777 == 0o600


def test_a_rotation_that_is_repeated_says_the_same(old, tmp_path):
    assert rotated(tmp_path).output == rotated(tmp_path).output
    assert old.exists()


def test_a_key_does_not_follow_itself(old):
    done = run("rotate-key", "--origin", ORIGIN, "--key", old, "--new", old)

    assert done.exit_code == 1
    assert "The new key is the old one." in done.output


def test_the_entry_of_a_rotation_is_the_ledgers_own():
    kind, note = entry_of(KEY.vkey, NEXT_KEY.vkey)

    assert kind is Kind.LEDGER
    assert note == {"event": "KEY_ROTATED", "old": format_vkey(KEY.vkey), "new": format_vkey(NEXT_KEY.vkey)}
    with pytest.raises(Invalid):
        entry_of(KEY.vkey, Ed25519Signer("bank.example/consent/elsewhere", bytes(32)).vkey)


def test_the_signer_migrates_nothing_and_is_no_service_of_its_own():
    assert (Settings.prefix, Settings.service) == ("CONSENT_SIGNER", "consent-signer")
    assert Settings.schemas(None) == ()
