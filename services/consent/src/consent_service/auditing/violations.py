"""Judging a reliance again, from the ledger's entries and nothing else. Pure: histories and registries are arguments.

Twice: at the position of its basis, where the entries must say what the basis said; and as the ledger knew it when the decision was made, so
that a denial that had been recorded meanwhile is found. Two clocks meet in the second: the decider's, and the ledger's; `margin_us` says how
much of a lead the decider's may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from consent_service.domain import verdicts
from consent_service.domain.choices import Key
from consent_service.domain.entries import Entry, fold
from consent_service.domain.fold import SubjectState, unknown
from consent_service.domain.registry import Registry
from consent_service.domain.verdicts import Verdict
from consent_service.domain.words import Kind, Reason, Status
from consent_service.reliance.assessing import Finding, Reliance, Rule

DENIED: Final = frozenset(
    {
        Reason.SUBJECT_SEALED,
        Reason.RESTRICTED,
        Reason.OBJECTED,
        Reason.OPTED_OUT,
        Reason.WITHDRAWN,
        Reason.REFUSED,
    }
)
"""What a person's own act, or an erasure that was asked for, gives as a reason."""
_RULES: Final[Mapping[Reason, Rule]] = {
    **dict.fromkeys(DENIED, Rule.AFTER_DENIAL),
    Reason.UNKNOWN_PURPOSE: Rule.NO_LAWFUL_BASIS,
    Reason.PURPOSE_RETIRED: Rule.NO_LAWFUL_BASIS,
    Reason.NO_LAWFUL_BASIS: Rule.NO_LAWFUL_BASIS,
    Reason.EXPLICIT_REQUIRED: Rule.NOT_EXPLICIT,
    Reason.NOTICE_NOT_SERVED: Rule.IN_WINDOW,
    Reason.WAITING_WINDOW: Rule.IN_WINDOW,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """What a decision did and should not have."""

    rule: str
    decision: str
    decided_us: int
    purpose: str = ""
    subject: str = ""
    basis: int | None = None
    support: int | None = None
    cause: int | None = None
    margin_us: int = 0
    detail: str = ""

    @classmethod
    def of(cls, finding: Finding) -> Violation:
        """What was found when the decision was folded."""
        return cls(finding.rule, finding.decision, finding.at_us, detail=finding.detail)


@dataclass(slots=True)
class Histories:
    """Entries by subject, in order, of everybody who may answer for somebody in question; and states, once they were folded."""

    entries: Mapping[str, Sequence[Entry]]
    _states: dict[tuple[str, int, int], SubjectState] = field(default_factory=dict)

    def answering(self, subject: str, size: int, known_us: int) -> tuple[SubjectState, Sequence[Entry]]:
        """The state that answers for the subject after the first `size` entries, as known at a time; and its entries."""
        while True:
            own = [e for e in self.entries.get(subject, ()) if e.index < size and e.recorded_us <= known_us]
            state = self._state(subject, own)
            if state.survivor is None:
                return state, own
            subject = state.survivor

    def _state(self, subject: str, entries: Sequence[Entry]) -> SubjectState:
        last = entries[-1].index if entries else -1
        found = self._states.get((subject, last, len(entries)))
        if found is None:
            found = unknown(subject)
            for entry in entries:
                found = fold(found, entry)
            self._states[subject, last, len(entries)] = found
        return found


def violations(
    row: Reliance, histories: Histories, registry: Registry, *, size: int, margin_us: int = 0
) -> Iterator[Violation]:
    """What is wrong with a reliance. `registry`: the one in force at its basis; `size`: of the whole log."""
    judge = _Judge(row, registry)
    state, _ = histories.answering(row.subject, row.basis + 1, _FOREVER)
    found = judge.verdicts(state, row.at_us)
    yield from judge.at_basis(found)
    if all(verdict.allowed for verdict in found):
        later, entries = histories.answering(row.subject, size, row.decided_us - margin_us)
        yield from judge.at_decision(later, entries)


_FOREVER: Final = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class _Judge:
    row: Reliance
    registry: Registry

    def verdicts(self, state: SubjectState, at_us: int) -> list[Verdict]:
        """One for each category used; where no data was, the best for any category of the purpose."""
        row, registry = self.row, self.registry
        regimes = row.regimes or verdicts.applicable(registry)
        purpose = registry.purpose(row.purpose)
        categories: Iterable[str] = row.categories or sorted(
            purpose.categories if purpose is not None else ("identity",)
        )
        found = [
            verdicts.verdict(
                registry,
                state.statements,
                Key(row.purpose, row.channel, category),
                regimes=regimes,
                at_us=at_us,
                status=state.status,
            )
            for category in categories
        ]
        if row.categories:
            return found
        allowed = [verdict for verdict in found if verdict.allowed]
        return allowed or found[:1]

    def at_basis(self, found: Sequence[Verdict]) -> Iterator[Violation]:
        """What the entries say where the basis was given."""
        refused = next((verdict for verdict in found if not verdict.allowed), None)
        if refused is not None:
            rule = _RULES.get(refused.reason)
            if rule is not None:
                yield self._violation(rule, refused.support, f"the ledger said {refused.reason.value}")
            if self.row.support is not None:
                yield self._violation(Rule.BASIS_MISMATCH, refused.support, f"the ledger said {refused.reason.value}")
        elif max(verdict.support or 0 for verdict in found) != (self.row.support or 0) or self.row.support is None:
            yield self._violation(Rule.BASIS_MISMATCH, found[0].support, "the ledger rests it on another entry")

    def at_decision(self, state: SubjectState, entries: Sequence[Entry]) -> Iterator[Violation]:
        """What the ledger knew when the decision was made, and the basis did not."""
        row = self.row
        newer = [entry for entry in entries if entry.index > row.basis and entry.narrows]
        if not newer:
            return
        refused = next((v for v in self.verdicts(state, row.decided_us) if v.reason in DENIED), None)
        if refused is None:
            return
        cause = _cause(refused, state, newer)
        if cause is not None:
            yield self._violation(
                Rule.AFTER_DENIAL,
                cause.index,
                f"{refused.reason.value} had been recorded",
                row.decided_us - cause.recorded_us,
            )

    def _violation(self, rule: Rule, cause: int | None, detail: str, margin_us: int = 0) -> Violation:
        row = self.row
        return Violation(
            rule.value,
            row.decision,
            row.decided_us,
            row.purpose,
            row.subject,
            row.basis,
            row.support,
            cause,
            margin_us,
            detail,
        )


def _cause(refused: Verdict, state: SubjectState, newer: Sequence[Entry]) -> Entry | None:
    """The entry that the refusal rests on, when it came after the basis."""
    if state.status is not Status.LIVE:
        return next((entry for entry in reversed(newer) if entry.kind in (Kind.SEALED, Kind.LINKED)), None)
    return next((entry for entry in newer if entry.index == refused.support), None)
