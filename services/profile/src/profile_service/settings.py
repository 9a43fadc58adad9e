"""Settings of the profile service: variables PROFILE_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "orchestration": ("profile.resolve", "profile.read"),
    "signals": ("profile.resolve",),
}


class ProfileAuth(AuthSettings):
    """Which siblings may ask what."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class Settings(ServiceSettings, prefix="PROFILE"):
    """`identifier_key` is a file of at least 32 secret bytes; `basis_keys` one of verifier keys, one per line."""

    auth: ProfileAuth
    ledger: str = "harbour"
    basis_keys: Path
    identifier_key: Path
    fold_batch: int = Field(default=512, ge=1, le=1024)
