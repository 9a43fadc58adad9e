"""Reliances and violations as an auditor asks for them, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from consent_service.auditing.proving import Audit
from consent_service.auditing.violations import Histories, Violation, violations
from consent_service.domain.entries import Entry
from consent_service.domain.registry import Registry
from consent_service.history import FOREVER
from consent_service.reliance.assessing import Finding, Reliance, Rule
from servicekit.errors import Exhausted

MOST_FINDINGS: Final = 10_000
BREATH: Final = 16
"""Reliances that are judged before others get their turn: about 4 ms."""
FOLDED: Final = frozenset({Rule.WITHOUT_BASIS, Rule.BAD_SIGNATURE, Rule.STALE_BASIS, Rule.NO_LAWFUL_BASIS})
"""Rules of which something is found when decisions are folded."""
JUDGED: Final = frozenset(Rule) - {Rule.WITHOUT_BASIS, Rule.BAD_SIGNATURE, Rule.STALE_BASIS}
"""Rules of which something is found when reliances are judged again."""


class Place(NamedTuple):
    """Where a page ended."""

    decided_us: int = -1
    decision: str = ""
    purpose: str = ""


START: Final = Place()


@dataclass(frozen=True, slots=True)
class Reliances:
    """A page of reliances: those that rest on an entry, are about a subject, or were decided in a time."""

    support: int | None = None
    subject: str | None = None
    from_us: int = 0
    to_us: int = FOREVER
    after: Place = START
    amount: int = 100


@dataclass(frozen=True, slots=True)
class Search:
    """Violations of decisions that were made in a time, a page of reliances at once."""

    rules: frozenset[Rule] = frozenset(Rule)
    from_us: int = 0
    to_us: int = FOREVER
    margin_us: int = 0
    after: Place = START
    amount: int = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on a page, and what was examined; `place` is where the next begins, None at the end."""

    violations: tuple[Violation, ...]
    reliances: int
    decisions: int
    subjects: int
    erased: int
    place: Place | None


class RelianceStore(Protocol):
    """Where reliances and findings are. A reliance whose subject is erased has an empty one."""

    async def reliances(self, query: Reliances) -> Sequence[Reliance]:
        """A page."""
        ...

    async def findings(self, rules: Collection[str], from_us: int, to_us: int, amount: int) -> Sequence[Finding]:
        """What was found of decisions made in a time, the first of it."""
        ...


async def list_reliances(query: Reliances, store: RelianceStore) -> tuple[Sequence[Reliance], Place | None]:
    """A page, and where the next begins."""
    rows = await store.reliances(query)
    return rows, place_of(rows, query.amount)


def place_of(rows: Sequence[Reliance], amount: int) -> Place | None:
    """Where a full page ended."""
    if len(rows) < amount:
        return None
    return Place(rows[-1].decided_us, rows[-1].decision, rows[-1].purpose)


async def find_violations(query: Search, store: RelianceStore, audit: Audit) -> Found:
    """A page of reliances, judged again, with what was found of the same time when decisions were folded."""
    asked = Reliances(from_us=query.from_us, to_us=query.to_us, after=query.after, amount=query.amount)
    rows = await store.reliances(asked)
    place = place_of(rows, query.amount)
    first = max(query.from_us, query.after.decided_us + 1)
    last = place.decided_us + 1 if place is not None else query.to_us
    found = await _folded(query, store, first, last)
    known = [row for row in rows if row.subject]
    if query.rules & JUDGED:
        found += [each for each in await _judged(known, query.margin_us, audit) if each.rule in query.rules]
    return Found(
        violations=tuple(found),
        reliances=len(known),
        decisions=len({row.decision for row in rows}),
        subjects=len({row.subject for row in known}),
        erased=len(rows) - len(known),
        place=place,
    )


async def _folded(query: Search, store: RelianceStore, first: int, last: int) -> list[Violation]:
    rules = [rule.value for rule in query.rules & FOLDED]
    found = await store.findings(rules, first, last, MOST_FINDINGS) if rules and first < last else ()
    if len(found) == MOST_FINDINGS:
        raise Exhausted("There are too many findings in that time.", reason="TOO_MANY_FINDINGS")
    return [Violation.of(finding) for finding in found]


async def _judged(rows: Sequence[Reliance], margin_us: int, audit: Audit) -> list[Violation]:
    end = await audit.entries.end()
    histories = Histories(await _entries({row.subject for row in rows}, end.size, audit))
    registries = _Registries([index for index, _ in await audit.entries.registries()], audit)
    found: list[Violation] = []
    for number, row in enumerate(rows):
        if number % BREATH == 0:
            await asyncio.sleep(0)  # the same loop answers checks
        registry = await registries.at(row.basis)
        found.extend(violations(row, histories, registry, size=end.size, margin_us=margin_us))
    return found


async def _entries(subjects: Collection[str], size: int, audit: Audit) -> dict[str, Sequence[Entry]]:
    """The histories of the subjects, and of all who ever answered for them."""
    found: dict[str, Sequence[Entry]] = {}
    waiting = list(subjects)
    while waiting:
        subject = waiting.pop()
        if subject in found:
            continue
        found[subject] = await audit.ledger.history(subject, size=size, known_us=FOREVER, as_of_us=FOREVER)
        waiting += [e.link.other for e in found[subject] if e.link is not None and e.link.side == "absorbed"]
    return found


class _Registries:
    """The registry in force at a position."""

    def __init__(self, indices: Sequence[int], audit: Audit) -> None:
        self._indices = indices
        self._audit = audit

    async def at(self, position: int) -> Registry:
        index = max((index for index in self._indices if index <= position), default=None)
        return await self._audit.registries.at(index, self._audit.ledger)
