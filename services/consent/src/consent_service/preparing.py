"""From what waits to a batch that is ready to be stored: what is known is read, commands are planned, keys made, entries sealed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from consent_service import batching, sealing_batch
from consent_service.batching import Answered, First, Outcome, Recalled, Tip
from consent_service.commands import Command
from consent_service.domain.commitments import SubjectKey
from consent_service.domain.entries import Entry
from consent_service.domain.fold import unknown
from consent_service.keys import SubjectKeys
from consent_service.lanes import Item
from consent_service.log import Session
from consent_service.planning import Draft
from consent_service.ports import Result
from consent_service.registries import Registries
from consent_service.results import Stored, again
from consent_service.sealing_batch import Batch, Random
from servicekit.clock import Clock
from servicekit.errors import AssentError, Unavailable

NOTHING = Recalled({}, {}, {}, {}, {})


def nobody(step: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch, the tip it continues, the items in it, and what becomes of each."""

    base: Tip
    items: Sequence[Item]
    outcomes: Sequence[Outcome]
    before: Mapping[int, Result]
    batch: Batch

    def answer(self) -> None:
        """Tell whoever waits; to be called once the batch is stored."""
        answers = batching.answers(self.outcomes, self.batch.written, self.before)
        for item, answer in zip(self.items, answers, strict=True):
            if isinstance(answer, AssentError):
                item.fail(answer)
            else:
                item.succeed(answer)


@dataclass(frozen=True, slots=True)
class Preparer:
    """What it takes. `at` is told each step: where tests crash the process."""

    keys: SubjectKeys
    registries: Registries
    clock: Clock
    random: Random = secrets.token_bytes
    at: Callable[[str], None] = nobody

    async def prepare(self, session: Session, tip: Tip, items: Sequence[Item], ahead: Prepared | None) -> Prepared:
        """The batch of these items, on top of the tip; `ahead` is the one before it, which may not be stored yet.

        Raises Unavailable KEYS_UNAVAILABLE while the keys are away.
        """
        commands = [item.command for item in items]
        self.at("taken")
        recalled = await self._recalled(session, items, tip.head.size)
        if ahead is not None:
            recalled = _beyond(recalled, ahead, items)
        self.at("recalled")
        outcomes, keys, recalled, now_us = await self._planned(tip, items, recalled)
        before = await self._before(session, tip.head.ledger, outcomes)
        batch = sealing_batch.seal(tip, commands, outcomes, recalled.chains, keys, now_us=now_us, random=self.random)
        self.at("sealed")
        return Prepared(tip, items, outcomes, before, batch)

    def note(self, tip: Tip, command: Command) -> Prepared:
        """The batch of one command about nobody, that nobody waits for."""
        now_us = batching.time_of(tip.head, self.clock.now_us())
        outcomes = batching.plan(tip, [command], NOTHING, now_us)
        batch = sealing_batch.seal(tip, [command], outcomes, {}, {}, now_us=now_us, random=self.random)
        return Prepared(tip, (), (), {}, batch)

    async def _recalled(self, session: Session, items: Sequence[Item], size: int) -> Recalled:
        needs = [item.needs for item in items]
        return await session.recall(
            [item.command.request.id for item in items if item.command.request is not None],
            {subject for need in needs for subject in need.subjects},
            {index for need in needs for index in need.entries if index < size},
            [notice for need in needs for notice in need.notices],
        )

    async def _planned(
        self, tip: Tip, items: Sequence[Item], recalled: Recalled
    ) -> tuple[list[Outcome], Mapping[str, SubjectKey], Recalled, int]:
        """What becomes of the items, and the keys that takes: made for subjects who get their first entry."""
        wanted = {subject for item in items for subject in item.needs.subjects}.union(recalled.states)
        found = await self.keys.get(wanted)
        if found.destroyed:
            erased = {
                subject: replace(recalled.states.get(subject) or unknown(subject), erased=True)
                for subject in found.destroyed
            }
            recalled = replace(recalled, states={**recalled.states, **erased})
        now_us = batching.time_of(tip.head, self.clock.now_us())
        outcomes = batching.plan(tip, [item.command for item in items], recalled, now_us)
        missing = batching.subjects(outcomes) - found.live.keys()
        if not missing:
            return outcomes, found.live, recalled, now_us
        made = await self.keys.create(sorted(missing))
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
        return again(ledger, stored, await self.registries.at(found, session))

    async def _keys_of(self, subjects: Collection[str]) -> Mapping[str, SubjectKey]:
        return (await self.keys.get(subjects)).live


def _indices(first: First) -> range:
    return range(first.start, first.start + first.entries)


def _beyond(recalled: Recalled, ahead: Prepared, items: Sequence[Item]) -> Recalled:
    """What was read, and on top of it what the batch before changes: whether or not that could be seen already, it is the same."""
    states, chains, requests = dict(recalled.states), dict(recalled.chains), dict(recalled.requests)
    for state, chain in ahead.batch.states:
        states[state.subject], chains[state.subject] = state, chain
    for number, result in ahead.batch.written.items():
        request = ahead.items[number].command.request
        if request is not None and result.entries:
            requests[request.id] = Answered(request.content_hash, result)
    return replace(
        recalled,
        requests=requests,
        states=states,
        chains=chains,
        entries={**recalled.entries, **_entries(ahead, items)},
        notices={**recalled.notices, **{notice.ref[:3]: notice.ref.sha256 for notice in ahead.batch.notices}},
    )


def _entries(ahead: Prepared, items: Sequence[Item]) -> Mapping[int, Entry]:
    """Those of the batch before that somebody asks for."""
    wanted = {index for item in items for index in item.needs.entries}
    if not wanted:
        return {}
    drafts = [outcome for outcome in ahead.outcomes if isinstance(outcome, Draft)]
    return {entry.index: entry for draft in drafts for entry in draft.write.entries if entry.index in wanted}
