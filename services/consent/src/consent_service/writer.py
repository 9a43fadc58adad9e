"""The writer: one per ledger, the replica whose session of PostgreSQL holds the advisory lock. It appends what everybody asks, in batches.

Taking over raises the epoch in the head, and nothing is appended before the signer has confirmed it. While one batch is being stored the
next one collects, without a timer, and is prepared on top of it. A batch is stored in one transaction that moves the head from where this writer left it; when the head is not
there, another writer exists, and this one steps down.

When the connection is lost nobody knows whether the last batch was stored. The next session asks: if nobody raised the epoch since and the
head is where it was, or where the batch would have put it, the same items are taken up again, and those that were stored are answered from
what is there, by their request ids.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn

from consent_service import planning
from consent_service.batching import Tip
from consent_service.commands import Command, Note
from consent_service.keys import CachedSubjectKeys
from consent_service.lanes import Item, Lanes
from consent_service.log import End, Log, Session
from consent_service.ports import Confirmations, Result, Writer
from consent_service.preparing import Prepared, Preparer, nobody
from consent_service.registries import Registries
from consent_service.sealing_batch import Random
from servicekit.clock import Clock
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from servicekit.gates import Gate

logger = logging.getLogger(__name__)

POLL_S: Final = 0.25
"""How often a replica asks to be the writer."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 2.0
IN_DOUBT_S: Final = 5.0
"""How long whoever asked waits for a session that can tell what became of the last batch."""
IDLE_S: Final = 30.0
"""How often an idle writer drops the keys whose time is over."""


class _Deposed(Exception):
    """Another writer has moved the head."""


def no_writer() -> Unavailable:
    """What whoever asks a replica that is not the writer is told."""
    return Unavailable("Nobody writes the ledger now.", reason="NO_WRITER", retry_after_ms=500)


def in_doubt() -> Unavailable:
    """What whoever asked is told when nobody knows whether it was stored."""
    return Unavailable("The consent ledger does not answer.", reason="CONSENT_UNAVAILABLE")


@dataclass(frozen=True, slots=True)
class With:
    """What a writer works with."""

    log: Log
    keys: CachedSubjectKeys
    registries: Registries
    clock: Clock
    confirmations: Confirmations
    name: str
    random: Random = secrets.token_bytes
    at: Callable[[str], None] = nobody
    """Told each step of a write: where tests crash the process."""


