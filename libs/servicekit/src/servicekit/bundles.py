"""The active bundle, held in memory and swapped atomically; older bundles by digest, for replay.

The content service writes the bucket BUNDLES: `active` names the digest that counts, what is stopped, and a revision;
a bundle's canonical JSON stands under its digest in hex. Every replica reads `active` four times a second, loads before it
swaps, and ignores a revision older than its own, so that no request sees two bundles and time cannot go back. Reading costs one
small message and survives every kind of outage by itself; a subscription would have to be noticed dead and made again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, NoReturn, TypeVar

from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError
from nats.js.kv import KeyValue

from servicekit.cancelling import ended
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from servicekit.nats import Bus
from servicekit.rpc import headers

logger = logging.getLogger(__name__)

BUCKET = "BUNDLES"
ACTIVE = "active"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
EVERY_S = 0.25
ANSWERED_WITHIN_S = 5.0
_NEWEST = f"$JS.API.DIRECT.GET.KV_{BUCKET}.$KV.{BUCKET}.{ACTIVE}".encode()
"""The newest value of a key, asked of the stream under its bucket: one message there and one back, nothing to parse while it is the same."""
KEPT = 8
"""Bundles kept in memory: the active one and those that replay asked for last."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Active(Generic[T]):
    """What counts now: `killed` holds "<kind>:<id>" of everything stopped."""

    digest: str
    bundle: T
    killed: frozenset[str]
    revision: int

    def killed_of(self, kind: str) -> tuple[str, ...]:
        """Ids of one kind (action, treatment, signal, model) that are stopped, sorted."""
        prefix = f"{kind}:"
        return tuple(sorted(name.removeprefix(prefix) for name in self.killed if name.startswith(prefix)))


def digest_of(document: bytes) -> str:
    """The name of a bundle: "sha256:<hex>" of its canonical JSON."""
    return f"sha256:{hashlib.sha256(document).hexdigest()}"


def key_of(digest: str) -> str:
    """The bucket's key of a bundle."""
    return digest.removeprefix("sha256:")


class Bundles(Generic[T]):
    """Gives the active bundle without waiting, and any stored one by digest."""

    def __init__(self, bus: Bus, bucket: KeyValue, parse: Callable[[bytes], T]) -> None:
        self._bus = bus
        self._bucket = bucket
        self._parse = parse
        self._named = b""
        self._active: Active[T] | None = None
        self._loaded: OrderedDict[str, T] = OrderedDict()
        self._changed = asyncio.Condition()

    def active(self) -> Active[T]:
        """What counts now. Raises Unavailable NO_ACTIVE_BUNDLE before the first activation."""
        if self._active is None:
            raise Unavailable("No bundle is active yet", reason="NO_ACTIVE_BUNDLE")
        return self._active

    async def check(self) -> None:
        """Readiness: there is an active bundle."""
        self.active()

    async def get(self, digest: str) -> T:
        """The bundle of that digest. Raises FailedPrecondition BUNDLE_UNKNOWN when it is not stored or not what its name says."""
        found = self._loaded.get(digest)
        if found is not None:
            self._loaded.move_to_end(digest)
            return found
        return self._keep(digest, self._parse(await self._document(digest)))

    async def wait_for(self, revision: int, timeout: float) -> Active[T]:  # noqa: ASYNC109 - a bound, not a scope
        """The active bundle once it is at least of `revision`."""
        async with asyncio.timeout(timeout), self._changed:
            await self._changed.wait_for(lambda: self._active is not None and self._active.revision >= revision)
        return self.active()

    async def follow(self) -> NoReturn:
        """Keep up with `active` for as long as the task lives."""
        while True:
            try:
                await self._read_active()
            except (AssentError, NatsError, OSError, ValueError) as error:
                logger.warning("the active bundle cannot be read", extra={"reason": type(error).__name__})
            await asyncio.sleep(EVERY_S)

    async def _read_active(self) -> None:
        head, named = await self._bus.replies.ask(_NEWEST, headers.write_plain(), b"", ANSWERED_WITHIN_S)
        if b"Nats-Sequence" in headers.read(head) and named != self._named:
            await self._swap(json.loads(named))
            self._named = named

    async def _swap(self, named: dict[str, object]) -> None:
        revision = int(str(named["revision"]))
        if self._active is not None and revision <= self._active.revision:
            return
        digest = str(named["digest"])
        bundle = await self.get(digest)
        killed = named["killed"]
        assert isinstance(killed, list)
        async with self._changed:
            self._active = Active(digest, bundle, frozenset(map(str, killed)), revision)
            self._changed.notify_all()

    async def _document(self, digest: str) -> bytes:
        # A digest comes from a caller, and becomes part of a subject.
        if not DIGEST.fullmatch(digest):
            raise FailedPrecondition("This bundle is not stored", reason="BUNDLE_UNKNOWN")
        try:
            entry = await self._bucket.get(key_of(digest))
        except KeyNotFoundError as missing:
            raise FailedPrecondition("This bundle is not stored", reason="BUNDLE_UNKNOWN") from missing
        except (NatsError, TimeoutError, OSError) as error:
            raise Unavailable("The bucket of bundles is away", reason="BUS_AWAY") from error
        document = entry.value or b""
        if digest_of(document) != digest:
            raise FailedPrecondition("The stored bundle is not what its name says", reason="BUNDLE_UNKNOWN")
        return document

    def _keep(self, digest: str, bundle: T) -> T:
        self._loaded[digest] = bundle
        while len(self._loaded) > KEPT:
            self._loaded.popitem(last=False)
        return bundle


@asynccontextmanager
async def watch(bus: Bus, parse: Callable[[bytes], T]) -> AsyncIterator[Bundles[T]]:
    """Follow the active bundle until the context ends."""
    bundles = Bundles(bus, await bus.kv(BUCKET), parse)
    following = asyncio.create_task(bundles.follow(), name="bundles")
    try:
        yield bundles
    finally:
        await ended(following)
