"""A fold: state that follows from a stream, partition by partition, on whichever replica holds the partition.

The service keeps state, position and epoch of a partition in one transaction: `load_position` reads the position, `apply` commits
a batch behind it and raises `Fenced` when the store has seen a newer epoch. So a crash repeats a batch at most, and a replica that
lost its lease without noticing changes nothing. One consumer serves all partitions of a replica; it is made anew when they change.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from google.protobuf.message import DecodeError

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import telemetry
from servicekit.clock import Clock, SystemClock
from servicekit.errors import AssentError, Conflict, Invalid, Unavailable
from servicekit.leases import Leases
from servicekit.nats import Bus
from servicekit.ordered import Ordered, last_sequence, next_sequence
from servicekit.partitions import Fenced
from servicekit.publishing import dead_letter
from servicekit.pull import Delivered
from servicekit.status import Verdict, verdict_of
from servicekit.streams import BY_NAME

logger = logging.getLogger(__name__)

Fact = tuple[int, Envelope, int]
"""Stream sequence, envelope, and when the stream took it: epoch milliseconds."""
Apply = Callable[[int, int, Sequence[Fact]], Awaitable[None]]
"""Commits facts of a partition with its epoch and the last sequence; raises Fenced when a newer epoch has committed."""
LoadPosition = Callable[[int], Awaitable[int]]
"""The sequence that the partition's state stands at; 0 when there is none."""


@dataclass(frozen=True, slots=True)
class FoldSettings:
    """How a fold works; seconds. `at_once` partitions are applied at the same time: what a connection pool can serve, unless
    the service lets them share transactions. `linger_s`: for how long a batch may fill; `gather_s` instead: how long what is
    new may wait, for those who are in no hurry.
    """

    batch: int = 256
    taken: int = 1024
    linger_s: float = 0.005
    gather_s: float = 0
    at_once: int = 8
    attempts: int = 8
    first_backoff_s: float = 0.05
    longest_backoff_s: float = 5


DEFAULTS: Final = FoldSettings()


async def fold(
    bus: Bus,
    leases: Leases,
    stream: str,
    *,
    apply: Apply,
    load_position: LoadPosition,
    settings: FoldSettings = DEFAULTS,
    clock: Clock | None = None,
) -> None:
    """Apply the facts of `stream` in the partitions that `leases` holds, for ever: a task of the service's App."""
    folding = Fold(
        bus=bus,
        leases=leases,
        stream=stream,
        apply=apply,
        load_position=load_position,
        settings=settings,
        clock=clock or SystemClock(),
    )
    while True:
        change = leases.next_change()
        held = leases.held
        if not held:
            await change.wait()
            continue
        try:
            await folding.run(held, change)
        except AssentError as error:
            logger.warning("folding %s starts again: %s", stream, error.code)
            await asyncio.sleep(settings.first_backoff_s)


