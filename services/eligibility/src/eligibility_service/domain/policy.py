"""A bundle's rules, parsed once: which rule judges which action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.expression import Expression, attributes
from catalog.model import Action, Bundle, Derived, Rule
from eligibility_service.domain.contact import in_scope
from eligibility_service.domain.lookup import CANDIDATE

STAGES = ("consent", "builtin", "eligibility", "applicability", "suitability", "suppression", "contact")
SAFEGUARDING = "safeguarding"


@dataclass(frozen=True, slots=True)
class Judge:
    """A rule and its parsed requirement; `jurisdiction` is None for the bank's own rules."""

    rule: Rule
    requirement: Expression
    jurisdiction: str | None
    reads_candidate: bool

    def purpose(self, action: Action) -> str:
        """What the rule reads under."""
        return SAFEGUARDING if self.rule.protective else action.purpose


@dataclass(frozen=True, slots=True)
class Policy:
    """A bundle ready to evaluate."""

    bundle: Bundle
    judges: Mapping[str, tuple[Judge, ...]]
    derived: Mapping[str, Derived]


def compile_policy(bundle: Bundle) -> Policy:
    """Resolve scopes and parse requirements; linear in rules times actions, once per bundle."""
    own = [_judge(bundle, rule, None) for rule in bundle.rules]
    packs = [_judge(bundle, rule, pack.jurisdiction) for pack in bundle.active_packs for rule in pack.rules]
    ordered = sorted(own + packs, key=lambda judge: (STAGES.index(judge.rule.stage), judge.rule.id))
    judges = {
        action.id: tuple(judge for judge in ordered if in_scope(judge.rule.scope, action)) for action in bundle.actions
    }
    return Policy(bundle, judges, {derived.id: derived for derived in bundle.derived})


def _judge(bundle: Bundle, rule: Rule, jurisdiction: str | None) -> Judge:
    requirement = bundle.expression(rule.require)
    return Judge(rule, requirement, jurisdiction, CANDIDATE in attributes(requirement))
