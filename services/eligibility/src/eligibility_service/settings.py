"""Settings of the eligibility service: variables ELIGIBILITY_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "orchestration": ("eligibility.evaluate", "eligibility.contact", "eligibility.reserve"),
}


class EligibilityAuth(AuthSettings):
    """Only orchestration evaluates."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class Settings(ServiceSettings, prefix="ELIGIBILITY"):
    """`basis_keys`: the ledger's verifier keys, one per line."""

    auth: EligibilityAuth
    basis_keys: Path
    ledger: str = "harbour"
