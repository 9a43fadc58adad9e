"""Settings of the content service: variables CONTENT_*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from servicekit.settings import AuthSettings, ServiceSettings

CALLERS: Final[Mapping[str, tuple[str, ...]]] = {"orchestration": ("content.render", "content.read")}


class ContentAuth(AuthSettings):
    """Only orchestration renders."""

    callers: Mapping[str, tuple[str, ...]] = Field(default_factory=lambda: CALLERS)


class Settings(ServiceSettings, prefix="CONTENT"):
    """`max_bundle_bytes` bounds what a proposal may hold."""

    auth: ContentAuth
    max_bundle_bytes: int = Field(default=900_000, gt=0)
