"""May we, now? Deny overrides: every regime that applies must say yes, and the first reason in the order of `words.Reason` is given.

The fold gives one choice per key: the last grant that took effect, unless a denial came after it. A grant whose notice is VOID, or whose
time has not come, lifts nothing: denials before it stand again. An ended one did lift them, and leaves EXPIRED. Half-open: a grant holds
in [from, to), so at `to` it is EXPIRED and one microsecond earlier it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from consent_service.domain.choices import Key, Statement
from consent_service.domain.objections import standing
from consent_service.domain.registry import Registry
from consent_service.domain.words import (
    CLOSED,
    DENIABLE,
    LIFTS,
    OBJECTIONS,
    RANK,
    SENSITIVE,
    YES,
    Basis,
    Kind,
    Reason,
    State,
    Status,
)
from servicekit.errors import Invalid


class Verdict(NamedTuple):
    """The answer for one key. `support` is the index of the entry it rests on, `until_us` the end of a grant it rests on."""

    reason: Reason
    state: State = State.UNKNOWN
    basis: Basis | None = None
    support: int | None = None
    until_us: int | None = None

    @property
    def allowed(self) -> bool:
        """Yes or no."""
        return self.reason in YES


class Rule(NamedTuple):
    """How one regime judges one purpose. `absolute`: an objection ends it whatever the basis (direct marketing, GDPR 21(3))."""

    basis: Basis
    grounded: bool
    window_us: int
    max_validity_us: int | None
    absolute: bool = False


class Choice(NamedTuple):
    """What the choice layer says about a key; `state` is before the end of a grant is looked at."""

    reason: Reason
    state: State
    statement: Statement | None


class Said(NamedTuple):
    """The statements that reach a key, sorted out."""

    grant: Statement | None
    denials: Sequence[Statement]
    served: Statement | None
    objections: Sequence[Statement] = ()


class Case(NamedTuple):
    """What every regime judges alike: the choice, the objections that stand, the first served notice, and the key's peculiarities."""

    choice: Choice
    objections: Sequence[Statement]
    served: Statement | None
    registry_index: int
    sensitive: bool
    at_us: int


_DENIED = {Kind.WITHDRAW: (Reason.WITHDRAWN, State.WITHDRAWN), Kind.REFUSE: (Reason.REFUSED, State.REFUSED)}
_OBJECTED = ((Kind.RESTRICT, Reason.RESTRICTED), (Kind.OBJECT, Reason.OBJECTED), (Kind.OPT_OUT, Reason.OPTED_OUT))
_SILENT = Choice(Reason.NO_RECORD, State.UNKNOWN, None)


def applicable(registry: Registry, named: Iterable[str] = ()) -> tuple[str, ...]:
    """The default regimes and those the caller names, sorted; Invalid when one is not known: it cannot narrow."""
    regimes = tuple(sorted({*registry.default_regimes, *named}))
    if registry.regimes is not None and any(registry.regime(regime) is None for regime in regimes):
        raise Invalid("The regime is not in the registry.", field="regimes", reason="UNKNOWN_REGIME")
    return regimes


def rules(registry: Registry, purpose: str, regimes: Sequence[str]) -> tuple[Rule, ...] | Reason:
    """One rule per regime, or why the purpose is denied as a whole, channels and recipients aside."""
    found = registry.purpose(purpose)
    if found is None:
        return Reason.UNKNOWN_PURPOSE
    if found.retired:
        return Reason.PURPOSE_RETIRED
    profiles = [(registry.regime(regime), found.bases.get(regime), found.ground(regime)) for regime in regimes]
    made = [
        Rule(
            basis,
            ground is not None,
            profile.window_us,
            profile.max_validity_us,
            profile.absolute(found.tags),
        )
        for profile, basis, ground in profiles
        if profile is not None and basis is not None
    ]
    if not made or len(made) < len(regimes):
        return Reason.NO_LAWFUL_BASIS
    return tuple(dict.fromkeys(made))


def listed(registry: Registry, key: Key) -> Reason | None:
    """Why the registry does not list the key for its purpose, which it has; None when it does."""
    purpose = registry.purpose(key.purpose)
    assert purpose is not None
    if key.channel not in (registry.channels if purpose.channels is None else purpose.channels):
        return Reason.CHANNEL_NOT_LISTED
    if key.category not in purpose.categories:
        return Reason.CATEGORY_NOT_LISTED
    return None if key.recipient in purpose.recipients else Reason.RECIPIENT_NOT_LISTED


def verdict(
    registry: Registry,
    statements: Iterable[Statement],
    key: Key,
    *,
    regimes: Sequence[str],
    at_us: int,
    status: Status = Status.LIVE,
) -> Verdict:
    """The verdict for one key, from the subject's status and its statements in index order."""
    if status is not Status.LIVE:
        return Verdict(CLOSED[status])
    found = rules(registry, key.purpose, regimes)
    if isinstance(found, Reason):
        return Verdict(found)
    absent = listed(registry, key)
    if absent is not None:
        return Verdict(absent)
    return judge(registry, found, [s for s in statements if s.reaches(key)], key.category, at_us)


def judge(
    registry: Registry, found: Sequence[Rule], reaching: Iterable[Statement], category: str, at_us: int
) -> Verdict:
    """The verdict from the rules of every regime and the statements that reach the key."""
    said = _said(registry, reaching)
    choice = _choice(registry, said, at_us)
    case = Case(choice, said.objections, said.served, registry.index, category == SENSITIVE, at_us)
    if len(found) == 1:
        return _by_regime(found[0], case)
    return _strictest([_by_regime(rule, case) for rule in found])


