"""The consent service's settings, read once from CONSENT_*."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {
    "content": ("consent.registry", "consent.check"),
    "orchestration": ("consent.check",),
    "profile": ("consent.link",),
    "ranking": ("consent.check",),
    "signals": ("consent.check",),
}


class Auth(AuthSettings):
    """Who is believed, and what each sibling may do here."""

    callers: Mapping[str, tuple[str, ...]] = CALLERS


class Settings(ServiceSettings, prefix="CONSENT"):
    """`ledger` names the ledger: its id is derived from the name, and the statement key bears it."""

    auth: Auth
    ledger: str = Field(default="harbour", pattern=r"^[a-z][a-z0-9_.-]{0,62}$")
    statement_key: Path
