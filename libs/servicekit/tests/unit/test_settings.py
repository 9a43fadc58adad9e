"""Settings say what is wrong by the variable's name, and never with its value."""

from __future__ import annotations

from typing import ClassVar

import pytest
from pydantic import ValidationError

from servicekit.settings import BadSettings, ServiceSettings, parse_env_file


class Settings(ServiceSettings, prefix="TINY"):
    service: ClassVar[str] = "tiny"
    ledger: str = "harbour"


class Other(ServiceSettings, prefix="OTHER"):
    pass


GOOD = {
    "TINY_DATABASE__DSN": "postgresql://user:secret@host/assent",
    "TINY_NATS__SERVERS": '["nats://one", "nats://two"]',
    "TINY_NATS__PASSWORD": "secret",
    "TINY_AUTH__JWKS": "keys.json",
    "TINY_AUTH__ISSUER": "bank",
    "TINY_AUTH__SERVICE_KEY": "service.pem",
    "TINY_AUTH__SERVICE_KEYS": "services.json",
    "TINY_AUTH__CALLERS": '{"orchestration": ["consent.check"]}',
    "PATH": "somewhere",
    "OTHER_THING": "of somebody else",
}


def what_is_wrong(**changed: str) -> str:
    with pytest.raises(BadSettings) as caught:
        Settings.read({**GOOD, **changed})
    return str(caught.value)


def test_variables_become_settings():
    settings = Settings.read({**GOOD, "TINY_GRPC__PORT": "7000", "tiny_ledger": "north"})

    assert settings.nats.servers == ("nats://one", "nats://two")
    assert settings.auth.callers == {"orchestration": ("consent.check",)}
    assert (settings.grpc.port, settings.ledger, settings.service) == (7000, "north", "tiny")


def test_a_service_is_named_like_its_prefix_unless_it_says_otherwise():
    assert (Other.service, Other.prefix, Settings.prefix) == ("other", "OTHER", "TINY")


@pytest.mark.parametrize(
    "name", ["TINY_LEGDER", "TINY_DATABASE__DNS", "TINY_DATABASE__DSN__MORE", "TINY_NATS_SERVERS", "TINY_"]
)
def test_a_stray_name_is_an_error(name):
    assert what_is_wrong(**{name: "secret"}) == f"{name}: no such setting"


def test_a_missing_setting_is_named_as_a_variable():
    with pytest.raises(BadSettings, match="TINY_DATABASE__DSN"):
        Settings.read({name: value for name, value in GOOD.items() if name != "TINY_DATABASE__DSN"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TINY_DATABASE__MAX_SIZE", "secret"),
        ("TINY_NATS__SERVERS", "secret"),
        ("TINY_AUTH__CALLERS", '{"secret'),
        ("TINY_GRPC__PORT", "-1"),
        ("TINY_TELEMETRY__LOG_LEVEL", "secret"),
        ("TINY_DRAIN_SECONDS", "0"),
    ],
)
def test_a_wrong_value_is_named_and_not_shown(name, value):
    text = what_is_wrong(**{name: value})

    assert name in text
    assert "secret" not in text


def test_settings_do_not_change():
    settings = Settings.read(GOOD)

    with pytest.raises(ValidationError):
        settings.ledger = "south"
    with pytest.raises(ValidationError):
        settings.database.max_size = 9


def test_secrets_do_not_show():
    assert "secret" not in repr(Settings.read(GOOD))


def test_the_process_environment_is_not_read_behind_our_back(monkeypatch):
    monkeypatch.setenv("TINY_LEDGER", "north")

    assert Settings.read(GOOD).ledger == "harbour"


def test_a_file_of_variables_is_read():
    text = "# a comment\n\nTINY_A=1\nexport TINY_B='two words'\nTINY_C=\"x=y\"\n"

    assert parse_env_file(text) == {"TINY_A": "1", "TINY_B": "two words", "TINY_C": "x=y"}


@pytest.mark.parametrize("line", ["TINY_A", "=1", "TINY A=1"])
def test_a_line_that_is_no_variable_is_named_by_its_number(line):
    with pytest.raises(BadSettings, match="line 2"):
        parse_env_file(f"TINY_OK=1\n{line}")
