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
from consent_service.domain.words import CATEGORIES, CLOSED, SELF, SENSITIVE, SUBTREE, YES, Reason, Status

WHOLE = "*"
DEFAULT_TTL_US = 10_000_000
LONGEST_TTL_US = 30_000_000
LAST_US = 1 << 63


class PurposePlan(NamedTuple):
    """One purpose. With a `whole` denial nothing else is looked at; `silent` is what a subject without statements gets."""

    purpose: str
    whole: dict[str, str] | None = None
    rules: tuple[Rule, ...] = ()
    categories: frozenset[str] = frozenset()
    silent: Evaluated | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How a registry judges one channel under some regimes."""

    registry: Registry
    regimes: tuple[str, ...]
    channel: str
    purposes: tuple[PurposePlan, ...]


class Evaluated(NamedTuple):
    """What a basis says, and the ends of the grants that `allowed` rests on. Its dictionaries are shared: nobody changes them."""

    allowed: list[dict[str, Any]]
    denied: list[dict[str, str]]
    ends_us: list[int]


def plan(registry: Registry, regimes: tuple[str, ...], channel: str, purposes: Iterable[str] = ()) -> Plan:
    """The plan for these purposes; by default for all."""
    names = sorted(set(purposes)) or registry.purpose_ids
    return Plan(registry, regimes, channel, tuple(_purpose(registry, regimes, channel, name) for name in names))


def _purpose(registry: Registry, regimes: tuple[str, ...], channel: str, purpose: str) -> PurposePlan:
    found = rules(registry, purpose, regimes)
    if isinstance(found, Reason):
        return PurposePlan(purpose, _denial(purpose, WHOLE, found))
    absent = {category: listed(registry, Key(purpose, channel, category)) for category in CATEGORIES}
    if Reason.CHANNEL_NOT_LISTED in absent.values():
        return PurposePlan(purpose, _denial(purpose, WHOLE, Reason.CHANNEL_NOT_LISTED))
    made = PurposePlan(purpose, None, found, frozenset(category for category, why in absent.items() if why is None))
    silent = Evaluated([], [], [])
    _write(made, {category: judge(registry, found, (), category, 0) for category in made.categories}, silent)
    return made._replace(silent=silent)


def _denial(purpose: str, category: str, reason: Reason) -> dict[str, str]:
    return {"purpose": purpose, "category": category, "reason": reason.value}


def evaluate(plan: Plan, statements: Sequence[Statement], at_us: int) -> Evaluated:
    """Every verdict of the plan, for a subject's statements in index order."""
    out = Evaluated([], [], [])
    close = [s for s in statements if _close(s, plan.channel)]
    for part in plan.purposes:
        if part.whole is not None or part.silent is None:
            out.denied.extend([part.whole] if part.whole else [])
            continue
        near = [s for s in close if _near(s, part.purpose)]
        if near:
            _write(part, _judged(plan, part, near, at_us), out)
        else:
            out.allowed.extend(part.silent.allowed)
            out.denied.extend(part.silent.denied)
    return out


def closed(plan: Plan, status: Status) -> Evaluated:
    """What every purpose of a sealed or erased subject gets."""
    return Evaluated([], [_denial(part.purpose, WHOLE, CLOSED[status]) for part in plan.purposes], [])


def holds(plan: Plan, statements: Iterable[Statement], at_us: int) -> range:
    """The times at which every verdict is the one of `at_us`: none of the times that the algebra compares with lies between."""
    spans = {span for part in plan.purposes for rule in part.rules for span in (rule.window_us, rule.max_validity_us)}
    turns = [turn for s in statements for turn in (s.from_us, s.to_us, *_turns(s.event_us, spans)) if turn is not None]
    first = max((turn for turn in turns if turn <= at_us), default=0)
    return range(first, min((turn for turn in turns if turn > at_us), default=LAST_US))


def _turns(event_us: int, spans: Iterable[int | None]) -> list[int]:
    return [event_us + span for span in spans if span is not None]


def _close(statement: Statement, channel: str) -> bool:
    """Whether it reaches the channel and the bank, for some purpose and category."""
    scope = statement.scope
    if statement.kind in SUBTREE:
        return (not scope.channels or channel in scope.channels) and (not scope.recipients or SELF in scope.recipients)
    return channel in scope.channels and SELF in scope.recipients


def _near(statement: Statement, purpose: str) -> bool:
    root = statement.scope.purpose
    return root == purpose or (statement.kind in SUBTREE and below(purpose, root))


def _judged(plan: Plan, part: PurposePlan, near: Sequence[Statement], at_us: int) -> Mapping[str, Verdict]:
    """One verdict per category; categories with the same statements share it, unless they are sensitive."""
    if all(_everywhere(s, part.categories) for s in near):  # often so, and much faster
        return _judged_alike(plan, part, near, at_us)
    known: dict[tuple[bool, tuple[int, ...]], Verdict] = {}
    verdicts = {}
    for category in part.categories:
        reaching = [s for s in near if _reaches(s, part.purpose, plan.channel, category)]
        same = category == SENSITIVE, tuple(map(id, reaching))
        verdict = known.get(same)
        if verdict is None:
            verdict = known[same] = judge(plan.registry, part.rules, reaching, category, at_us)
        verdicts[category] = verdict
    return verdicts


def _judged_alike(plan: Plan, part: PurposePlan, near: Sequence[Statement], at_us: int) -> Mapping[str, Verdict]:
    verdicts = dict.fromkeys(part.categories, judge(plan.registry, part.rules, near, "", at_us))
    if SENSITIVE in verdicts and not all(rule.grounded for rule in part.rules):
        verdicts[SENSITIVE] = judge(plan.registry, part.rules, near, SENSITIVE, at_us)
    return verdicts


def _everywhere(statement: Statement, categories: frozenset[str]) -> bool:
    """Whether it reaches all these categories alike."""
    mine = statement.scope.categories
    return not statement.exceptions and (mine >= categories or (not mine and statement.kind in SUBTREE))


def _reaches(statement: Statement, purpose: str, channel: str, category: str) -> bool:
    """Whether a statement that is near reaches the category."""
    if statement.exceptions:
        return statement.reaches(Key(purpose, channel, category))
    mine = statement.scope.categories
    return category in mine or (not mine and statement.kind in SUBTREE)


def _write(part: PurposePlan, verdicts: Mapping[str, Verdict], out: Evaluated) -> None:
    """Enter a purpose's verdicts, sorted; what rests on the same entry stands together, and so does a purpose denied for one reason.

    Categories that are not the purpose's are left out: the registry says so, and the body names its digest.
    """
    groups: dict[tuple[str, int], list[str]] = {}
    denied: list[dict[str, str]] = []
    for category in CATEGORIES:
        verdict = verdicts.get(category)
        if verdict is None:
            continue
        if verdict.reason not in YES:
            denied.append(_denial(part.purpose, category, verdict.reason))
        else:
            groups.setdefault((verdict.basis or "", verdict.support or 0), []).append(category)
            if verdict.until_us is not None:
                out.ends_us.append(verdict.until_us)
    if not groups and len({denial["reason"] for denial in denied}) == 1:
        denied = [{**denied[0], "category": WHOLE}]
    out.denied.extend(denied)
    for (basis, support), categories in sorted(groups.items()):
        out.allowed.append({"purpose": part.purpose, "categories": categories, "basis": str(basis), "support": support})


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
