"""Evaluate: every action through every stage, with every reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from catalog.expression import Expression, evaluate, settle
from catalog.expression.tree import AllOf, AnyOf, Not, Predicate
from catalog.model import Action
from catalog.values import Missing, Value
from eligibility_service.domain.contact import blocks, covered
from eligibility_service.domain.lookup import Lookup, jurisdictions
from eligibility_service.domain.policy import SAFEGUARDING, STAGES, Judge, Policy
from eligibility_service.domain.request import Request

VULNERABILITY = "view.vulnerability"


@dataclass(frozen=True, slots=True)
class Reason:
    """One failure of one action."""

    stage: str
    rule: str
    code: str
    text: str = ""
    disclose: str = "staff"
    attribute: str = ""
    seen: Value | None = None
    needed: str = ""
    missing: str = ""


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
        return min((reason.stage for reason in self.reasons), key=STAGES.index)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What survives and what does not, both sorted by action."""

    survivors: tuple[Survivor, ...]
    rejected: tuple[Rejected, ...]

    @property
    def stage_counts(self) -> tuple[tuple[str, int], ...]:
        """How many actions each stage removed, in order of stages, those that removed any."""
        found = [rejected.stage for rejected in self.rejected]
        return tuple((stage, found.count(stage)) for stage in STAGES if stage in found)


def evaluate_request(policy: Policy, request: Request) -> Evaluation:
    """The candidates of the request's channel and placements, sorted out. Pure."""
    return _Evaluating(policy, request).run()


