"""Nobody among the siblings calls orchestration unless the settings say so."""

from __future__ import annotations

from pathlib import Path

from orchestration_service.settings import Settings

VARIABLES = {
    "ORCHESTRATION_DATABASE__DSN": "postgresql://orchestration@nowhere/assent",
    "ORCHESTRATION_NATS__SERVERS": '["nats://nowhere"]',
    "ORCHESTRATION_AUTH__JWKS": "jwks.json",
    "ORCHESTRATION_AUTH__ISSUER": "bank",
    "ORCHESTRATION_AUTH__SERVICE_KEY": "service.pem",
    "ORCHESTRATION_AUTH__SERVICE_KEYS": "services.json",
    "ORCHESTRATION_TRACKING_KEY": "tracking.key",
    "ORCHESTRATION_BASIS_KEYS": "basis.vkeys",
}


def test_by_default_no_sibling_may_call():
    settings = Settings.read(VARIABLES)

    assert settings.auth.callers == {}
    assert settings.tracking_key == Path("tracking.key")
    assert settings.ledger == "harbour"
