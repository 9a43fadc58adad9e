"""What the stream CONSENT says of entries: that something changed, never what. The event rows are the outbox; this is their relay."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

from assent.events.v1.consent_pb2 import ConsentNarrowed, ConsentWidened, LedgerChange, SubjectErased
from assent.events.v1.envelope_pb2 import Envelope
from consent_service.domain.words import DENIALS, Kind
from servicekit import streams
from servicekit.errors import AssentError, Unavailable
from servicekit.gates import Gate
from servicekit.partitions import partition_of

logger = logging.getLogger(__name__)

BATCH: Final = 256
POLL_S: Final = 0.5
"""How long an entry waits when nobody woke the relay, and how often a standby asks to be the one."""
FIRST_WAIT_S: Final = 0.1
LONGEST_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Announced:
    """An entry as far as the stream is concerned."""

    index: int
    kind: Kind
    epoch: int
    effective: bool
    event_us: int
    recorded_us: int
    subject: str | None


class Reading(Protocol):
    """The one relay's reading of the outbox. Every method raises Unavailable when the primary does not answer."""

    async def cursor(self) -> int:
        """The index that was published last."""
        ...

    async def heads(self) -> dict[int, int]:
        """The last index published on each partition."""
        ...

    async def after(self, index: int, amount: int) -> Sequence[Announced]:
        """The entries after an index, in order."""
        ...

    async def advance(self, index: int, heads: Mapping[int, int]) -> None:
        """Remember that everything up to the index is published."""
        ...


class Outbox(Protocol):
    """Where entries wait to be published."""

    def reading(self) -> AbstractAsyncContextManager[Reading | None]:
        """Be the one relay; None while somebody else is."""
        ...


_BODIES: Final = {
    "consent_widened": ConsentWidened,
    "consent_narrowed": ConsentNarrowed,
    "subject_erased": SubjectErased,
}


class Publisher(Protocol):
    """Publishes facts; `servicekit.nats.Bus` is one."""

    async def publish(self, subject: str, envelope: Envelope) -> Any:
        """Return once the stream has the fact; raises Unavailable otherwise."""
        ...


def narrows(kind: Kind) -> bool:
    """Whether an entry of this kind can turn a yes into a no. Linking does; separating may give back."""
    return kind in DENIALS or kind in (Kind.LINKED, Kind.SEALED)


def changes(entry: Announced) -> bool:
    """Whether anybody's verdict may differ after the entry, and it is known whose."""
    return entry.subject is not None and entry.effective


def name_of(kind: Kind) -> str:
    """What an entry of this kind is announced as: the field of the envelope's body, and of a stream's message."""
    if kind is Kind.ERASURE:
        return "subject_erased"
    return "consent_narrowed" if narrows(kind) else "consent_widened"


def said(entry: Announced, ledger: str, previous: int | None) -> dict[str, Any]:
    """What is said of an entry, by the name of its field."""
    change = LedgerChange(
        ledger=ledger, epoch=entry.epoch, index=entry.index, previous_index=previous, subject_id=entry.subject or ""
    )
    name = name_of(entry.kind)
    return {name: _BODIES[name](change=change)}


def announcement(entry: Announced, ledger: str, previous: int | None) -> Envelope:
    """The message for an entry; its id is the ledger's and the index, so a repeat is dropped."""
    assert entry.subject is not None
    return Envelope(
        event_id=f"{ledger}:{entry.index}",
        key=entry.subject,
        occurred_at_ms=entry.event_us // 1000,
        recorded_at_ms=entry.recorded_us // 1000,
        producer="consent",
        **said(entry, ledger, previous),
    )


def messages(
    entries: Sequence[Announced], ledger: str, heads: Mapping[int, int]
) -> dict[int, list[tuple[int, str, Envelope]]]:
    """By partition the entries after which anybody's verdict may differ: index, subject, envelope. `heads` is what was published before."""
    lanes: dict[int, list[tuple[int, str, Envelope]]] = defaultdict(list)
    for entry in entries:
        if entry.subject is None or not changes(entry):
            continue
        partition = partition_of(entry.subject)
        lane = lanes[partition]
        previous = lane[-1][0] if lane else heads.get(partition)
        lane.append((entry.index, streams.subject("consent", entry.subject), announcement(entry, ledger, previous)))
    return lanes


class Relay:
    """Publishes what was appended: in order on each partition, different partitions at the same time.

    It is at work where the writer is: while `gate` is open, woken by `appended`; `tell` wakes whoever else waits for entries here.
    """

    def __init__(
        self,
        outbox: Outbox,
        bus: Publisher,
        ledger: str,
        gate: Gate,
        appended: asyncio.Event,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self._outbox = outbox
        self._bus = bus
        self._ledger = ledger
        self._gate = gate
        self._appended = appended
        self._tell = tell

    async def run(self) -> NoReturn:
        """For ever; waits while the database or the bus is away."""
        wait = FIRST_WAIT_S
        while True:
            await self._gate.opened()
            try:
                async with self._outbox.reading() as reading:
                    if reading is not None:
                        await self._publish(reading)
            except Unavailable as error:
                logger.warning("the relay could not publish: %s", error.code)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                wait = FIRST_WAIT_S
                await asyncio.sleep(POLL_S)

    async def _publish(self, reading: Reading) -> None:
        cursor, heads = await reading.cursor(), await reading.heads()
        while self._gate.is_open:
            self._appended.clear()
            self._tell()
            while entries := await reading.after(cursor, BATCH):
                cursor = await self.publish(reading, entries, cursor, heads)
            await self._woken()

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._appended.wait()
        except TimeoutError:
            return

    async def publish(self, reading: Reading, entries: Sequence[Announced], cursor: int, heads: dict[int, int]) -> int:
        """Publish these entries; the index up to which everything is published now. Raises after remembering what did get out."""
        lanes = messages(entries, self._ledger, heads)
        failures = await asyncio.gather(*(self._lane(lane) for lane in lanes.values()))
        failed = [failure for failure in failures if failure is not None]
        before = min((index for index, _ in failed), default=entries[-1].index + 1)
        done = max((entry.index for entry in entries if entry.index < before), default=cursor)
        moved = {
            partition: last
            for partition, lane in lanes.items()
            if (last := max((index for index, _, _ in lane if index < before), default=-1)) >= 0
        }
        if done > cursor:
            await reading.advance(done, moved)
            heads.update(moved)
        if failed:
            raise min(failed, key=lambda found: found[0])[1]
        return done

    async def _lane(self, lane: Sequence[tuple[int, str, Envelope]]) -> tuple[int, AssentError] | None:
        """The first failure holds back the rest."""
        for index, subject, envelope in lane:
            try:
                await self._bus.publish(subject, envelope)
            except AssentError as error:
                return index, error
        return None
