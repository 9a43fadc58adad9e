"""Snapshots on the bus: the builder publishes, every replica follows head and keeps the last versions in memory.

Bucket SNAPSHOTS: `v<version>` holds a version's canonical bytes, `head` names the newest one with its digest. Bytes come before
head moves, and head only moves forward, so whoever sees head can load it, and a repeated or late publication changes nothing.
A replica swaps one reference: a request sees one version from its beginning to its end.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from nats.errors import Error
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from assent.events.v1.envelope_pb2 import Envelope
from assent.events.v1.outcome_pb2 import SnapshotPublished
from ranking_service.domain.snapshot import Snapshot, parse
from ranking_service.ports import Publication, Snapshots, SnapshotStore
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from servicekit.nats import Bus
from servicekit.ordered import Ordered
from servicekit.streams import subject

logger = logging.getLogger(__name__)

BUCKET: Final = "SNAPSHOTS"
HEAD: Final = "head"
KEPT_IN_BUCKET: Final = 64
"""Versions that the bucket keeps behind head; PostgreSQL has them all."""
KEPT_IN_MEMORY: Final = 8
ATTEMPTS: Final = 16


class BucketPublication:
    """Publishes snapshots to the bucket and says so on the bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, snapshot: Snapshot) -> None:
        """Bytes, then head, then the notice."""
        try:
            bucket = await self._bus.kv(BUCKET)
            await bucket.put(key_of(snapshot.version), snapshot.body)
            await _move_head(bucket, snapshot)
            await self._drop_old(bucket, snapshot.version - KEPT_IN_BUCKET)
        except (Error, TimeoutError) as error:
            raise Unavailable("The bucket of snapshots is away.", reason="NO_BUCKET") from error
        await self._bus.publish(subject("model", HEAD), notice(snapshot))

    @staticmethod
    async def _drop_old(bucket: KeyValue, version: int) -> None:
        if version > 0:
            await bucket.purge(key_of(version))


def key_of(version: int) -> str:
    """The bucket's key of a version."""
    return f"v{version}"


def notice(snapshot: Snapshot) -> Envelope:
    """The fact that a snapshot is head; the same snapshot gives the same fact."""
    return Envelope(
        event_id=f"snapshot-{snapshot.version}-{snapshot.digest_bytes.hex()[:16]}",
        key=HEAD,
        occurred_at_ms=snapshot.as_of_ms,
        recorded_at_ms=snapshot.as_of_ms,
        producer="ranking",
        snapshot_published=SnapshotPublished(
            version=snapshot.version, digest=snapshot.digest, as_of_ms=snapshot.as_of_ms
        ),
    )


async def _move_head(bucket: KeyValue, snapshot: Snapshot) -> None:
    """Point head at the snapshot unless it is there or further; whoever loses a race looks again."""
    head = {"version": snapshot.version, "digest": snapshot.digest, "as_of_ms": snapshot.as_of_ms}
    written = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    for _ in range(ATTEMPTS):
        if await _try_to_move(bucket, snapshot.version, written):
            return
    raise Unavailable("Head moves all the time.", reason="HEAD_BUSY")


async def _head(bucket: KeyValue) -> tuple[int, int]:
    """The version that head names and the revision that a change must follow; 0 where there is none."""
    try:
        entry = await bucket.get(HEAD)
    except KeyNotFoundError:
        return 0, 0
    try:
        return _named(entry.value or b"")[0], entry.revision or 0
    except FailedPrecondition:
        return 0, entry.revision or 0


async def _try_to_move(bucket: KeyValue, version: int, written: bytes) -> bool:
    named, revision = await _head(bucket)
    if named >= version:
        return True
    with suppress(KeyWrongLastSequenceError):
        await (bucket.update(HEAD, written, last=revision) if revision else bucket.create(HEAD, written))
        return True
    return False


class Replica:
    """The snapshots of this process. Older versions come from the store, which checks their digest too."""

    def __init__(self, bus: Bus, store: SnapshotStore) -> None:
        self._bus = bus
        self._store = store
        self._head: Snapshot | None = None
        self._loaded: OrderedDict[int, Snapshot] = OrderedDict()

    def head(self) -> Snapshot:
        """The newest that this replica has."""
        if self._head is None:
            raise _unavailable("There is no snapshot yet.")
        return self._head

    async def get(self, version: int) -> Snapshot:
        """That version, loaded when it is not in memory."""
        found = self._loaded.get(version) or await self._store.get(version)
        if found is None:
            raise _unavailable("There is no such snapshot.")
        self._keep(found)
        return found

    async def check(self) -> None:
        """Readiness: there is a head."""
        if self._head is None:
            raise Unavailable("There is no snapshot yet.", reason="SNAPSHOT_UNAVAILABLE")

    async def follow(self) -> None:
        """Keep up with head, for ever; what cannot be loaded or is not what head says is left out."""
        reader = Ordered(self._bus, f"KV_{BUCKET}", [f"$KV.{BUCKET}.{HEAD}"], latest=True)
        while True:
            newest = (await reader.take())[-1]
            try:
                if newest.data:  # a deleted key has none
                    await self._swap(newest.data)
            except AssentError as error:
                logger.error("a snapshot was refused", extra={"reason": error.code})  # noqa: TRY400  # it says it all

    async def _swap(self, named: bytes) -> None:
        version, digest = _named(named)
        if self._head is None or version > self._head.version:
            snapshot = parse(await self._body(version), digest)
            self._keep(snapshot)
            self._head = snapshot

    async def _body(self, version: int) -> bytes:
        try:
            entry = await (await self._bus.kv(BUCKET)).get(key_of(version))
        except KeyNotFoundError:
            raise _unavailable("The snapshot is not stored.") from None
        except (Error, TimeoutError) as error:
            raise Unavailable("The bucket of snapshots is away.", reason="NO_BUCKET") from error
        return entry.value or b""

    def _keep(self, snapshot: Snapshot) -> None:
        self._loaded[snapshot.version] = snapshot
        self._loaded.move_to_end(snapshot.version)
        while len(self._loaded) > KEPT_IN_MEMORY:
            self._loaded.popitem(last=False)


def _named(head: bytes) -> tuple[int, str]:
    try:
        document = json.loads(head)
        return int(document["version"]), str(document["digest"])
    except (ValueError, KeyError, TypeError):
        raise _unavailable("Head cannot be read.") from None


def _unavailable(text: str) -> FailedPrecondition:
    return FailedPrecondition(text, reason="SNAPSHOT_UNAVAILABLE")


@asynccontextmanager
async def following(bus: Bus, store: SnapshotStore) -> AsyncIterator[Replica]:
    """A replica that follows head until the context ends."""
    replica = Replica(bus, store)
    task = asyncio.create_task(replica.follow(), name="snapshots")
    try:
        yield replica
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


_publication: type[Publication] = BucketPublication
_snapshots: type[Snapshots] = Replica
