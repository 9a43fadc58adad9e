"""Settings of a process of the floor: variables FLOOR_*."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Mapping[str, tuple[str, ...]] = {
    "orchestration": (
        "profile.resolve",
        "profile.read",
        "consent.check",
        "signals.read",
        "eligibility.evaluate",
        "eligibility.contact",
        "eligibility.reserve",
        "ranking.rank",
        "content.render",
    )
}


class FloorAuth(AuthSettings):
    """Every process of the floor serves the front, as its service would."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class Settings(ServiceSettings, prefix="FLOOR"):
    """`prepared`: the hops and their messages. `addresses` and `token`: the siblings over gRPC, for comparison."""

    service: ClassVar[str] = os.environ.get("FLOOR_NATS__USER", "floor")

    auth: FloorAuth
    prepared: Path
    addresses: Mapping[str, str]
    token: Path
