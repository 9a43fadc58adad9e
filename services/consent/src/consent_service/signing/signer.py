"""A round of the signer: begin where the file says, derive what has been appended, sign it, keep it, and only then publish it.

Each round begins from the file, not from memory: two signers of one volume, a crash at any line and an operator who adopts a note beside
a running signer are then all the same case.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from consent_service.signing import derivation as derive
from consent_service.signing import last_signed, rules
from consent_service.signing.derivation import Derivation
from consent_service.signing.last_signed import LastSigned
from consent_service.signing.ports import Log, Memory, Snapshot
from consent_service.signing.rules import Head, Published, Refused
from servicekit.clock import Clock
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from tlog import EMPTY_ROOT, CompactRange, Ed25519Signer, Verifier

logger = logging.getLogger(__name__)

BLOCK: Final = 8192
"""Leaves that are derived without letting anybody else run."""
REFUSED_S: Final = 3.0
"""How long what only an operator can put right is left alone."""
POLL_S: Final = 0.1
"""How often the head is looked at while there is nothing to sign."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What this signer signs, and with which keys: while keys are rotated the retiring one signs too."""

    origin: str
    ledger: str
    signers: Sequence[Ed25519Signer]

    @property
    def verifiers(self) -> list[Verifier]:
        """The public halves of its keys."""
        return [Verifier(signer.vkey) for signer in self.signers]


@dataclass(frozen=True, slots=True)
class Round:
    """What a round derived and signed. `head` is None before the ledger was begun."""

    head: Head | None
    signed: LastSigned


class Signer:
    """Runs rounds, one at a time, and knows whether the last one was refused."""

    def __init__(self, identity: Identity, log: Log, memory: Memory, clock: Clock) -> None:
        self._identity = identity
        self._log = log
        self._memory = memory
        self._clock = clock
        self._turn = asyncio.Lock()
        self._done: Round | None = None
        self._refusal: AssentError | None = Unavailable("The signer has not looked yet.", reason="STARTING")

    async def run(self, interval_s: float) -> None:
        """Sign for ever: at most one round per interval, none while the head stays."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            if await self._is_due():
                with suppress(AssentError):  # said once, and by `check` for as long as it lasts
                    await self.round()
                wait = REFUSED_S if isinstance(self._refusal, Refused) else interval_s
                await asyncio.sleep(max(0.0, started + wait - loop.time()))
            else:
                await asyncio.sleep(min(POLL_S, interval_s))

    async def _is_due(self) -> bool:
        """Whether the head moved since the last good round, or there has been none."""
        if self._refusal is not None or self._done is None:
            return True
        try:
            return await self._log.head() != self._done.head
        except AssentError:
            return True

    async def check(self) -> None:
        """Raise while it does not sign: a readiness check."""
        if self._refusal is not None:
            raise _again(self._refusal)

    async def confirm(self, size: int, root: bytes, epoch: int) -> None:
        """Refuse unless a round that begins now derives this very head."""
        done = await self.round()
        rules.confirm(done.head or _no_head(self._identity.ledger), size, root, epoch)

    async def sign_now(self, size: int = 0) -> LastSigned:
        """A checkpoint of at least this size; of all there is when the size is 0."""
        if size and self._refusal is None and self._done is not None and self._done.signed.size >= size:
            return self._done.signed
        signed = (await self.round()).signed
        if signed.size < size:
            raise FailedPrecondition("The log is not that long.", reason="NOT_YET_WRITTEN")
        return signed

    async def round(self) -> Round:
        """Derive, sign, keep, publish. Raises what kept it from that."""
        async with self._turn:
            try:
                with self._memory.locked():
                    self._done = await self._round()
            except AssentError as error:
                self._say(error)
                raise
            except Exception:
                self._refusal = Unavailable("A round of the signer failed.", reason="ROUND_FAILED")
                raise
            self._say(None)
            return self._done

    def _say(self, refusal: AssentError | None) -> None:
        """Log what changed, not what lasts."""
        before, now = (error.code if error else "" for error in (self._refusal, refusal))
        self._refusal = _again(refusal) if refusal is not None else None
        if now and now != before:
            logger.error("the signer does not sign: %s", refusal, extra={"reason": now})
        elif before and not now:
            logger.info("the signer signs")

    async def _round(self) -> Round:
        last = self._remembered()
        async with self._log.snapshot() as log:
            head, latest = await log.head(), await log.latest()
            rules.admit(last, head, latest, self._identity.ledger)
            begin = last or last_signed.nothing(self._identity.origin)
            tree = await derived(log, begin, head) if head is not None else CompactRange.empty()
        # Nothing remote happens between here and the file: what was derived is signed as it is.
        return Round(head, await self._keep(last, begin, latest, tree))

    def _remembered(self) -> LastSigned | None:
        data = self._memory.read()
        return None if data is None else last_signed.decode(data, self._identity.verifiers, self._identity.origin)

    async def _keep(
        self, last: LastSigned | None, begin: LastSigned, latest: Published | None, tree: CompactRange
    ) -> LastSigned:
        """The file first, then the database. What a crash kept from being published is published now."""
        if last is not None and last.size > (latest.size if latest else 0):
            self._memory.sync()
            await self._log.publish(last, self._clock.now_us())
        signed = self._sign(begin, tree)
        if signed != last:
            self._memory.write(last_signed.encode(signed))
        if signed.size > begin.size:
            await self._log.publish(signed, self._clock.now_us())
        return signed

    def _sign(self, begin: LastSigned, tree: CompactRange) -> LastSigned:
        """The note for this tree: the one there is, unless it has grown or a new key has not signed yet."""
        signers = self._identity.signers
        if tree.size == begin.size and last_signed.is_signed_by_all(begin, signers):
            return begin
        return last_signed.sign(self._identity.origin, tree, signers)


async def derived(log: Snapshot, last: LastSigned, head: Head) -> CompactRange:
    """The tree at the head, derived from the last signed one and the leaves after it; Refused when anything stored says otherwise."""
    growing = Derivation(last, head, await log.tiles(derive.edge_of(last.size)))
    if last.size:
        growing.follow(*await log.leaves(last.size - 1, last.size))
    await grow(log, growing, head.size)
    growing.finish(await log.tiles(derive.edge_of(head.size)))
    plan = derive.consistency(last, head)
    if plan is not None:
        derive.require_consistent(last, head, plan, await log.tiles(derive.tiles_of(plan)))
    return growing.tree


async def grow(log: Snapshot, growing: Derivation, end: int) -> None:
    """Derive up to this size, block by block."""
    while growing.size < end:
        completed = growing.add(await log.leaves(growing.size, min(growing.size + BLOCK, end)))
        derive.require(completed, await log.tiles(completed))


def _again(error: AssentError) -> AssentError:
    """The same words without the frames: one exception that is raised again and again keeps all that it has passed through."""
    return type(error)(error.text, reason=error.code)


def _no_head(ledger: str) -> Head:
    """A ledger that nobody has begun."""
    return Head(ledger, 0, 0, EMPTY_ROOT, ())
