"""The fold's transaction: facts of some partitions, the rows they touch, positions and epochs, all or nothing.

Partitions that are to be committed at the same time share one transaction: a batch of 500 events over 64 partitions would
otherwise be 64 small ones. Each partition is fenced and positioned by itself; one that was taken over is left out, and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from assent.events.v1.envelope_pb2 import Envelope
from profile_service.domain.facts import Fact, event_key
from profile_service.domain.fold import Row, add, touched
from profile_service.translation import fact
from servicekit import queries
from servicekit.partitions import Fenced
from servicekit.postgres import Connection, Pool, transaction

sql = queries.load("profile_service")

LARGEST: Final = 1024
"""Facts per transaction, unless one partition brings more by itself."""

Numbered = tuple[int, Envelope, int]
"""Stream sequence, envelope, and when the stream took it."""


@dataclass(slots=True, eq=False)
class Lot:
    """Facts of one partition that wait for the next transaction."""

    partition: int
    epoch: int
    facts: Sequence[Numbered]
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Folding:
    """Commits what it is given; calls that meet share a transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: list[Lot] = []
        self._working: asyncio.Task[None] | None = None

    async def apply(self, partition: int, epoch: int, facts: Sequence[Numbered]) -> None:
        """Commit facts of a partition; raises Fenced when a newer epoch has committed."""
        lot = Lot(partition, epoch, facts)
        self._waiting.append(lot)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="fold")
        await lot.done

    async def _work(self) -> None:
        await asyncio.sleep(0)  # those who come in the same turn of the loop share the transaction
        while self._waiting:
            lots = self._next()
            try:
                await self._commit(lots)
            except Exception as error:  # noqa: BLE001  # each caller judges it
                _settle(lots, error)
            else:
                _settle(lots, None)

    def _next(self) -> list[Lot]:
        """The lots of the next transaction: no partition twice."""
        taken: dict[int, Lot] = {}
        size = 0
        for lot in self._waiting:
            if lot.partition not in taken and (not taken or size + len(lot.facts) <= LARGEST):
                taken[lot.partition] = lot
                size += len(lot.facts)
        self._waiting = [lot for lot in self._waiting if taken.get(lot.partition) is not lot]
        return list(taken.values())

    async def _commit(self, lots: Sequence[Lot]) -> None:
        async with transaction(self._pool) as tx:
            lots, starts = await _unfenced(tx, lots)
            await _fold(tx, [fact for lot in lots for fact in lot.facts if fact[0] > starts[lot.partition]])
            await _advance(tx, lots, starts)


def _settle(lots: Sequence[Lot], error: Exception | None) -> None:
    for lot in lots:
        if lot.done.done():
            continue
        if error is None:
            lot.done.set_result(None)
        else:
            lot.done.set_exception(error)


async def _unfenced(tx: Connection, lots: Sequence[Lot]) -> tuple[list[Lot], Mapping[int, int]]:
    """The lots whose epoch still holds, and where their partitions stand; the others are told."""
    asked = sorted({lot.partition for lot in lots})
    known = {row["partition"]: row async for row in sql.lock_partitions(tx, partitions=asked)}
    old = [lot for lot in lots if known[lot.partition]["epoch"] > lot.epoch]
    _settle(old, Fenced())
    kept = [lot for lot in lots if known[lot.partition]["epoch"] <= lot.epoch]
    return kept, {lot.partition: known[lot.partition]["position"] for lot in kept}


async def _advance(tx: Connection, lots: Sequence[Lot], starts: Mapping[int, int]) -> None:
    if lots:
        await sql.advance(
            tx,
            partitions=[lot.partition for lot in lots],
            positions=[max(lot.facts[-1][0], starts[lot.partition]) for lot in lots],
            epochs=[lot.epoch for lot in lots],
        )


async def _fold(tx: Connection, facts: Sequence[Numbered]) -> None:
    owners = _owners(facts)
    if not owners:
        return
    added = {row["event_key"] async for row in sql.add_events(tx, keys=[said.key for said, _, _ in owners])}
    ids = list({owner for _, owner, _ in owners})
    buried = {row["subject_id"] async for row in sql.buried(tx, ids=ids)}
    versions, by_subject = dict[str, int](), dict[str, list[Fact]]()
    for said, owner, sequence in owners:
        if said.key in added and owner not in buried:
            by_subject.setdefault(owner, []).append(said)
            versions[owner] = max(sequence, versions.get(owner, 0))
    await _rewrite(tx, by_subject, versions)


def _owners(facts: Sequence[Numbered]) -> list[tuple[Fact, str, int]]:
    """Whose each fact is, and its sequence; an event that comes twice counts where it came first."""
    owned = {
        event_key(one.bank_event.event.event_id): (seq, one) for seq, one, _ in reversed(facts) if _is_bank_event(one)
    }
    return [(fact(one.bank_event.event), one.bank_event.subject_id, seq) for seq, one in owned.values()]


def _is_bank_event(envelope: Envelope) -> bool:
    return envelope.WhichOneof("body") == "bank_event"


async def _rewrite(tx: Connection, facts: Mapping[str, Sequence[Fact]], versions: Mapping[str, int]) -> None:
    """Load the rows that these facts touch, fold, and write them."""
    wanted = sorted({(owner, row) for owner, said in facts.items() for one in said for row in touched(one)})
    if not wanted:
        return
    ids, segments = [owner for owner, _ in wanted], [segment for _, segment in wanted]
    state: dict[str, dict[int, Row]] = {owner: {} for owner in facts}
    async for place, body in sql.load_rows(tx, ids=ids, segments=segments):
        owner, segment = wanted[place - 1]
        state[owner][segment] = json.loads(body)
    for owner, said in facts.items():
        for one in said:
            add(state[owner], one)
    bodies = [_dumps(state[owner][segment]) for owner, segment in wanted]
    stamps = [versions[owner] for owner in ids]
    await sql.store_rows(tx, ids=ids, segments=segments, versions=stamps, bodies=bodies)


_dumps: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