class LedgerWriter:
    """A replica's candidate for the ledger's one writer. `gate` is open while it is, `appended` is set after each commit."""

    def __init__(self, given: With, gate: Gate | None = None) -> None:
        self.gate = gate or Gate()
        self.settled = asyncio.Event()
        self.appended = asyncio.Event()
        self._with = given
        self._lanes = Lanes()
        self._tip: Tip | None = None
        self._running: Sequence[Item] = ()
        self._flight: Prepared | None = None
        self._prepare = Preparer(given.keys, given.registries, given.clock, given.random, self._at)
        self._away = False
        self._begun = False

    async def append(self, command: Command) -> Result:
        """Wait in the queue, be appended, get the answer."""
        needs = planning.needs(command)
        if not self.gate.is_open:
            raise in_doubt() if self._away else no_writer()
        item = Item(command, needs, asyncio.get_running_loop().create_future())
        self._lanes.add(item)
        return await item.answer

    async def run(self) -> NoReturn:
        """Try to be the writer, and be it, for ever."""
        wait = FIRST_WAIT_S
        try:
            while True:
                try:
                    async with self._with.log.session() as session:
                        await self._elected(session)
                        wait = FIRST_WAIT_S
                        await self._write(session)
                except (AssentError, _Deposed) as error:
                    self._step_down(error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
        finally:
            self._leave()

    async def _elected(self, session: Session) -> None:
        while not await session.lead():
            self._away = False
            self.settled.set()
            await asyncio.sleep(POLL_S)

    async def _write(self, session: Session) -> NoReturn:
        tip = await self._resumed(session) or await self._taken_over(session)
        if self._running:
            tip = await self._alone(session, tip, self._running)
        self._away = False
        self.gate.open()
        self.settled.set()
        while True:
            tip = await self._flow(session, tip)

    async def _flow(self, session: Session, tip: Tip) -> Tip:
        """Batch after batch, each prepared while the one before is stored. Returns the tip after one that could not be stored together
        was stored item by item.
        """
        storing: asyncio.Task[None] | None = None
        ahead: Prepared | None = None
        items: Sequence[Item] = ()
        try:
            while True:
                items = ()
                items = await self._next(storing)
                ready = await self._prepare.prepare(session, tip, items, ahead)
                if storing is not None:
                    await storing
                ahead, tip = ready, ready.batch.tip
                storing = asyncio.create_task(self._finish(session, ready))
                storing.add_done_callback(self._lanes.wake)
        except BaseException as error:  # noqa: BLE001  whatever it is, what was being stored comes first
            left = await self._landed(storing, ahead)
            self._running = (*left, *items)
            if left:
                assert ahead is not None
                tip = ahead.base
            self._raise_lost(error, storing)
        return await self._alone(session, tip, self._running)

    async def _landed(self, storing: asyncio.Task[None] | None, ahead: Prepared | None) -> Sequence[Item]:
        """The items of the batch that was being stored, if it was not."""
        if storing is None or ahead is None:
            return ()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([storing])
        stored = storing.done() and not storing.cancelled() and storing.exception() is None
        return () if stored else ahead.items

    def _raise_lost(self, error: BaseException, storing: asyncio.Task[None] | None) -> None:
        """Raise what ends the session; what else went wrong is an item's, and is found by storing them one by one."""
        failed = storing.exception() if storing is not None and storing.done() and not storing.cancelled() else None
        for found in (error, failed):
            lost = isinstance(found, Unavailable) and found.code != "KEYS_UNAVAILABLE"
            if found is not None and (lost or isinstance(found, _Deposed) or not isinstance(found, Exception)):
                raise found

    async def _next(self, storing: asyncio.Task[None] | None) -> Sequence[Item]:
        """What waits, once anything does; raises what became of the batch that is being stored, if that was not.

        Of a crowd that finds nothing being stored one half goes first, so that from then on one half is prepared while the other is stored.
        """
        await asyncio.sleep(0)  # whoever was just answered may ask again: then it is in this batch
        while not (items := self._lanes.take(halve=storing is None or storing.done())):
            if storing is not None and storing.done():
                await storing
                storing = None
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._lanes.arrived()
            except TimeoutError:
                self._with.keys.expire()
        return items

    async def _finish(self, session: Session, ready: Prepared) -> None:
        """Store a batch, and answer."""
        self._tip, self._flight = ready.base, ready
        if ready.batch.leaves:
            if not await session.store(ready.batch, self._at):
                raise _Deposed
            self.appended.set()
        self._tip, self._flight = ready.batch.tip, None
        ready.answer()

    def _at(self, step: str) -> None:
        self._with.at(step)

    async def _taken_over(self, session: Session) -> Tip:
        """A new epoch: confirmed, and begun with an entry."""
        self._drop(in_doubt())
        self._with.keys.clear()
        self._begun = False
        end = await session.take_over(self._with.name, self._with.clock.now_us())
        await self._confirmed(session, end)
        tip = await self._tip_at(session, end)
        created = {"event": "CREATED", "ledger": end.head.ledger}
        note = Note({"event": "EPOCH_STARTED"} if end.head.size else created)
        logger.info("writing", extra={"epoch": end.head.epoch, "size": end.head.size})
        opening = self._prepare.note(tip, note)
        await self._finish(session, opening)
        self._begun = True
        return opening.batch.tip

    async def _confirmed(self, session: Session, end: End) -> None:
        """Return once the signer says yes; until then nobody writes, and the epoch stays this one as long as the session does."""
        wait = FIRST_WAIT_S
        while True:
            try:
                await self._with.confirmations.confirm(end.head.size, end.tree.root(), end.head.epoch)
            except (Unavailable, FailedPrecondition) as error:
                logger.warning("the signer does not confirm the head: %s", error.code)
            else:
                return
            await asyncio.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT_S)
            now = await session.end()
            if now is None or now.head.epoch != end.head.epoch:
                raise _Deposed

    async def _resumed(self, session: Session) -> Tip | None:
        """Where this writer was, if nobody else wrote since; None when a new epoch is needed."""
        known, tip, flight = await session.end(), self._tip, self._flight
        if not self._begun or known is None or tip is None or known.head.epoch != tip.head.epoch:
            return None
        possible = [tip, flight.batch.tip] if flight is not None else [tip]
        if not any(known.head.size == at.head.size and known.tree.root() == at.tree.root() for at in possible):
            return None
        return await self._tip_at(session, known)

    async def _tip_at(self, session: Session, end: End) -> Tip:
        registry = await self._with.registries.in_force(end.head, session)
        return Tip(end.head, end.tree, end.tiles, registry)

    async def _alone(self, session: Session, tip: Tip, items: Sequence[Item]) -> Tip:
        """The tip after these items, each of which has its answer: as one batch, and when that is refused one by one."""
        items = [item for item in items if not item.answer.done()]
        self._running = items
        try:
            ready = await self._prepare.prepare(session, tip, items, None)
            await self._finish(session, ready)
            tip = ready.batch.tip
        except _Deposed:
            raise
        except Exception as error:
            if isinstance(error, Unavailable) and error.code == "KEYS_UNAVAILABLE":
                self._drop(error)
            elif isinstance(error, Unavailable):
                raise
            elif len(items) == 1:
                items[0].fail(error)
                _log(error)
            else:
                for item in items:
                    tip = await self._alone(session, tip, [item])
        self._running = ()
        self._tip = tip
        self._flight = None
        return tip

    def _step_down(self, error: Exception) -> None:
        """Lead no more. What was at work stays in doubt if the database is lost; another session may tell."""
        self.gate.close()
        self._with.keys.clear()
        lost = isinstance(error, Unavailable)
        self._away = lost
        self._lanes.fail(in_doubt() if lost else no_writer())
        if isinstance(error, FailedPrecondition):
            logger.error("this replica may not write: %s", error.code)
        elif lost:
            logger.warning("the writer lost %s", error.code if isinstance(error, AssentError) else "the database")
        else:
            logger.warning("another writer was at work")
        if not lost:
            self._tip = self._flight = None
            self._drop(in_doubt())
            return
        loop = asyncio.get_running_loop()
        for item in self._running:
            loop.call_later(IN_DOUBT_S, item.fail, in_doubt())

    def _drop(self, error: AssentError) -> None:
        for item in self._running:
            item.fail(error)
        self._running = ()

    def _leave(self) -> None:
        self.gate.close()
        self._with.keys.clear()
        self._drop(in_doubt())
        self._lanes.fail(no_writer())


def _log(error: Exception) -> None:
    """A database that refuses what was planned, or a bug of ours."""
    if isinstance(error, AssentError):
        logger.warning("an item could not be stored: %s", error.code)
    else:
        logger.error("an item could not be stored", exc_info=error)


_: type[Writer] = LedgerWriter
