"""The outbox: a fact is written in the transaction of the state it speaks of, and published afterwards until the stream acknowledges.

One relay per service is at work, whoever holds an advisory lock; a standby takes over when that session ends. Facts of one subject are
published one after the other in the order of their positions; different subjects at the same time. A crash between acknowledgement and
removal publishes again: `Nats-Msg-Id` is the event id, and readers are idempotent besides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any, NoReturn, Protocol

from assent.events.v1.envelope_pb2 import Envelope
from servicekit import queries
from servicekit.errors import AssentError, Unavailable
from servicekit.postgres import Connection, Pool, is_lost, session, translated

logger = logging.getLogger(__name__)
sql = queries.load("servicekit")

BATCH = 256
POLL_S = 1.0
"""How long a fact waits when its wake-up call got lost, and how often a standby asks to lead."""
LONGEST_WAIT_S = 5.0


class Publisher(Protocol):
    """Publishes facts; `servicekit.nats.Bus` is one."""

    async def publish(self, subject: str, envelope: Envelope) -> Any:
        """Return once the stream has the fact; raises Unavailable otherwise."""
        ...


async def add(connection: Connection, envelope: Envelope, subject: str) -> None:
    """Publish `envelope` on `subject` once the transaction of `connection` has committed, and not if it rolls back."""
    await sql.add_to_outbox(
        connection, event_id=envelope.event_id, subject=subject, envelope=envelope.SerializeToString()
    )


async def relay(pool: Pool, bus: Publisher) -> NoReturn:
    """Publish what the outbox holds, for ever; waits while the database or the bus is away. A task of the service's App."""
    wait = POLL_S / 10
    while True:
        try:
            async with _leading(pool) as (connection, woken):
                wait = POLL_S / 10
                await _publish_for_ever(connection, bus, woken)
        except Unavailable:
            logger.warning("the relay of the outbox lost the database")
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT_S)


@asynccontextmanager
async def _leading(pool: Pool) -> AsyncIterator[tuple[Connection, asyncio.Event]]:
    """A connection that holds the lock, and an event that is set when there may be new facts."""
    woken = asyncio.Event()
    async with session(pool) as connection:
        while not await sql.try_to_lead_outbox(connection):  # noqa: ASYNC110  the lock is in PostgreSQL
            await asyncio.sleep(POLL_S)
        channel = await sql.outbox_channel(connection)

        def wake(*_: object) -> None:
            woken.set()

        await connection.add_listener(channel, wake)
        try:
            yield connection, woken
        finally:
            # Leaving the session unlocks; a listener must be gone before.
            if not is_lost(connection):
                await connection.remove_listener(channel, wake)


async def _publish_for_ever(connection: Connection, bus: Publisher, woken: asyncio.Event) -> NoReturn:
    wait = POLL_S / 10
    while True:
        woken.clear()
        try:
            while await publish_batch(connection, bus):
                wait = POLL_S / 10
        except AssentError as error:
            if is_lost(connection):
                raise
            logger.warning("the outbox could not publish: %s", error.code)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)
            continue
        await _either(woken, POLL_S)


async def _either(woken: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return


async def publish_batch(connection: Connection, bus: Publisher) -> int:
    """Publish the oldest facts and remove them; how many there were. Raises the first error after removing what did get out."""
    async with translated():
        rows = [row async for row in sql.next_in_outbox(connection, at_most=BATCH)]
    lanes = [list(lane) for _, lane in groupby(sorted(rows, key=itemgetter("subject")), key=itemgetter("subject"))]
    done: list[int] = []
    results = await asyncio.gather(*(_publish_lane(lane, bus, done) for lane in lanes), return_exceptions=True)
    async with translated():
        await sql.remove_from_outbox(connection, positions=done)
    for failure in filter(None, results):
        raise failure
    return len(rows)


async def _publish_lane(lane: Sequence[Any], bus: Publisher, done: list[int]) -> None:
    """Publish facts of one subject in order; the first failure holds back the rest."""
    for row in lane:
        await bus.publish(row["subject"], Envelope.FromString(row["envelope"]))
        done.append(row["position"])
