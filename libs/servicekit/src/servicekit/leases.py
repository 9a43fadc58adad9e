"""Partition leases in the bucket LEASES: heartbeats, takeover within five seconds, release on leaving.

Each replica says twice a second that it lives (a key that expires by itself) and watches the others; who was not heard for
DEAD_AFTER_S on the watcher's own clock is dead. A replica that could not confirm its own heartbeat for VALID_FOR_S, which is less,
stops using its leases before anybody takes them. Every change is conditional on the revision that was seen, so two never
get the same epoch.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

from servicekit import telemetry
from servicekit.cancelling import ended
from servicekit.clock import Clock, SystemClock
from servicekit.errors import AssentError, Unavailable
from servicekit.nats import Bus
from servicekit.ordered import Ordered
from servicekit.partitions import NOBODY, Fenced, Lease, next_epoch, plan
from servicekit.publishing import store
from servicekit.pull import Delivered
from servicekit.rpc import headers

logger = logging.getLogger(__name__)

HEARTBEAT_S: Final = 0.5
VALID_FOR_S: Final = 2.0
DEAD_AFTER_S: Final = 3.0
STEP_S: Final = 0.25
FORGET_S: Final = 10
ALIVE, LEAVING = b"alive", b"leaving"

OnChange = Callable[[Mapping[int, int]], None]
"""Hears the partitions held and their epochs after each change."""


class Leases:
    """The partitions that this replica holds."""

    def __init__(self, bus: Bus, service: str, instance: str, on_change: OnChange | None, clock: Clock) -> None:
        self._bus = bus
        self._service = service
        self._me = f"{instance}-{bus.nc.new_inbox()[-8:]}".replace(".", "-")
        self._on_change = on_change
        self._clock = clock
        self._prefix = f"$KV.LEASES.{service}."
        self._leases: dict[int, Lease] = {}
        self._held: dict[int, int] = {}
        self._heard: dict[str, float] = {}
        self._confirmed = self._watching_since = float("-inf")
        self._caught_up = False
        self._cooling: dict[int, float] = {}
        self._in_use: Counter[int] = Counter()
        self._changed = asyncio.Event()
        self._freed = asyncio.Event()

    @property
    def held(self) -> Mapping[int, int]:
        """Partitions held now and the epoch of each; empty while this replica cannot be sure."""
        return MappingProxyType(dict(self._held) if self._is_valid() else {})

    def next_change(self) -> asyncio.Event:
        """Is set when `held` changes next; ask for it before looking at `held`."""
        return self._changed

    @asynccontextmanager
    async def using(self, partition: int, epoch: int) -> AsyncIterator[None]:
        """Keep a partition from being given back during the block; raises Fenced when it is not held with this epoch."""
        if self.held.get(partition) != epoch:
            raise Fenced
        self._in_use[partition] += 1
        try:
            yield
        finally:
            self._in_use[partition] -= 1
            self._freed.set()

    def drop(self, partition: int, epoch: int) -> None:
        """Stop holding what a newer owner was found to have; it is tried again a little later, with a newer epoch."""
        if self._held.get(partition) == epoch:
            self._cooling[partition] = time.monotonic() + 1
            self._lose([partition])

    # Tasks

    async def beat(self) -> None:
        """Say that this replica lives, for ever."""
        while True:
            await self._say(ALIVE)
            await asyncio.sleep(HEARTBEAT_S)

    async def watch(self) -> None:
        """Learn what all replicas say, for ever."""
        reader = Ordered(self._bus, "KV_LEASES", [f"{self._prefix}>"], latest=True)
        try:
            while True:
                taken = await reader.take()
                for message in taken:
                    self._learn(message)
                if taken[-1].pending == 0:
                    self._caught_up = True
        finally:
            await reader.close()

    async def work(self) -> None:
        """Come to the share that is this replica's, for ever."""
        while True:
            try:
                await self._step()
            except AssentError as error:
                logger.info("leases wait: %s", error.code)
            await asyncio.sleep(STEP_S)

    async def leave(self) -> None:
        """Give everything back once it is not in use, and say goodbye."""
        try:
            async with asyncio.timeout(VALID_FOR_S):
                await self._release(list(self._held))
                await self._say(LEAVING)
        except (AssentError, TimeoutError):
            logger.info("leases are left to expire")

    # Steps

    def _is_valid(self) -> bool:
        return time.monotonic() - self._confirmed < VALID_FOR_S

    async def _say(self, word: bytes) -> None:
        before = time.monotonic()
        try:
            await self._put(f"live.{self._me}", word, headers.write_expiring(FORGET_S), seconds=VALID_FOR_S)
            self._confirmed = before
        except AssentError:
            return

    async def _step(self) -> None:
        if not self._is_valid():
            self._lose(list(self._held))
        elif self._caught_up:
            todo = plan(self._leases, self._held, self._live(), self._me)
            await self._release(todo.release)
            await self._take(todo.take)

    def _live(self) -> set[str]:
        """Who was heard lately; while we ourselves could not hear, nobody is declared dead."""
        now = time.monotonic()
        since = max(self._watching_since, now - DEAD_AFTER_S)
        if now - self._watching_since < DEAD_AFTER_S:
            return {*self._heard, self._me}
        return {self._me, *(name for name, at in self._heard.items() if at >= since)}

    async def _take(self, partitions: Iterable[int]) -> None:
        now = time.monotonic()
        wanted = [partition for partition in partitions if self._cooling.get(partition, 0) <= now]
        taken = await asyncio.gather(*(self._take_one(partition) for partition in wanted))
        got = {partition: lease.epoch for partition, lease in zip(wanted, taken, strict=True) if lease}
        if got:
            self._held.update(got)
            self._tell()

    async def _take_one(self, partition: int) -> Lease | None:
        seen = self._leases.get(partition, Lease())
        return await self._change(partition, seen, self._me, next_epoch(seen, self._clock.now_us() // 1000))

    async def _release(self, partitions: Iterable[int]) -> None:
        losing = list(partitions)
        epochs = {partition: self._held[partition] for partition in losing}
        self._lose(losing)
        await asyncio.gather(*(self._release_one(partition, epoch) for partition, epoch in epochs.items()))

    async def _release_one(self, partition: int, epoch: int) -> None:
        while self._in_use[partition]:
            self._freed.clear()
            await self._freed.wait()
        seen = self._leases.get(partition, Lease())
        if (seen.owner, seen.epoch) == (self._me, epoch):
            await self._change(partition, seen, NOBODY, epoch)

    async def _change(self, partition: int, seen: Lease, owner: str, epoch: int) -> Lease | None:
        """The lease as it is now if nobody was first."""
        value = json.dumps({"owner": owner, "epoch": epoch}).encode()
        try:
            revision = await self._put(f"{partition:02d}", value, headers.write_expecting(seen.revision))
        except Unavailable as error:
            logger.info("a lease stays as it is: %s", error.code)
            return None
        lease = Lease(owner, epoch, revision)
        self._keep(partition, lease)
        return lease

    async def _put(self, key: str, value: bytes, head: bytes, seconds: float = 1.0) -> int:
        return (await store(self._bus, self._prefix + key, head, value, seconds)).sequence

    # What is learned

    def _learn(self, message: Delivered) -> None:
        key = message.subject.removeprefix(self._prefix)
        if key.startswith("live."):
            self._hear(key.removeprefix("live."), message.data)
        elif key.isdigit() and message.data:
            value = json.loads(message.data)
            self._keep(int(key), Lease(value["owner"], value["epoch"], message.sequence))

    def _hear(self, name: str, word: bytes) -> None:
        now = time.monotonic()
        if word != ALIVE:
            self._heard.pop(name, None)
            return
        if name == self._me and now - self._heard.get(name, 0) > DEAD_AFTER_S / 2:
            self._watching_since = now
        self._heard[name] = now

    def _keep(self, partition: int, lease: Lease) -> None:
        if lease.revision > self._leases.get(partition, Lease()).revision:
            self._leases[partition] = lease
            if partition in self._held and (lease.owner, lease.epoch) != (self._me, self._held[partition]):
                self._lose([partition])

    def _lose(self, partitions: Iterable[int]) -> None:
        lost = [partition for partition in partitions if self._held.pop(partition, None) is not None]
        if lost:
            self._tell()

    def _tell(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()
        telemetry.gauge(telemetry.PARTITIONS_OWNED, len(self._held))
        if self._on_change:
            self._on_change(dict(self._held))


@asynccontextmanager
async def own(
    bus: Bus, service: str, instance: str, on_change: OnChange | None = None, *, clock: Clock | None = None
) -> AsyncIterator[Leases]:
    """Take part in sharing the partitions of `service` while the block runs; leaving gives them back at once."""
    leases = Leases(bus, service, instance, on_change, clock or SystemClock())
    tasks = [_start(task()) for task in (leases.beat, leases.watch, leases.work)]
    try:
        yield leases
    finally:
        await ended(*tasks)
        await leases.leave()


def _start(work: Awaitable[None]) -> asyncio.Future[None]:
    return asyncio.ensure_future(work)
