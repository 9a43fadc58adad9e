"""Settings of the ranking service: variables RANKING_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {"orchestration": ("ranking.rank", "ranking.read")}


class RankingAuth(AuthSettings):
    """Orchestration ranks."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class Settings(ServiceSettings, prefix="RANKING"):
    """`basis_keys`: a file of verifier keys, one per line; `ledger`: the consent ledger's name."""

    auth: RankingAuth
    basis_keys: Path
    ledger: str = Field(default="harbour", min_length=1)
