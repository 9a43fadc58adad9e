"""The steps of erasure cases, taken where the ledger's writer is. Each is idempotent, and the case says which was taken: after a crash
anywhere the next replica that writes goes on.

What is appended is found again by its request id, a destroyed key is destroyed again, and what is deleted is deleted once. The order is
fixed: the tombstone is appended first, so that nothing is written about the subject any more; then the key dies, while the cache of the
writer is told before and after; then bodies and ids go; and once the stream knows, the case forgets whom it was about.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

from consent_service.commands import Erase, Seal
from consent_service.domain import leaf
from consent_service.domain.words import Kind
from consent_service.keys import CachedSubjectKeys, KeyShredder
from consent_service.ports import Ledger, Request, Result, Writer
from consent_service.reading import StatementKey
from consent_service.rights import cases as life
from consent_service.rights import certificate
from consent_service.rights.cases import Case, Erasure, Todo
from consent_service.rights.ports import Cases, Eraser
from servicekit.clock import Clock
from servicekit.errors import AssentError, Conflict, FailedPrecondition
from servicekit.gates import Gate

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
ATTEMPTS: Final = 5


def _nothing(step: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class With:
    """What a runner works with. `cached` are the keys that the writer remembers."""

    cases: Cases
    eraser: Eraser
    shredder: KeyShredder
    cached: CachedSubjectKeys
    ledger: Ledger
    writer: Writer
    clock: Clock
    key: StatementKey
    ledger_id: str
    at: Callable[[str], None] = _nothing
    """Told each step: where tests crash the process."""


class Runner:
    """Takes the steps of cases, one case at a time."""

    def __init__(self, given: With, gate: Gate) -> None:
        self._with = given
        self._gate = gate
        self._lock = asyncio.Lock()

    async def run(self) -> NoReturn:
        """For ever, while the writer is here: what waits for a date, for the stream, or was left by a crash."""
        while True:
            await self._gate.opened()
            try:
                for case_id in await self._with.cases.due(self._with.clock.now_us()):
                    await self._attempt(case_id)
            except AssentError as error:
                logger.warning("cases could not be read: %s", error.code)
            await asyncio.sleep(POLL_S)

    async def _attempt(self, case_id: str) -> None:
        try:
            await self.advance(case_id)
        except AssentError as error:
            logger.warning("a case waits: %s", error.code)

    async def advance(self, case_id: str) -> Case:
        """Take every step that can be taken now."""
        async with self._lock:
            case = await self._with.cases.get(case_id)
            while (todo := life.todo(case, self._with.clock.now_us())) is not None:
                moved = await self._take(todo, case)
                if moved is None:
                    break
                case = moved
            return case

    async def _take(self, todo: Todo, case: Case) -> Case | None:
        """The case after a step; None when it has to wait."""
        if todo is Todo.SEAL:
            return await self._seal(case)
        if todo is Todo.UNSEAL:
            return await self._unseal(case)
        if todo is Todo.DESTROY:
            return await self._destroy(case)
        return await self._certify(case)

    async def _seal(self, case: Case) -> Case:
        people = await self._people(case)
        await self._append_seal(Kind.SEALED, case, people)
        self._with.at("sealed")
        return await self._with.cases.change(case, life.sealed(case, people))

    async def _unseal(self, case: Case) -> Case:
        await self._append_seal(Kind.UNSEALED, case, await self._people(case))
        self._with.at("unsealed")
        return await self._with.cases.change(case, life.unsealed(case))

    async def _append_seal(self, kind: Kind, case: Case, subjects: tuple[str, ...]) -> None:
        request = _request(kind.value.lower(), case.id, subjects)
        await self._with.writer.append(Seal(request, subjects, kind, case.id))

    async def _people(self, case: Case) -> tuple[str, ...]:
        """Everybody who is one person with the case's subjects now."""
        found = set(case.subjects)
        for subject in case.subjects:
            found |= (await self._with.ledger.read(subject)).members
        return tuple(sorted(found))

    async def grow(self, case: Case) -> Case:
        """Seal who joined since, and ask for approval anew."""
        people = await self._people(case)
        new = tuple(sorted(set(people) - set(case.subjects)))
        if not new:
            return case
        await self._append_seal(Kind.SEALED, case, new)
        return await self._with.cases.change(case, life.grown(case, people, self._with.clock.now_us()))

    async def _destroy(self, case: Case) -> Case:
        """The key dies."""
        if case.started_us is None:
            bigger = await self.grow(case)
            if bigger is not case:
                return bigger
            started = life.started(case, self._with.clock.now_us())
            case = await self._with.cases.change(case, started)
        self._with.at("started")
        try:
            result = await self._with.writer.append(
                Erase(_request("erased", case.id, case.subjects), case.subjects, case.id)
            )
        except FailedPrecondition as refused:
            if refused.code != "MEMBERS_CHANGED":
                raise
            return await self.grow(case)
        self._with.at("appended")
        await self._shred(case)
        done = life.destroyed(case, _erasures(result), self._with.clock.now_us())
        return await self._with.cases.change(case, done)

    async def _shred(self, case: Case) -> None:
        self._with.cached.forget(case.subjects)
        await self._with.shredder.destroy(case.subjects)
        self._with.cached.forget(case.subjects)
        self._with.at("shredded")

    async def _certify(self, case: Case) -> Case | None:
        """What can no longer be read goes; None until the stream knows."""
        await self._with.eraser.forget(case.subjects, case.id)
        self._with.at("deleted")
        if not await self._with.eraser.finish(case):
            return None
        self._with.at("finished")
        case = await self._with.cases.get(case.id)
        now_us = self._with.clock.now_us()
        signed = certificate.sign(case, self._with.key, ledger=self._with.ledger_id, now_us=now_us)
        return await self._with.cases.change(case, life.certified(case, signed))


async def kept(cases: Cases, case_id: str, decide: Callable[[Case], Case]) -> Case:
    """Keep a decision about the case as it is now."""
    for _ in range(ATTEMPTS):
        case = await cases.get(case_id)
        decided = decide(case)
        try:
            return case if decided == case else await cases.change(case, decided)
        except Conflict:
            continue
    raise Conflict("The case changes all the time.")


def _request(what: str, case_id: str, subjects: tuple[str, ...]) -> Request:
    """The same for the same act, so that it is done once."""
    content = hashlib.sha256("\x00".join((what, case_id, *subjects)).encode())
    return Request(f"{what}:{case_id}:{content.hexdigest()[:16]}", content.digest())


def _erasures(result: Result) -> list[Erasure]:
    return [
        Erasure(written.index, leaf.parse(opened.leaf).subject_tag)
        for written, opened in zip(result.entries, result.opened, strict=True)
    ]
