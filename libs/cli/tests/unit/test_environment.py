from pathlib import Path

import pytest

from assent_cli.discovery import Service
from assent_cli.environment import Place, environment
from embedded.keys import Keys


@pytest.fixture
def place(tmp_path):
    return Place("postgresql://consent@h/assent", "nats://h:1", "secret", 5000, tmp_path / "ready", tmp_path)


SIGNER = Service("consent-signer", "consent_service.signing", "CONSENT_SIGNER", frozenset({"key"}), "consent_signer")


def service(*settings: str) -> Service:
    return Service("consent", "consent_service", "CONSENT", frozenset(settings), "consent", (SIGNER,))


def test_a_service_gets_only_the_keys_that_its_settings_ask_for(place):
    variables = environment(service("statement_key"), place, Keys(Path("keys")), {})

    assert variables["CONSENT_STATEMENT_KEY"] == "keys/statement.pem"
    assert "CONSENT_TRACKING_KEY" not in variables


def test_what_the_shell_says_about_a_service_counts(place, monkeypatch):
    monkeypatch.setenv("CONSENT_GRPC__PORT", "6000")
    monkeypatch.setenv("PROFILE_GRPC__PORT", "7000")
    variables = environment(service(), place, Keys(Path("keys")), {})

    assert (variables["CONSENT_GRPC__PORT"], "PROFILE_GRPC__PORT" in variables) == ("6000", False)


def test_a_service_does_not_see_the_rest_of_the_shell(place, monkeypatch):
    monkeypatch.setenv("SOMEBODYS_TOKEN", "secret")

    assert "SOMEBODYS_TOKEN" not in environment(service(), place, Keys(Path("keys")), {})


def test_what_is_said_about_a_companion_is_no_setting_of_its_service(place, monkeypatch):
    monkeypatch.setenv("CONSENT_SIGNER_GRPC__PORT", "6000")
    more = {"CONSENT_SIGNER_INTERVAL_MS": "100", "CONSENT_LEDGER": "harbour"}
    of_the_service = environment(service(), place, Keys(Path("keys")), more)
    of_the_signer = environment(SIGNER, place, Keys(Path("keys")), more)

    assert [name for name in of_the_service if name.startswith("CONSENT_SIGNER_")] == []
    assert of_the_signer["CONSENT_SIGNER_GRPC__PORT"] == "6000"
    assert of_the_signer["CONSENT_SIGNER_INTERVAL_MS"] == "100"
    assert of_the_signer["CONSENT_SIGNER_NATS__USER"] == "consent-signer"
    assert of_the_signer["CONSENT_SIGNER_KEY"] == "keys/checkpoint.pem"


def test_a_service_is_told_where_the_roles_are_that_its_settings_know(tmp_path):
    roles = {"consent_writer": "postgresql://consent_writer@h/assent", "consent_signer": "postgresql://s@h/assent"}
    place = Place("postgresql://consent@h/assent", "nats://h:1", "secret", 5000, tmp_path, tmp_path, roles=roles)
    variables = environment(service("writer", "reader"), place, Keys(Path("keys")), {})

    assert variables["CONSENT_WRITER__DSN"] == "postgresql://consent_writer@h/assent"
    assert [name for name in variables if name.endswith("__DSN")] == ["CONSENT_DATABASE__DSN", "CONSENT_WRITER__DSN"]
