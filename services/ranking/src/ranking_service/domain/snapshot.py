"""A snapshot: one immutable version of the sums, as canonical bytes that are named by their SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from ranking_service.domain.counts import Count, Counts, Key, rows
from ranking_service.domain.tables import NQ, table
from servicekit.errors import FailedPrecondition

FORMAT: Final = 1
FULL_BUDGET: Final = 1 << 16
"""The exploration budget m of 1, in units of 2^-16."""
STALE_AFTER_MS: Final = 2 * 3_600_000


@dataclass(frozen=True)
class Snapshot:
    """Sums as of a time, with the tables and the exploration budget that go with them. Versions count from 1."""

    version: int
    as_of_ms: int
    counts: Counts
    quantiles: str = NQ
    exploration: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def body(self) -> bytes:
        """The canonical bytes."""
        document = {
            "format": FORMAT,
            "version": self.version,
            "as_of_ms": self.as_of_ms,
            "tables": {"NQ": self.quantiles},
            "exploration": dict(self.exploration),
            "counts": rows(self.counts),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @cached_property
    def digest_bytes(self) -> bytes:
        """SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.body).digest()

    @cached_property
    def digest(self) -> str:
        """Its name: "sha256:<hex>"."""
        return f"sha256:{self.digest_bytes.hex()}"

    @cached_property
    def normal_table(self) -> tuple[int, ...]:
        """The normal quantiles it names."""
        return table(self.quantiles)

    def budget(self, group: str) -> int:
        """What is left to explore with in a group, in units of 2^-16."""
        return self.exploration.get(group, FULL_BUDGET)

    def is_stale(self, now_ms: int) -> bool:
        """Whether it is older than a decision may rely on without saying so."""
        return now_ms - self.as_of_ms > STALE_AFTER_MS


def parse(body: bytes, digest: str) -> Snapshot:
    """The snapshot of these bytes. Raises FailedPrecondition SNAPSHOT_UNAVAILABLE unless they are what the digest says."""
    if f"sha256:{hashlib.sha256(body).hexdigest()}" != digest:
        raise _corrupt("The snapshot's bytes are not what its name says.")
    try:
        snapshot = _read(json.loads(body))
    except (ValueError, KeyError, TypeError):
        raise _corrupt("The snapshot cannot be read.") from None
    if snapshot.body != body:
        raise _corrupt("The snapshot's bytes are not canonical.")
    return snapshot


def _read(document: Any) -> Snapshot:
    if document["format"] != FORMAT:
        raise ValueError(document["format"])
    return Snapshot(
        version=document["version"],
        as_of_ms=document["as_of_ms"],
        counts={
            Key(model, action, context): Count(n, positives)
            for model, action, context, n, positives in document["counts"]
        },
        quantiles=document["tables"]["NQ"],
        exploration=document["exploration"],
    )


def _corrupt(text: str) -> FailedPrecondition:
    return FailedPrecondition(text, reason="SNAPSHOT_UNAVAILABLE")
