"""Settings of a process of the floor: variables FLOOR_*."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from servicekit.settings import ServiceSettings


class Settings(ServiceSettings, prefix="FLOOR"):
    """`prepared`: the hops and their messages. `addresses` and `token`: the siblings over gRPC, for comparison."""

    service: ClassVar[str] = os.environ.get("FLOOR_NATS__USER", "floor")

    prepared: Path
    addresses: Mapping[str, str]
    token: Path
