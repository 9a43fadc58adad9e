"""Settings of the signals service: variables SIGNALS_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, Group, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {"orchestration": ("signals.read",)}


class SignalsAuth(AuthSettings):
    """Only orchestration reads."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class IngestSettings(Group):
    """Limits of ingestion: bytes, events and milliseconds."""

    event_bytes: int = Field(default=2048, gt=0)
    batch_bytes: int = Field(default=65_536, gt=0)
    batch_events: int = Field(default=200, gt=0, le=1000)
    per_second: int = Field(default=50, gt=0)
    burst: int = Field(default=200, gt=0)
    session_events: int = Field(default=5_000, gt=0)
    session_ms: int = Field(default=8 * 3_600_000, gt=0)
    event_age_ms: int = Field(default=24 * 3_600_000, gt=0)


class Settings(ServiceSettings, prefix="SIGNALS"):
    """`basis_keys`: the ledger's verifier keys, one per line. `stale_ms`: a fold that is further behind is not fresh."""

    auth: SignalsAuth
    basis_keys: Path
    ledger: str = "harbour"
    ingest: IngestSettings = IngestSettings()
    stale_ms: int = Field(default=2_000, gt=0)
