"""A bundle ready to evaluate: rules compiled once, and what depends only on where something is to be shown resolved once.

A request names its channel, placements and jurisdictions; few combinations ever occur, so each keeps its `Plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from catalog.expression import attributes
from catalog.jurisdictions import lies_in
from catalog.model import Action, Bundle, Derived, Pack, Rule
from eligibility_service.domain.builtin import no_consent, not_in_force, warrant
from eligibility_service.domain.contact import memory_ms
from eligibility_service.domain.lookup import CANDIDATE
from eligibility_service.domain.reasons import Reason, Telling
from eligibility_service.domain.touching import Calm, Cover, calm, cover
from eligibility_service.domain.verdicts import Form, Truth, normal_form

SAFEGUARDING = "safeguarding"
PLANS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A rule, its compiled requirement, and what it says when it fails."""

    rule: Rule
    requirement: Form
    reads_candidate: bool
    telling: Telling

    def settle(self, truth: Truth) -> bool:
        """Whether the rule holds; in a protective one, unknown is no."""
        return self.rule.missing == "pass" and not self.rule.protective if truth is None else truth


@dataclass(frozen=True, slots=True)
class Question:
    """A rule asked under a purpose: the answer is the same for every action of that purpose."""

    judge: Judge
    purpose: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An action that the request could show, where, and what judges it.

    `shared` are places in the plan's questions; `own` are the questions whose answer depends on the action itself. The two reasons are
    what it is removed for without consent, and when it is not in force.
    """

    action: Action
    placements: tuple[str, ...]
    shared: tuple[int, ...]
    own: tuple[Question, ...]
    cover: Cover
    warrant: Form | None
    selling: bool
    needs_consent: bool
    no_consent: Reason
    not_in_force: Reason


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is known before the customer is: candidates sorted by action, what to ask for them under which purposes, and the quiet hours that bind."""

    candidates: tuple[Candidate, ...]
    questions: tuple[Question, ...]
    purposes: frozenset[str]
    calm: Calm


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is to be shown; no placements means all of the channel."""

    channel: str
    placements: frozenset[str]
    jurisdictions: frozenset[str]


class Policy:
    """A compiled bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.memory_ms = memory_ms(bundle)
        self.derived: Mapping[str, Derived] = {derived.id: derived for derived in bundle.derived}
        self._judges = {id(rule): self._judge(rule) for rule in bundle.all_rules}
        self.plan = lru_cache(PLANS)(self._plan)
        """The plan of a `Place`."""

    def _judge(self, rule: Rule) -> Judge:
        requirement = self.bundle.expression(rule.require)
        reads_candidate = any(self._reads_candidate(name) for name in attributes(requirement))
        told = rule.reason
        telling = Telling(rule.stage, rule.id, told.code, told.text, told.disclose)
        return Judge(rule, normal_form(requirement), reads_candidate, telling)

    def _reads_candidate(self, name: str) -> bool:
        inputs = self.derived[name].of if name in self.derived else ()
        return name == CANDIDATE or any(map(self._reads_candidate, inputs))

    def _plan(self, place: Place) -> Plan:
        packs = self._packs(place)
        rules = (*self.bundle.rules, *(rule for pack in packs for rule in pack.rules))
        judges = [self._judges[id(rule)] for rule in rules]
        quiet = calm(self.bundle, place.channel, packs)
        places: dict[Question, int] = {}
        candidates = [
            self._candidate(action, here, place.channel, judges, quiet, places)
            for action in sorted(self.bundle.actions, key=lambda action: action.id)
            if (here := self._placements(action, place))
        ]
        purposes = {SAFEGUARDING} | {candidate.action.purpose for candidate in candidates}
        return Plan(tuple(candidates), tuple(places), frozenset(purposes), quiet)

    def _packs(self, place: Place) -> tuple[Pack, ...]:
        """The pinned packs that bind the customer, or the booking bank; where several do, all apply."""
        places = (*place.jurisdictions, self.bundle.bank.jurisdiction)
        return tuple(
            pack for pack in self.bundle.active_packs if any(lies_in(each, pack.jurisdiction) for each in places)
        )

    def _candidate(
        self,
        action: Action,
        placements: tuple[str, ...],
        channel: str,
        judges: list[Judge],
        quiet: Calm,
        places: dict[Question, int],
    ) -> Candidate:
        """The candidate; questions that it is the first to share are added to `places`."""
        asked = [_question(judge, action) for judge in judges if judge.rule.scope.covers(action)]
        return Candidate(
            action,
            placements,
            shared=tuple(places.setdefault(each, len(places)) for each in asked if not each.judge.reads_candidate),
            own=tuple(each for each in asked if each.judge.reads_candidate),
            cover=cover(self.bundle, action, channel, quiet),
            warrant=warrant(action),
            selling=action.selling,
            needs_consent=self.bundle.purpose[action.purpose].needs_consent,
            no_consent=no_consent(action),
            not_in_force=not_in_force(action.validity),
        )

    def _placements(self, action: Action, place: Place) -> tuple[str, ...]:
        """Where it could appear; nowhere means that it is no candidate."""
        if not action.treatments_on(place.channel):
            return ()
        here = {each.id for each in self.bundle.placements if place.channel in each.channels}
        return tuple(sorted(here.intersection(action.placements, place.placements or here)))


def _question(judge: Judge, action: Action) -> Question:
    return Question(judge, SAFEGUARDING if judge.rule.protective else action.purpose)
