"""The writer: one per ledger, the replica whose session of PostgreSQL holds the advisory lock. It appends what everybody asks, in batches.

Taking over raises the epoch in the head, and nothing is appended before the signer has confirmed it. While one batch commits the next one
collects, without a timer. A batch is stored in one transaction that moves the head from where this writer left it; when the head is not
there, another writer exists, and this one steps down.

When the connection is lost nobody knows whether the last batch was stored. The next session asks: if nobody raised the epoch since and the
head is where it was, or where the batch would have put it, the same items are taken up again, and those that were stored are answered from
what is there, by their request ids.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, NoReturn, Protocol

from consent_service import batching, planning
from consent_service.batching import Batch, First, Outcome, Random, Recalled, Tip
from consent_service.commands import Command, Note
from consent_service.domain.choices import NoticeRef
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.entries import Head
from consent_service.domain.fold import unknown
from consent_service.keys import CachedSubjectKeys
from consent_service.lanes import Item, Lanes
from consent_service.planning import Needs
from consent_service.ports import Confirmations, Publications, Result, Writer
from consent_service.registries import Registries
from consent_service.results import Stored, again
from servicekit.clock import Clock
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from servicekit.gates import Gate
from tlog import CompactRange, TileId

logger = logging.getLogger(__name__)

POLL_S: Final = 0.25
"""How often a replica asks to be the writer."""
FIRST_WAIT_S: Final = 0.05
LONGEST_WAIT_S: Final = 2.0
IN_DOUBT_S: Final = 5.0
"""How long whoever asked waits for a session that can tell what became of the last batch."""
IDLE_S: Final = 30.0
"""How often an idle writer drops the keys whose time is over."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of the log as it is stored."""

    head: Head
    tree: CompactRange
    tiles: Mapping[TileId, bytes]


class Session(Publications, Protocol):
    """One session with the database. Its methods raise Unavailable when it is lost."""

    async def lead(self) -> bool:
        """Become the one writer for as long as the session lasts; False while another session is."""
        ...

    async def end(self) -> End | None:
        """Where the log ends; None when there is no ledger yet."""
        ...

    async def take_over(self, writer: str, now_us: int) -> End:
        """Raise the epoch."""
        ...

    async def recall(
        self,
        requests: Collection[str],
        subjects: Collection[str],
        entries: Collection[int] = (),
        notices: Collection[NoticeRef] = (),
    ) -> Recalled:
        """What is known of these."""
        ...

    async def registry_before(self, index: int) -> int | None:
        """The index of the registry that was in force before this entry."""
        ...

    async def stored(self, indices: Sequence[int], keys_of: KeysOf) -> dict[int, Stored]:
        """Entries, and what a receipt shows of them."""
        ...

    async def store(self, batch: Batch, at: Callable[[str], None]) -> bool:
        """Store a batch in one transaction, and say which step is `at`; False when the head has moved, and nothing is stored."""
        ...