@dataclass(kw_only=True, slots=True, eq=False)
class Fold:
    """The work of `fold`; `positions` holds (epoch, sequence) of each partition."""

    bus: Bus
    leases: Leases
    stream: str
    apply: Apply
    load_position: LoadPosition
    settings: FoldSettings
    clock: Clock
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self.slots = asyncio.Semaphore(self.settings.at_once)

    async def run(self, held: Mapping[int, int], change: asyncio.Event) -> None:
        """Apply what comes until the set of partitions changes."""
        await asyncio.gather(*(self._load(partition, epoch) for partition, epoch in held.items()))
        reader = Ordered(
            self.bus, self.stream, self._subjects(held), start=await self._start(held), batch=self.settings.taken
        )
        changed = asyncio.ensure_future(change.wait())
        try:
            while not changed.done():
                await self._turn(reader, changed, held)
        finally:
            changed.cancel()
            await reader.close()

    async def _load(self, partition: int, epoch: int) -> None:
        """Another epoch means that somebody else may have committed in between: ask the store again."""
        known_epoch, _ = self.positions.get(partition, (None, 0))
        if known_epoch != epoch:
            self.positions[partition] = (epoch, await self.load_position(partition))

    def _subjects(self, held: Mapping[int, int]) -> list[str]:
        patterns = BY_NAME[self.stream].subjects
        return [pattern.replace("*", f"{partition:02d}") for pattern in patterns for partition in sorted(held)]

    async def _start(self, held: Mapping[int, int]) -> int:
        """The first sequence that matters to any partition; one that was quiet for long does not start all from there."""
        end = await last_sequence(self.bus, self.stream)
        asked = [
            next_sequence(self.bus, self.stream, subject, self.positions[int(subject[-2:])][1])
            for subject in self._subjects(held)
        ]
        found = await asyncio.gather(*asked)
        return min((sequence for sequence in found if sequence is not None), default=end + 1)

    async def _turn(self, reader: Ordered, changed: asyncio.Future[Literal[True]], held: Mapping[int, int]) -> None:
        taking = asyncio.ensure_future(reader.take(linger_s=self.settings.linger_s, gather_s=self.settings.gather_s))
        try:
            await asyncio.wait((taking, changed), return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                await self._fold(taking.result(), held)
        finally:
            taking.cancel()

    async def _fold(self, taken: list[Delivered], held: Mapping[int, int]) -> None:
        by_partition: defaultdict[int, list[Delivered]] = defaultdict(list)
        for message in taken:
            by_partition[int(message.raw_subject[-2:])].append(message)
        await asyncio.gather(
            *(self._fold_partition(partition, held[partition], lane) for partition, lane in by_partition.items())
        )

    async def _fold_partition(self, partition: int, epoch: int, messages: list[Delivered]) -> None:
        async with self.slots:
            try:
                for start in range(0, len(messages), self.settings.batch):
                    await self._fold_batch(partition, epoch, messages[start : start + self.settings.batch])
            except Fenced:
                self.leases.drop(partition, epoch)

    async def _fold_batch(self, partition: int, epoch: int, messages: list[Delivered]) -> None:
        position = self.positions[partition][1]
        new = [message for message in messages if message.sequence > position]
        if not new:
            return
        facts = [fact for message in new if (fact := await self._read(message)) is not None]
        if facts and await self._commit(partition, epoch, facts, attempts=1):
            await self._one_by_one(partition, epoch, new)
        self.positions[partition] = (epoch, new[-1].sequence)

    async def _read(self, message: Delivered) -> Fact | None:
        """The fact; None when the bytes are none, which is then a dead letter."""
        fact = _fact(message)
        if fact is None:
            await self._give_up(message, Invalid("The message is not an envelope.", reason="MALFORMED"))
        return fact

    async def _one_by_one(self, partition: int, epoch: int, messages: list[Delivered]) -> None:
        """Find the message that a batch failed on: the others count, and that one becomes a dead letter."""
        for message in messages:
            fact = _fact(message)
            failure = fact and await self._commit(partition, epoch, [fact], attempts=self.settings.attempts)
            if failure:
                await self._give_up(message, failure)

    async def _commit(self, partition: int, epoch: int, facts: list[Fact], *, attempts: int) -> AssentError | None:
        """None once the facts are in. What is away is waited for as long as the lease is held, all else `attempts` times."""
        failures = 0
        for tries in itertools.count():
            try:
                await self._apply_once(partition, epoch, facts)
            except Fenced:
                raise
            except (Unavailable, Conflict) as error:
                logger.info("folding waits: %s", error.code)
            except Exception as error:  # noqa: BLE001  # every failure is judged
                failures += 1
                if failures >= attempts or verdict_of(error) is Verdict.DEAD_LETTER:
                    return self._known(error)
            else:
                return None
            await self._back_off(tries)
        raise AssertionError

    async def _apply_once(self, partition: int, epoch: int, facts: list[Fact]) -> None:
        attributes: telemetry.Attributes = {
            telemetry.STREAM: self.stream,
            telemetry.PARTITION: partition,
            telemetry.COUNT: len(facts),
        }
        async with self.leases.using(partition, epoch):
            with telemetry.span(telemetry.FOLD_APPLY, attributes):
                await self.apply(partition, epoch, facts)

    def _known(self, error: Exception) -> AssentError:
        if isinstance(error, AssentError):
            return error
        logger.error("a fold failed", exc_info=error, extra={"stream": self.stream})
        return AssentError("The fold failed.", reason="INTERNAL")

    async def _back_off(self, tries: int) -> None:
        wait = self.settings.first_backoff_s * 2 ** min(tries, 16)
        await asyncio.sleep(min(self.settings.longest_backoff_s, wait))

    async def _give_up(self, message: Delivered, error: AssentError) -> None:
        """Store the dead letter, however long that takes: nothing is skipped without one."""
        now_ms = self.clock.now_us() // 1000
        for tries in itertools.count():
            try:
                return await dead_letter(
                    self.bus, message, consumer=self.bus.service, error=error, recorded_at_ms=now_ms
                )
            except AssentError as failure:
                logger.warning("a dead letter could not be stored: %s", failure.code)
            await self._back_off(tries)
        raise AssertionError


def _fact(message: Delivered) -> Fact | None:
    try:
        return message.sequence, Envelope.FromString(message.data), message.timestamp_ms
    except DecodeError:
        return None