class _Evaluating:
    """The values and verdicts that actions of one purpose share."""

    def __init__(self, policy: Policy, request: Request) -> None:
        self._policy = policy
        self._bundle = policy.bundle
        self._request = request
        self._jurisdictions = jurisdictions(policy.bundle, request)
        self._lookups: dict[str, Lookup] = {}
        self._verdicts: dict[tuple[str, str], Reason | None] = {}

    def run(self) -> Evaluation:
        survivors, rejected = [], []
        for action in sorted(self._bundle.actions, key=lambda action: action.id):
            placements = self._placements(action)
            if not placements:
                continue
            reasons = tuple(self._reasons(action))
            if reasons:
                rejected.append(Rejected(action.id, reasons))
            else:
                needed = covered(self._bundle, action, self._request.channel)
                survivors.append(Survivor(action.id, placements, needed))
        return Evaluation(tuple(survivors), tuple(rejected))

    def _placements(self, action: Action) -> tuple[str, ...]:
        """Where the action could appear in this request; nowhere means that it is no candidate."""
        channel = self._request.channel
        if not action.treatments_on(channel):
            return ()
        wanted = self._request.placements or tuple(self._bundle.placement)
        known = self._bundle.placement
        return tuple(
            sorted(p for p in action.placements if p in wanted and p in known and channel in known[p].channels)
        )

    def _reasons(self, action: Action) -> Iterator[Reason]:
        yield from self._consent(action)
        yield from self._built_in(action)
        warranted = tuple(self._not_warranted(action))
        for judge in self._policy.judges[action.id]:
            if warranted and judge.rule.stage != "eligibility":
                yield from warranted
                warranted = ()
            reason = self._judge(judge, action)
            if reason is not None:
                yield reason
        yield from warranted
        for block in blocks(self._bundle, self._request, action):
            needed = f"after {block.until_ms}" if block.until_ms else ""
            yield Reason(
                "contact", block.rule, block.code, block.text, block.disclose, needed=needed, missing=block.missing
            )

    def _consent(self, action: Action) -> Iterator[Reason]:
        if self._bundle.purpose[action.purpose].needs_consent and not self._request.categories(action.purpose):
            yield Reason(
                "consent", "builtin.consent", "NO_CONSENT", disclose="customer", needed=f"purpose {action.purpose}"
            )

    def _built_in(self, action: Action) -> Iterator[Reason]:
        if not _in_force(action, self._request.now_ms):
            yield Reason("builtin", "builtin.not_in_force", "NOT_IN_FORCE")
        if action.id in self._request.killed:
            yield Reason("builtin", "builtin.killed", "KILLED")
        if action.selling:
            yield from self._help_first()
            yield from self._vulnerable()

    def _help_first(self) -> Iterator[Reason]:
        """Help before sell: live friction, or not knowing, stops what sells."""
        rule, code, threshold = "builtin.help_first", "HELP_FIRST", self._bundle.help_first.strength
        needed = f"no friction of strength {threshold} or more"
        if not self._request.signals_known:
            yield Reason("builtin", rule, code, needed=needed, missing=Missing.UNAVAILABLE.value)
            return
        live = {name: s.strength for name, s in self._request.signals.items() if s.kind == "friction"}
        strong = sorted(name for name, strength in live.items() if strength >= threshold)
        if strong:
            yield Reason("builtin", rule, code, attribute=f"signal.{strong[0]}", seen=live[strong[0]], needed=needed)
        elif self._bundle.help_first.require_observation and not self._observed():
            yield Reason("builtin", rule, code, needed=needed, missing=Missing.NO_CONSENT.value)

    def _observed(self) -> bool:
        """Whether every friction signal may be looked for."""
        friction = [definition for definition in self._bundle.signals if definition.kind == "friction"]
        return all(self._bundle.needs[d.id] <= self._request.categories(d.purpose) for d in friction)

    def _vulnerable(self) -> Iterator[Reason]:
        """What sells stays away from the vulnerable, and from those of whom it is not known."""
        seen = self._lookup(SAFEGUARDING)(VULNERABILITY) if VULNERABILITY in self._bundle.table else Missing.UNKNOWN
        if isinstance(seen, Missing):
            yield Reason(
                "builtin",
                "builtin.vulnerable",
                "VULNERABLE",
                "",
                "never",
                VULNERABILITY,
                needed="empty",
                missing=seen.value,
            )
        elif seen:
            yield Reason("builtin", "builtin.vulnerable", "VULNERABLE", "", "never", VULNERABILITY, seen, "empty")

    def _not_warranted(self, action: Action) -> Iterator[Reason]:
        if not action.warranted_by:
            return
        lookup = self._lookup(action.purpose)
        seen = {name: lookup(f"signal.{name}") for name in action.warranted_by}
        if any(isinstance(value, int) and value > 0 for value in seen.values()):
            return
        causes = sorted(value.value for value in seen.values() if isinstance(value, Missing))
        needed = f"one of {', '.join(sorted(seen))} active"
        attribute = f"signal.{min(seen)}"
        missing = causes[0] if causes else ""
        yield Reason(
            "applicability",
            "builtin.not_warranted",
            "NOT_WARRANTED",
            "",
            "staff",
            attribute,
            None if causes else 0,
            needed,
            missing,
        )

    def _judge(self, judge: Judge, action: Action) -> Reason | None:
        """The rule's failure for this action, if it fails; shared by actions that see the same."""
        if judge.jurisdiction is not None and judge.jurisdiction not in self._jurisdictions:
            return None
        purpose = judge.purpose(action)
        key = (judge.rule.id, action.id if judge.reads_candidate else f"purpose {purpose}")
        if key not in self._verdicts:
            self._verdicts[key] = self._verdict(judge, self._lookup(purpose), action)
        return self._verdicts[key]

    def _verdict(self, judge: Judge, lookup: Lookup, action: Action) -> Reason | None:
        read = lookup.judging(action.id) if judge.reads_candidate else lookup
        truth = evaluate(judge.requirement, read)
        rule = judge.rule
        if settle(truth, "fail" if rule.protective else rule.missing):
            return None
        at_fault = _first_at_fault(judge.requirement, read, unknown=truth is None)
        seen = read(at_fault.attribute)
        missing = seen.value if isinstance(seen, Missing) else ""
        return Reason(
            rule.stage,
            rule.id,
            rule.reason.code,
            rule.reason.text,
            rule.reason.disclose,
            at_fault.attribute,
            None if isinstance(seen, Missing) else seen,
            f"{at_fault.op} {_operand(at_fault)}".strip(),
            missing,
        )

    def _lookup(self, purpose: str) -> Lookup:
        if purpose not in self._lookups:
            self._lookups[purpose] = Lookup(self._bundle, self._request, purpose, self._policy.derived)
        return self._lookups[purpose]


def _in_force(action: Action, now_ms: int) -> bool:
    validity = action.validity
    return validity.start <= now_ms and (validity.until is None or now_ms < validity.until)


def _operand(predicate: Predicate) -> str:
    value = predicate.value
    return ", ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)


def _first_at_fault(expression: Expression, read: Lookup | object, *, unknown: bool) -> Predicate:
    """The leftmost predicate that made the expression what it is: false, or unknown when nothing is false."""
    assert callable(read)
    wanted = None if unknown else False
    match expression:
        case Predicate():
            return expression
        case Not(part):
            return _leftmost(part)
        case AllOf(parts) | AnyOf(parts):
            guilty = [part for part in parts if evaluate(part, read) is wanted]
            return _first_at_fault((guilty or list(parts))[0], read, unknown=unknown)


def _leftmost(expression: Expression) -> Predicate:
    match expression:
        case Predicate():
            return expression
        case Not(part):
            return _leftmost(part)
        case AllOf(parts) | AnyOf(parts):
            return _leftmost(parts[0])
