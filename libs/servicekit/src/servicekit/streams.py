"""The streams and buckets of the bus, as data: who writes and reads them is in `docs/architecture.md`.

Streams refuse new messages when they are full (discard new), because dropping old facts silently is not allowed; age is the only
thing that removes them. `ensure_streams` is run by whoever may administer the bus (`assent up`, a job), not by the services.

As a job: `python -m servicekit.streams --user U --password-file F [--replicas N] nats://HOST:PORT ...`; it waits for a server.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from nats.js.api import DiscardPolicy, KeyValueConfig, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError
from pydantic import SecretStr

from servicekit.nats import Bus, connect
from servicekit.partitions import partition_of
from servicekit.settings import NatsSettings

Kind = Literal["session", "bank", "profile", "consent", "signal", "decision", "outcome", "model"]

_NAME_IN_USE: Final = 10058
_MARKER_S: Final = 60
"""How long a bucket tells its watchers that a key expired; setting it is what lets keys expire at all."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream; `reason` says why its facts are kept that long."""

    name: str
    subjects: tuple[str, ...]
    max_age: timedelta
    duplicate_window: timedelta
    reason: str
    keeps_dead_bytes: bool = True
    """Whether a dead letter may hold the message: not where dead letters outlive the stream's own retention of personal data."""

    def config(self, replicas: int) -> StreamConfig:
        """What JetStream is asked for."""
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            max_age=self.max_age.total_seconds(),
            duplicate_window=self.duplicate_window.total_seconds(),
            discard=DiscardPolicy.NEW,
            storage=StorageType.FILE,
            num_replicas=replicas,
            allow_direct=True,
        )


@dataclass(frozen=True, slots=True)
class Bucket:
    """One key-value bucket."""

    name: str
    history: int

    def config(self, replicas: int) -> KeyValueConfig:
        """What JetStream is asked for."""
        return KeyValueConfig(
            bucket=self.name, history=self.history, replicas=replicas, direct=True, limit_marker_ttl=_MARKER_S
        )


def _days(days: int) -> timedelta:
    return timedelta(days=days)


_2_MIN, _10_MIN = timedelta(minutes=2), timedelta(minutes=10)

STREAMS: Final = (
    Stream(
        "SESSION_EVENTS",
        ("evt.session.*",),
        _days(7),
        _2_MIN,
        "re-running a detector over a week of sessions",
        keeps_dead_bytes=False,
    ),
    Stream("BANK_EVENTS", ("evt.bank.*", "evt.profile.*"), _days(30), _10_MIN, "a new reader starts with a month"),
    Stream("CONSENT", ("evt.consent.*",), _days(7), _10_MIN, "hints: readers ask the ledger, which keeps everything"),
    Stream("SIGNALS", ("evt.signal.*",), _days(30), _2_MIN, "a new reader starts with a month"),
    Stream("DECISIONS", ("evt.decision.*",), _days(30), _10_MIN, "orchestration's table is the record"),
    Stream("OUTCOMES", ("evt.outcome.*",), _days(30), _10_MIN, "the learner's ledger is the record"),
    Stream("MODELS", ("evt.model.*",), _days(30), _10_MIN, "notices: the snapshots are in their bucket"),
    Stream("DEAD_LETTERS", ("dead.>",), _days(14), _10_MIN, "two weeks to look, repair and send again"),
)

BUCKETS: Final = (Bucket("BUNDLES", history=1), Bucket("SNAPSHOTS", history=1), Bucket("LEASES", history=1))

BY_NAME: Final = {stream.name: stream for stream in STREAMS}
DEAD_BYTES_DROPPED: Final = frozenset(stream.name for stream in STREAMS if not stream.keeps_dead_bytes)


def subject(kind: Kind, key: str) -> str:
    """Where a fact about `key` is published: `evt.<kind>.<partition>`."""
    return f"evt.{kind}.{partition_of(key):02d}"


def dead_subject(service: str, stream: str) -> str:
    """Where `service` gives up a message of `stream`."""
    return f"dead.{service}.{stream}"


async def ensure_streams(bus: Bus, *, replicas: int = 1) -> None:
    """Create what is missing and change what differs; a repeat does nothing."""
    for stream in STREAMS:
        await _ensure_stream(bus, stream.config(replicas))
    for bucket in BUCKETS:
        await _ensure_bucket(bus, bucket.config(replicas))


async def _ensure_stream(bus: Bus, config: StreamConfig) -> None:
    try:
        await bus.js.add_stream(config)
    except BadRequestError as error:
        if error.err_code != _NAME_IN_USE:
            raise
        await bus.js.update_stream(config)


async def _ensure_bucket(bus: Bus, config: KeyValueConfig) -> None:
    try:
        await bus.js.stream_info(f"KV_{config.bucket}")
    except NotFoundError:
        await bus.js.create_key_value(config)


async def _prepare(settings: NatsSettings, user: str, replicas: int) -> None:
    async with connect(settings, user) as bus:
        await ensure_streams(bus, replicas=replicas)


def main(argv: Sequence[str]) -> None:
    """The job."""
    parser = argparse.ArgumentParser(prog="python -m servicekit.streams", description="Create streams and buckets.")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password-file", type=Path, required=True)
    parser.add_argument("--replicas", type=int, default=1, help="how many servers keep each stream: 3 in a cluster")
    parser.add_argument("servers", nargs="+")
    given = parser.parse_args(argv)
    password = SecretStr(given.password_file.read_text().strip())
    settings = NatsSettings(servers=tuple(given.servers), user=given.user, password=password)
    asyncio.run(_prepare(settings, given.user, given.replicas))


if __name__ == "__main__":
    main(sys.argv[1:])