class KeysOf(Protocol):
    """The keys of some subjects."""

    async def __call__(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        """By subject."""
        ...


class Log(Protocol):
    """Where sessions begin."""

    def session(self) -> AbstractAsyncContextManager[Session]:
        """A session; lost or left, it leads no longer."""
        ...


class _Deposed(Exception):
    """Another writer has moved the head."""


def no_writer() -> Unavailable:
    """What whoever asks a replica that is not the writer is told."""
    return Unavailable("Nobody writes the ledger now.", reason="NO_WRITER", retry_after_ms=500)


def in_doubt() -> Unavailable:
    """What whoever asked is told when nobody knows whether it was stored."""
    return Unavailable("The consent ledger does not answer.", reason="CONSENT_UNAVAILABLE")


def _nothing(step: str) -> None:
    """Nobody looks."""


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
    at: Callable[[str], None] = _nothing
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
        self._batch: Batch | None = None
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
            tip = await self._appended(session, tip, self._running)
        self._away = False
        self.gate.open()
        self.settled.set()
        while True:
            tip = await self._appended(session, tip, await self._next())

    async def _next(self) -> Sequence[Item]:
        """What waits, once anything does. Whoever was just answered may first ask again: then it is in this batch."""
        await asyncio.sleep(0)
        while not (items := self._lanes.take()):
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._lanes.arrived()
            except TimeoutError:
                self._with.keys.expire()
        return items

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
        tip = await self._stored(session, tip, [note], Recalled({}, {}, {}, {}, {}))
        self._begun = True
        return tip

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
        known, tip, batch = await session.end(), self._tip, self._batch
        if not self._begun or known is None or tip is None or known.head.epoch != tip.head.epoch:
            return None
        possible = [tip, batch.tip] if batch is not None else [tip]
        if not any(known.head.size == at.head.size and known.tree.root() == at.tree.root() for at in possible):
            return None
        return await self._tip_at(session, known)

    async def _tip_at(self, session: Session, end: End) -> Tip:
        registry = await self._with.registries.in_force(end.head, session)
        return Tip(end.head, end.tree, end.tiles, registry)

    async def _appended(self, session: Session, tip: Tip, items: Sequence[Item]) -> Tip:
        """The tip after these items, each of which has its answer."""
        items = [item for item in items if not item.answer.done()]
        self._running, self._tip = items, tip
        try:
            tip = await self._together(session, tip, items)
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
                    tip = await self._appended(session, tip, [item])
        self._running, self._tip = (), tip
        return tip

    async def _together(self, session: Session, tip: Tip, items: Sequence[Item]) -> Tip:
        """One batch."""
        commands = [item.command for item in items]
        self._with.at("taken")
        recalled = await _recall(session, commands, [item.needs for item in items], tip.head.size)
        self._with.at("recalled")
        outcomes, keys, recalled, now_us = await self._planned(tip, items, recalled)
        before = await self._before(session, tip.head.ledger, outcomes)
        batch = batching.seal(tip, commands, outcomes, recalled.chains, keys, now_us=now_us, random=self._with.random)
        self._with.at("sealed")
        await self._store(session, batch)
        for item, answer in zip(items, batching.answers(outcomes, batch.written, before), strict=True):
            if isinstance(answer, AssentError):
                item.fail(answer)
            else:
                item.succeed(answer)
        return batch.tip

    async def _planned(
        self, tip: Tip, items: Sequence[Item], recalled: Recalled
    ) -> tuple[list[Outcome], Mapping[str, SubjectKey], Recalled, int]:
        """What becomes of the items, and the keys that takes: made for subjects who get their first entry."""
        wanted = {subject for item in items for subject in item.needs.subjects}.union(recalled.states)
        found = await self._with.keys.get(wanted)
        if found.destroyed:
            erased = {
                subject: replace(recalled.states.get(subject) or unknown(subject), erased=True)
                for subject in found.destroyed
            }
            recalled = replace(recalled, states={**recalled.states, **erased})
        now_us = batching.time_of(tip.head, self._with.clock.now_us())
        outcomes = batching.plan(tip, [item.command for item in items], recalled, now_us)
        missing = batching.subjects(outcomes) - found.live.keys()
        if not missing:
            return outcomes, found.live, recalled, now_us
        made = await self._with.keys.create(sorted(missing))
        if made.destroyed:
            raise Unavailable("A key was destroyed meanwhile.", reason="KEYS_UNAVAILABLE")
        return outcomes, {**found.live, **made.live}, recalled, now_us

    async def _before(self, session: Session, ledger: str, outcomes: Sequence[Outcome]) -> dict[int, Result]:
        """What was answered to requests that are known, by their first index."""
        firsts = {outcome.start: outcome for outcome in outcomes if isinstance(outcome, First)}
        if not firsts:
            return {}
        indices = sorted(index for first in firsts.values() for index in _indices(first))
        stored = await session.stored(indices, self._keys_of)
        return {
            index: await self._again(session, ledger, [stored[each] for each in _indices(first)])
            for index, first in firsts.items()
        }

    async def _again(self, session: Session, ledger: str, stored: Sequence[Stored]) -> Result:
        found = await session.registry_before(stored[0].entry.index)
        return again(ledger, stored, await self._with.registries.at(found, session))

    async def _keys_of(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        return (await self._with.keys.get(subjects)).live

    async def _stored(self, session: Session, tip: Tip, commands: Sequence[Command], recalled: Recalled) -> Tip:
        """The tip after commands about nobody, that nobody waits for."""
        self._tip = tip
        now_us = batching.time_of(tip.head, self._with.clock.now_us())
        outcomes = batching.plan(tip, commands, recalled, now_us)
        batch = batching.seal(tip, commands, outcomes, {}, {}, now_us=now_us, random=self._with.random)
        await self._store(session, batch)
        self._tip = batch.tip
        return batch.tip

    async def _store(self, session: Session, batch: Batch) -> None:
        if not batch.leaves:
            return
        self._batch = batch
        if not await session.store(batch, self._with.at):
            raise _Deposed
        self._batch = None
        self.appended.set()

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
            self._tip = self._batch = None
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


def _indices(first: First) -> range:
    return range(first.start, first.start + first.entries)


async def _recall(session: Session, commands: Sequence[Command], needs: Sequence[Needs], size: int) -> Recalled:
    return await session.recall(
        [command.request.id for command in commands if command.request is not None],
        {subject for need in needs for subject in need.subjects},
        {index for need in needs for index in need.entries if index < size},
        [notice for need in needs for notice in need.notices],
    )


def _log(error: Exception) -> None:
    """A database that refuses what was planned, or a bug of ours."""
    if isinstance(error, AssentError):
        logger.warning("an item could not be stored: %s", error.code)
    else:
        logger.error("an item could not be stored", exc_info=error)


_: type[Writer] = LedgerWriter