def _strictest(verdicts: Sequence[Verdict]) -> Verdict:
    """The first by precedence; an allowed one ends with the first grant that any of them rests on."""
    first = min(verdicts, key=lambda verdict: RANK[verdict.reason])
    if not first.allowed:
        return first
    ends = [verdict.until_us for verdict in verdicts if verdict.until_us is not None]
    return Verdict(first.reason, first.state, first.basis, first.support, min(ends, default=None))


def _said(registry: Registry, reaching: Iterable[Statement]) -> Said:
    """The last grant that took effect, every denial, the earliest notice that was served, and the objections that stand."""
    grant = served = None
    denials: list[Statement] = []
    objections: list[Statement] = []
    for statement in reaching:
        kind = statement.kind
        if kind is Kind.GRANT:
            grant = statement if statement.effective else grant
        elif kind in OBJECTIONS or kind in LIFTS:
            objections.append(statement)
        elif kind is not Kind.NOTICE_SERVED:
            denials.append(statement)
        elif not registry.void(statement.notice) and (served is None or statement.event_us < served.event_us):
            served = statement
    return Said(grant, denials, served, standing(objections) if objections else ())


def _choice(registry: Registry, said: Said, at_us: int) -> Choice:
    grant = said.grant
    if grant is None:
        denial = _denial(said.denials, -1)
        return Choice(*_DENIED[denial.kind], denial) if denial is not None else _SILENT
    void = registry.void(grant.notice)
    counts = not void and grant.from_us <= at_us
    denial = _denial(said.denials, grant.index if counts else -1)
    if denial is not None:
        return Choice(*_DENIED[denial.kind], denial)
    if counts:
        return Choice(Reason.GRANTED, State.GRANTED, grant)
    return Choice(Reason.NOTICE_VOID if void else Reason.NOT_YET_VALID, State.UNKNOWN, grant)


def _denial(denials: Sequence[Statement], after: int) -> Statement | None:
    """The denial that counts: a withdrawal before a refusal, so that the order of denials decides nothing."""
    found = None
    for denial in denials:
        if denial.index > after and (found is None or denial.kind is Kind.WITHDRAW or found.kind is Kind.REFUSE):
            found = denial
    return found


def _by_regime(rule: Rule, case: Case) -> Verdict:
    """One cell of the table of consent.md section 3."""
    if case.objections:
        objected = _objected(rule, case.objections)
        if objected is not None:
            return objected
    verdict = _chosen(rule, case)
    return verdict._replace(state=State.OBJECTED) if case.objections else verdict


def _objected(rule: Rule, objections: Sequence[Statement]) -> Verdict | None:
    """The first column of the objection layer that says no under this basis."""
    for kind, reason in _OBJECTED:
        said = next((objection for objection in objections if objection.kind is kind), None)
        if said is not None and ends(kind, rule.basis, absolute=rule.absolute):
            return Verdict(reason, State.OBJECTED, rule.basis, said.index)
    return None


def ends(kind: Kind, basis: Basis, *, absolute: bool) -> bool:
    """Whether a denial of this kind ends a purpose with this basis; `absolute` as in `Rule`."""
    if kind is Kind.RESTRICT:
        return basis is not Basis.LEGAL_OBLIGATION
    return basis in DENIABLE or (kind is Kind.OBJECT and absolute)


def _chosen(rule: Rule, case: Case) -> Verdict:
    """The columns of the choice layer."""
    reason, state, statement = case.choice
    until = _until(rule, statement) if reason is Reason.GRANTED else None
    if until is not None and case.at_us >= until:
        reason, state = Reason.EXPIRED, State.EXPIRED
    support = statement.index if statement is not None else None
    if rule.basis in (Basis.CONTRACT, Basis.LEGAL_OBLIGATION):
        return _needed(rule, state, case)
    if reason in (Reason.WITHDRAWN, Reason.REFUSED):
        return Verdict(reason, state, rule.basis, support)
    if case.sensitive and not rule.grounded and not _explicit(rule, reason, statement):
        return Verdict(Reason.EXPLICIT_REQUIRED, state, rule.basis, support)
    if rule.basis is Basis.LEGITIMATE_INTEREST:
        return Verdict(Reason.NOT_OBJECTED, state, rule.basis, case.registry_index)
    if reason is Reason.GRANTED or rule.basis is Basis.CONSENT:
        ends = statement is not None and statement.kind is Kind.GRANT
        return Verdict(reason, state, rule.basis, support, _until(rule, statement) if ends else None)
    return _after_notice(rule, state, case)


def _until(rule: Rule, grant: Statement | None) -> int | None:
    """The end of a grant under this rule: its own, or the longest that the regime lets it hold."""
    if grant is None:
        return None
    if rule.max_validity_us is None:
        return grant.to_us
    longest = grant.event_us + rule.max_validity_us
    return longest if grant.to_us is None else min(grant.to_us, longest)


def _explicit(rule: Rule, reason: Reason, statement: Statement | None) -> bool:
    """Whether nothing about being explicit is missing: without a grant in force another reason says more."""
    if rule.basis is not Basis.CONSENT:
        return False
    return reason is not Reason.GRANTED or (statement is not None and statement.explicit)


def _needed(rule: Rule, state: State, case: Case) -> Verdict:
    reason = Reason.EXPLICIT_REQUIRED if case.sensitive and not rule.grounded else Reason.NEEDED
    return Verdict(reason, state, rule.basis, case.registry_index)


def _after_notice(rule: Rule, state: State, case: Case) -> Verdict:
    if case.served is None:
        return Verdict(Reason.NOTICE_NOT_SERVED, state, rule.basis)
    waiting = case.at_us < case.served.event_us + rule.window_us
    return Verdict(Reason.WAITING_WINDOW if waiting else Reason.NOTICE_SERVED, state, rule.basis, case.served.index)
