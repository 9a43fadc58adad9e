"""The signer's settings, read once from CONSENT_SIGNER_*."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field

from servicekit.settings import AuthSettings, Schema, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {"consent": ("consent.confirm",)}


class Auth(AuthSettings):
    """Who is believed: the ledger's writer, and nobody else."""

    callers: Mapping[str, tuple[str, ...]] = CALLERS


class Settings(ServiceSettings, prefix="CONSENT_SIGNER"):
    """`ledger` is the name that CONSENT_LEDGER has, `origin` names log and key, `key` signs checkpoints and is nobody else's.

    `retiring_key` signs too while keys are rotated. `folder` is a volume of its own, outside the database, that is kept for ever. A round
    begins `interval_ms` after the last one: what is below a second is there for the round itself, so that no entry waits longer than that.
    """

    service: ClassVar[str] = "consent-signer"

    auth: Auth
    ledger: str = Field(default="harbour", pattern=r"^[a-z][a-z0-9_.-]{0,62}$")
    origin: str = Field(default="harbour.example/consent/harbour", pattern=r"^[^\s+]{1,200}$")
    key: Path
    retiring_key: Path | None = None
    folder: Path
    interval_ms: int = Field(default=900, ge=50, le=1000)

    def schemas(self) -> Sequence[Schema]:
        """None: the ledger's schema is migrated by the ledger."""
        return ()
