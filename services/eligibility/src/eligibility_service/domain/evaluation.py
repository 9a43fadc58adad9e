"""Evaluate: every candidate through every stage, with every reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from eligibility_service.domain.builtin import KILLED, in_force, no_selling, not_warranted
from eligibility_service.domain.lookup import Lookup
from eligibility_service.domain.policy import SAFEGUARDING, Candidate, Judge, Place, Plan, Policy
from eligibility_service.domain.reasons import STAGES, Reason, failed
from eligibility_service.domain.request import Request
from eligibility_service.domain.touching import Touching
from eligibility_service.domain.verdicts import Read


@dataclass(frozen=True, slots=True)
class Survivor:
    """An action that nothing removed."""

    action: str
    placements: tuple[str, ...]
    needs_reservation: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """A removed action with all its reasons, in order of stage and rule."""

    action: str
    reasons: tuple[Reason, ...]

    @property
    def stage(self) -> str:
        """The earliest stage that removed it."""
        return self.reasons[0].stage


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What survives and what does not, both sorted by action. An action that has no place in the request is neither."""

    survivors: tuple[Survivor, ...]
    rejected: tuple[Rejected, ...]

    @property
    def stage_counts(self) -> tuple[tuple[str, int], ...]:
        """How many actions each stage removed, in order of stages, those that removed any."""
        found = [rejected.stage for rejected in self.rejected]
        return tuple((stage, found.count(stage)) for stage in STAGES if stage in found)


def evaluate_request(policy: Policy, request: Request) -> Evaluation:
    """The candidates of the request's channel and placements, sorted out. Pure."""
    place = Place(request.channel, frozenset(request.placements), frozenset(request.jurisdictions))
    plan = policy.plan(place)
    evaluating = _Evaluating(policy, plan, request)
    judged = [(candidate, evaluating.reasons(candidate)) for candidate in plan.candidates]
    return Evaluation(
        tuple(Survivor(each.action.id, each.placements, each.cover.counted) for each, reasons in judged if not reasons),
        tuple(Rejected(each.action.id, reasons) for each, reasons in judged if reasons),
    )


class _Evaluating:
    """The values and verdicts that the candidates of one request share."""

    def __init__(self, policy: Policy, plan: Plan, request: Request) -> None:
        self._request = request
        self._lookups = {name: Lookup(policy.bundle, request, name, policy.derived) for name in plan.purposes}
        self._reads = {name: lookup.read for name, lookup in self._lookups.items()}
        self._touching = Touching(policy.bundle, request, plan.calm)
        self._no_selling = no_selling(policy.bundle, request, self._reads[SAFEGUARDING])
        self._failures = [_failure(each.judge, self._reads[each.purpose]) for each in plan.questions]

    def reasons(self, candidate: Candidate) -> tuple[Reason, ...]:
        """Every reason against it, in order of stage and rule."""
        found = self._built_in(candidate)
        found += [reason for place in candidate.shared if (reason := self._failures[place])]
        if candidate.own:
            found += self._own(candidate)
        found += self._touching(candidate.cover)
        return tuple(sorted(found, key=_rank) if len(found) > 1 else found)

    def _built_in(self, candidate: Candidate) -> list[Reason]:
        action, request, found = candidate.action, self._request, list[Reason]()
        if candidate.needs_consent and not self._lookups[action.purpose].categories:
            found.append(candidate.no_consent)
        if not in_force(action.validity, request.now_ms):
            found.append(candidate.not_in_force)
        if action.id in request.killed:
            found.append(KILLED)
        if candidate.selling:
            found += self._no_selling
        read = self._reads[action.purpose]
        if candidate.warrant is not None and not (truth := candidate.warrant(read)):
            found.append(not_warranted(candidate.warrant, truth, read))
        return found

    def _own(self, candidate: Candidate) -> Iterator[Reason]:
        """Failures of rules that read what is known of the action."""
        for question in candidate.own:
            reason = _failure(question.judge, self._lookups[question.purpose].judging(candidate.action.id).read)
            if reason is not None:
                yield reason


def _failure(judge: Judge, read: Read) -> Reason | None:
    truth = judge.requirement(read)
    if judge.settle(truth):
        return None
    blamed = judge.requirement.blame(read, truth)
    return failed(judge.telling, blamed, read(blamed.attribute))


def _rank(reason: Reason) -> tuple[int, str]:
    return reason.rank
