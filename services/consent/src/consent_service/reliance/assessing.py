"""What a recorded decision rested on, and what is wrong with that. Pure: the keys and the registry are arguments.

A purpose is used when one of its treatments was shown, or when personal data was fetched that is labelled with it: whoever ranks reads a
field for every purpose on its label, so a purpose is counted rather too often than once too rarely.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from consent_service.domain.registry import Registry
from consent_service.domain.words import DENIABLE
from servicekit.basis import Basis, SignedBasis, Verifier
from servicekit.errors import Forbidden


class Rule(StrEnum):
    """What can be wrong. The last three are found when a decision is folded, the others when somebody asks."""

    AFTER_DENIAL = "AFTER_DENIAL"
    NO_LAWFUL_BASIS = "NO_LAWFUL_BASIS"
    NOT_EXPLICIT = "NOT_EXPLICIT"
    IN_WINDOW = "IN_WINDOW"
    BASIS_MISMATCH = "BASIS_MISMATCH"
    WITHOUT_BASIS = "WITHOUT_BASIS"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    STALE_BASIS = "STALE_BASIS"


class Labelled(NamedTuple):
    """Some personal data of one category, and the purposes that it was fetched for."""

    category: str
    purposes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What matters of a decision's record. `shown`: purposes of its treatments; `signals`: how many signals it knew."""

    id: str
    at_us: int
    subject: str
    channel: str
    basis: SignedBasis | None = None
    shown: tuple[str, ...] = ()
    data: tuple[Labelled, ...] = ()
    signals: int = 0

    @property
    def personal(self) -> bool:
        """Whether anything is in it that is about the person."""
        return bool(self.data or self.signals)


class Reliance(NamedTuple):
    """One purpose that a decision used. `support` is None where the basis does not allow the purpose."""

    decision: str
    purpose: str
    support: int | None
    subject: str
    basis: int
    at_us: int
    decided_us: int
    channel: str
    categories: tuple[str, ...]
    regimes: tuple[str, ...]


class Finding(NamedTuple):
    """Something that should not be; `detail` names purposes and categories, never anybody."""

    decision: str
    rule: str
    detail: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Assessed:
    """What is stored of one decision."""

    reliances: tuple[Reliance, ...] = ()
    findings: tuple[Finding, ...] = ()


_RULE_OF: Final[Mapping[str, Rule]] = {
    "BASIS_SIGNATURE": Rule.BAD_SIGNATURE,
    "BASIS_LEDGER": Rule.BAD_SIGNATURE,
    "BASIS_EXPIRED": Rule.STALE_BASIS,
}
"""What the verifier says, as a rule; whatever else is wrong with a basis, there is none for this decision."""


def assess(decided: Decided, verifier: Verifier, registry: Registry) -> Assessed:
    """What the decision used, and what was wrong with its basis."""
    basis, broken = _verified(decided, verifier)
    findings = dict[Rule, str]()
    if broken is not None and decided.personal:
        rule, reason = broken
        findings[rule] = reason
    allowed = basis.allowed if basis is not None else {}
    if broken is None:
        strays = sorted(set(_strays(decided, allowed)))
        if strays:
            findings[Rule.WITHOUT_BASIS] = f"not allowed: {', '.join(strays)}"
    unlawful = [purpose for purpose in decided.shown if purpose not in allowed and not _free(registry, purpose)]
    if unlawful:
        findings[Rule.NO_LAWFUL_BASIS] = f"shown without a basis: {', '.join(sorted(set(unlawful)))}"
    reliances = _reliances(decided, basis) if basis is not None else ()
    return Assessed(
        tuple(reliances),
        tuple(Finding(decided.id, rule.value, detail, decided.at_us) for rule, detail in sorted(findings.items())),
    )


def _verified(decided: Decided, verifier: Verifier) -> tuple[Basis | None, tuple[Rule, str] | None]:
    """The basis as far as it is signed, and why it does not serve."""
    signed = decided.basis
    try:
        return verifier.verify_then(
            signed, now_us=decided.at_us, subject=decided.subject, channel=decided.channel
        ), None
    except Forbidden as refused:
        rule = _RULE_OF.get(refused.code, Rule.WITHOUT_BASIS)
        signs = rule is Rule.STALE_BASIS and signed is not None
        return verifier.recorded(signed) if signs else None, (rule, refused.code)


def _strays(decided: Decided, allowed: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Pairs of purpose and category that data is labelled with and the basis does not allow."""
    for data in decided.data:
        for purpose in data.purposes or ("",):
            if data.category not in allowed.get(purpose, ()):
                yield f"{purpose or 'no purpose'}/{data.category}"


def _free(registry: Registry, purpose: str) -> bool:
    """Whether the purpose rests on something that nobody can take away, in every regime that always applies."""
    found = registry.purpose(purpose)
    if found is None:
        return False
    bases = [found.bases.get(regime) for regime in registry.default_regimes]
    return bool(bases) and all(basis is not None and basis not in DENIABLE for basis in bases)


def _reliances(decided: Decided, basis: Basis) -> Iterator[Reliance]:
    used: dict[str, set[str]] = {purpose: set() for purpose in decided.shown}
    for data in decided.data:
        for purpose in data.purposes:
            used.setdefault(purpose, set()).add(data.category)
    supports = _supports(decided.basis)
    for purpose, categories in sorted(used.items()):
        yield Reliance(
            decision=decided.id,
            purpose=purpose,
            support=_support(supports.get(purpose, ()), categories),
            subject=decided.subject,
            basis=basis.index,
            at_us=basis.at_us,
            decided_us=decided.at_us,
            channel=basis.channel,
            categories=tuple(sorted(categories)),
            regimes=basis.regimes,
        )


def _supports(signed: SignedBasis | None) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """What the verified body allows, by purpose."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in json.loads(signed.body)["allowed"] if signed is not None else ():
        found.setdefault(entry["purpose"], []).append(entry)
    return found


def _support(entries: Iterable[Mapping[str, Any]], used: set[str]) -> int | None:
    """The newest entry that the data used rests on; of a purpose without data, the newest of all."""
    fitting = [entry["support"] for entry in entries if not used or not used.isdisjoint(entry["categories"])]
    return max(fitting, default=None)
