"""A batch: what several commands append together. Pure: what was read and the time are arguments.

Each command is planned on what is seen after the one before it, so that two about one subject see each other and one that is turned away
changes nothing for the rest. What was planned is then sealed (`sealing_batch`). The sealing is apart because in between the keys of subjects
are made, and only of those who get an entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from consent_service import planning
from consent_service.commands import Command
from consent_service.domain import commitments
from consent_service.domain.entries import Entry, Head
from consent_service.domain.fold import SubjectState
from consent_service.domain.registry import NoticeId, Registry
from consent_service.planning import Draft, Seen
from consent_service.ports import Request, Result
from servicekit.errors import AlreadyExists, AssentError
from tlog import CompactRange, TileId


@dataclass(frozen=True, slots=True)
class Tip:
    """The end of the log as its writer remembers it: head, tree, the tiles that grow, and the registry in force."""

    head: Head
    tree: CompactRange
    edge: Mapping[TileId, bytes]
    registry: Registry


class Chain(NamedTuple):
    """Where a subject's chain stands: how many entries it has, and the hash of the last leaf."""

    seq: int = 0
    last: bytes = commitments.FIRST


class First(NamedTuple):
    """A request that was answered before: where its entries start, how many there are, and the hash of what it asked."""

    start: int
    entries: int
    content_hash: bytes


class Answered(NamedTuple):
    """A request of the batch before, which may not be stored yet: its answer, and the hash of what it asked."""

    content_hash: bytes
    result: Result


@dataclass(frozen=True, slots=True)
class Recalled:
    """What was read for a batch."""

    requests: Mapping[str, First | Answered]
    states: Mapping[str, SubjectState]
    chains: Mapping[str, Chain]
    entries: Mapping[int, Entry]
    notices: Mapping[NoticeId, str]


class Same(NamedTuple):
    """The answer is that of an earlier command of the batch, of the same request."""

    number: int


Outcome = Draft | First | Answered | Same | AssentError
"""What becomes of a command: entries, the answer it got before, the one it gets just now, or why it is turned away."""


def time_of(head: Head, now_us: int) -> int:
    """The time of a batch. When the clock was set back, the ledger's time goes on by a microsecond a batch, so that what comes later is later."""
    return now_us if now_us >= head.recorded_us else head.recorded_us + 1


def plan(tip: Tip, commands: Sequence[Command], recalled: Recalled, now_us: int) -> list[Outcome]:
    """What becomes of each command, in this order."""
    planner = _Planner(tip, recalled, now_us)
    return [planner.outcome(number, command) for number, command in enumerate(commands)]


class _Planner:
    """What is seen, as commands change it. The mappings are shared with what is seen, and grow in place."""

    def __init__(self, tip: Tip, recalled: Recalled, now_us: int) -> None:
        self._requests: dict[str, tuple[First | Answered | Same, bytes]] = {
            request: (first, first.content_hash) for request, first in recalled.requests.items()
        }
        self._states = dict(recalled.states)
        self._entries = dict(recalled.entries)
        self._notices = dict(recalled.notices)
        self._seen = Seen(tip.head, now_us, tip.registry, self._states, self._entries, self._notices)

    def outcome(self, number: int, command: Command) -> Outcome:
        request = command.request
        try:
            if request is not None and request.id in self._requests:
                return self._answered(request)
            draft = planning.plan(command, self._seen)
        except AssentError as error:
            return error
        if draft.write.entries:
            self._apply(draft)
            if request is not None:
                self._requests[request.id] = Same(number), request.content_hash
        return draft

    def _answered(self, request: Request) -> First | Answered | Same:
        found, content_hash = self._requests[request.id]
        if content_hash != request.content_hash:
            raise AlreadyExists("This request id was used for another request.", reason="REQUEST_ID_REUSED")
        return found

    def _apply(self, draft: Draft) -> None:
        seen, written = self._seen, draft.write.entries
        for state in draft.write.states:
            self._states[state.subject] = state
        for entry in written:
            self._entries[entry.index] = entry
        for notice in draft.notices:
            self._notices[notice.ref[:3]] = notice.ref.sha256
        head, published = seen.head, draft.registry
        index, digest = head.registry_index, head.registry_digest
        if published is not None:
            index, digest = published.index, published.digest
        head = Head(head.ledger, head.epoch, head.size + len(written), seen.now_us, index, digest)
        registry = draft.in_force or seen.registry
        self._seen = Seen(head, seen.now_us, registry, self._states, self._entries, self._notices)


def subjects(outcomes: Iterable[Outcome]) -> set[str]:
    """Whose keys are needed."""
    return {
        entry.subject
        for outcome in outcomes
        if isinstance(outcome, Draft)
        for entry in outcome.write.entries
        if entry.subject is not None
    }


def answers(
    outcomes: Sequence[Outcome], written: Mapping[int, Result], before: Mapping[int, Result]
) -> Iterator[Result | AssentError]:
    """Each command's answer, once the batch is stored. `before` has the answers of requests known before, by their first index."""
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, Draft):
            yield written[number]
        elif isinstance(outcome, First):
            yield replace(before[outcome.start], replayed=True)
        elif isinstance(outcome, Answered):
            yield replace(outcome.result, replayed=True)
        elif isinstance(outcome, Same):
            yield replace(written[outcome.number], replayed=True)
        else:
            yield outcome
