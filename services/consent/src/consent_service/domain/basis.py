"""The body of a consent basis: every (purpose, category) for a channel and the bank itself, by the same judge as a check.

What depends only on the registry, the regimes and the channel is planned once. Per request it remains to find the few statements
that reach a purpose, and to judge each different set of them once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from consent_service.domain.choices import Key, Statement, below
from consent_service.domain.registry import Registry
from consent_service.domain.verdicts import Rule, Verdict, judge, listed, rules
from consent_service.domain.words import CATEGORIES, SELF, SENSITIVE, Reason

WHOLE = "*"
DEFAULT_TTL_US = 10_000_000
LONGEST_TTL_US = 30_000_000


class PurposePlan(NamedTuple):
    """A purpose that may be allowed: its rules, the categories to judge, and what a subject without statements gets."""

    purpose: str
    rules: tuple[Rule, ...]
    categories: tuple[str, ...]
    unlisted: tuple[dict[str, str], ...]
    silent: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a registry judges one channel under some regimes; `denied` are purposes that it denies as a whole."""

    registry: Registry
    regimes: tuple[str, ...]
    channel: str
    purposes: tuple[PurposePlan, ...]
    denied: tuple[dict[str, str], ...]


class Evaluated(NamedTuple):
    """What a basis says, and the ends of the grants that `allowed` rests on."""

    allowed: list[dict[str, Any]]
    denied: list[dict[str, str]]
    ends_us: list[int]


def plan(registry: Registry, regimes: tuple[str, ...], channel: str, purposes: Iterable[str] = ()) -> Plan:
    """The plan for these purposes; by default for all."""
    planned, denied = [], []
    for purpose in sorted(set(purposes)) or registry.purpose_ids:
        found = _purpose(registry, regimes, channel, purpose)
        if isinstance(found, Reason):
            denied.append(_denial(purpose, WHOLE, found))
        else:
            planned.append(found)
    return Plan(registry, regimes, channel, tuple(planned), tuple(denied))


def _purpose(registry: Registry, regimes: tuple[str, ...], channel: str, purpose: str) -> PurposePlan | Reason:
    found = rules(registry, purpose, regimes)
    if isinstance(found, Reason):
        return found
    absent = {category: listed(registry, Key(purpose, channel, category)) for category in CATEGORIES}
    if Reason.CHANNEL_NOT_LISTED in absent.values():
        return Reason.CHANNEL_NOT_LISTED
    categories = tuple(category for category in CATEGORIES if absent[category] is None)
    unlisted = tuple(_denial(purpose, category, why) for category, why in absent.items() if why is not None)
    silent = tuple(judge(registry, found, (), category, 0) for category in categories)
    return PurposePlan(purpose, found, categories, unlisted, silent)


def _denial(purpose: str, category: str, reason: Reason) -> dict[str, str]:
    return {"purpose": purpose, "category": category, "reason": reason.value}


def evaluate(plan: Plan, statements: Sequence[Statement], at_us: int) -> Evaluated:
    """Every verdict of the plan, for a subject's statements in index order."""
    out = Evaluated([], list(plan.denied), [])
    for part in plan.purposes:
        near = [s for s in statements if _near(s, part.purpose, plan.channel)]
        verdicts = _judged(plan, part, near, at_us) if near else part.silent
        _write(part, verdicts, out)
    out.denied.sort(key=_order)
    return out


def _near(statement: Statement, purpose: str, channel: str) -> bool:
    """Whether it reaches the purpose, channel and bank for some category; exceptions are looked at later."""
    scope = statement.scope
    if statement.denial:
        return (
            below(purpose, scope.purpose)
            and (not scope.channels or channel in scope.channels)
            and (not scope.recipients or SELF in scope.recipients)
        )
    return scope.purpose == purpose and channel in scope.channels and SELF in scope.recipients


def _judged(plan: Plan, part: PurposePlan, near: Sequence[Statement], at_us: int) -> Sequence[Verdict]:
    """One verdict per category; categories with the same statements share it, unless they are sensitive."""
    known: dict[tuple[bool, tuple[int, ...]], Verdict] = {}
    verdicts = []
    for category in part.categories:
        key = Key(part.purpose, plan.channel, category)
        reaching = [s for s in near if s.reaches(key)]
        same = category == SENSITIVE, tuple(map(id, reaching))
        found = known.get(same)
        if found is None:
            found = known[same] = judge(plan.registry, part.rules, reaching, category, at_us)
        verdicts.append(found)
    return verdicts


def _write(part: PurposePlan, verdicts: Sequence[Verdict], out: Evaluated) -> None:
    groups: dict[tuple[str, int], list[str]] = {}
    for category, verdict in zip(part.categories, verdicts, strict=True):
        if verdict.allowed:
            assert verdict.basis is not None
            assert verdict.support is not None
            groups.setdefault((verdict.basis.value, verdict.support), []).append(category)
            if verdict.until_us is not None:
                out.ends_us.append(verdict.until_us)
        else:
            out.denied.append(_denial(part.purpose, category, verdict.reason))
    out.denied.extend(part.unlisted)
    for (basis, support), categories in sorted(groups.items()):
        out.allowed.append({"purpose": part.purpose, "categories": categories, "basis": basis, "support": support})


def _order(denial: Mapping[str, str]) -> tuple[str, str]:
    return denial["purpose"], denial["category"]


def body(
    evaluated: Evaluated,
    plan: Plan,
    *,
    ledger: str,
    epoch: int,
    index: int,
    subject: str,
    members: Iterable[str],
    at_us: int,
    ttl_us: int,
    kid: str,
) -> dict[str, Any]:
    """The body of section 4, ready for canonical JSON: a function of its arguments and nothing else."""
    return {
        "v": 1,
        "ledger": ledger,
        "epoch": epoch,
        "index": index,
        "subject": subject,
        "members": sorted(members),
        "channel": plan.channel,
        "recipient": SELF,
        "regimes": list(plan.regimes),
        "registry": plan.registry.digest,
        "at": at_us,
        "not_after": min([at_us + ttl_us, *evaluated.ends_us]),
        "kid": kid,
        "allowed": evaluated.allowed,
        "denied": evaluated.denied,
    }
