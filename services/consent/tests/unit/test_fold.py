"""The fold against a dictionary that forgets nothing, and links against what they promise."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from consent_fakes import DAY, NOW, a_notice, a_registry, ref
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consent_service.domain import entries
from consent_service.domain.acceptance import MOST_STATEMENTS, Actor
from consent_service.domain.choices import Key, Scope, Statement, below
from consent_service.domain.entries import Head
from consent_service.domain.fold import choose, unknown
from consent_service.domain.verdicts import verdict
from consent_service.domain.words import Kind, Reason, State
from servicekit.errors import Exhausted

PURPOSES = ("offers", "offers.credit", "advice")
CHANNELS = ("mobile", "web")
CATEGORIES = ("holding", "transaction")
KEYS = [Key(*parts) for parts in itertools.product(PURPOSES, CHANNELS, CATEGORIES)]
REGISTRY = a_registry()
VOIDED = a_registry(notices=[a_notice("de", status="VOID"), a_notice("en")])

subsets = st.sampled_from([frozenset(found) for size in (1, 2) for found in itertools.combinations(CHANNELS, size)])
category_sets = st.sampled_from(
    [frozenset(found) for size in (1, 2) for found in itertools.combinations(CATEGORIES, size)]
)
grants = st.builds(Scope, st.sampled_from(PURPOSES), subsets, category_sets, st.just(frozenset({"self"})))
denials = st.builds(
    Scope,
    st.sampled_from((*PURPOSES, "*")),
    st.one_of(st.just(frozenset()), subsets),
    st.one_of(st.just(frozenset()), category_sets),
)
moments = st.integers(min_value=-3, max_value=0)


def statement(index: int, kind: Kind, scope: Scope, event_us: int, now_us: int, **changed) -> Statement:
    return Statement(index=index, kind=kind, scope=scope, event_us=event_us, recorded_us=now_us, **changed)


@dataclass
class Told:
    """What a plain dictionary keeps for one key: everything."""

    grants: list[Statement] = field(default_factory=list)
    denials: list[Statement] = field(default_factory=list)

    def state(self, at_us: int, void: bool) -> tuple[State, Reason]:
        last = self.grants[-1] if self.grants else None
        is_void = last is not None and void and last.notice.locale == "de"
        lifts = last is not None and not is_void and last.from_us <= at_us
        kinds = {d.kind for d in self.denials if not lifts or d.index > last.index}
        if Kind.WITHDRAW in kinds:
            return State.WITHDRAWN, Reason.WITHDRAWN
        if kinds:
            return State.REFUSED, Reason.REFUSED
        if last is None:
            return State.UNKNOWN, Reason.NO_RECORD
        if not lifts:
            return State.UNKNOWN, Reason.NOTICE_VOID if is_void else Reason.NOT_YET_VALID
        if last.to_us is not None and at_us >= last.to_us:
            return State.EXPIRED, Reason.EXPIRED
        return State.GRANTED, Reason.GRANTED


class LedgerAgreesWithADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.index = 1
        self.state = unknown("someone")
        self.told = {key: Told() for key in KEYS}

    def append(self, made: Statement) -> None:
        self.state = choose(self.state, made)
        self.index += 1

    @rule(
        scope=grants,
        back=moments,
        starts=st.integers(0, 2),
        lasts=st.integers(1, 4),
        locale=st.sampled_from(["de", "en"]),
    )
    def grant(self, scope, back, starts, lasts, locale):
        event = self.now + back
        start = event + starts
        made = statement(
            self.index, Kind.GRANT, scope, event, self.now, from_us=start, to_us=start + lasts, notice=ref(locale)
        )
        named = [key for key in KEYS if scope.lists(key)]
        if not any(denial.event_us >= event for key in named for denial in self.told[key].denials):
            for key in named:
                self.told[key].grants.append(made)
        self.append(made)

    @rule(scope=denials, back=moments, kind=st.sampled_from([Kind.REFUSE, Kind.WITHDRAW]))
    def deny(self, scope, back, kind):
        made = statement(self.index, kind, scope, self.now + back, self.now)
        for key in KEYS:
            named = (not scope.channels or key.channel in scope.channels) and (
                not scope.categories or key.category in scope.categories
            )
            if below(key.purpose, scope.purpose) and named:
                self.told[key].denials.append(made)
        self.append(made)

    @rule(us=st.integers(1, 3))
    def time_passes(self, us):
        self.now += us

    @invariant()
    def every_verdict_is_the_dictionarys(self):
        for registry, void in ((REGISTRY, False), (VOIDED, True)):
            for key in KEYS:
                found = verdict(registry, self.state.statements, key, regimes=("gdpr",), at_us=self.now)
                state, reason = self.told[key].state(self.now, void)
                if key.purpose == "advice" and reason not in (Reason.WITHDRAWN, Reason.REFUSED):
                    reason = Reason.NOT_OBJECTED
                assert (found.state, found.reason) == (state, reason), key

    @precondition(lambda self: self.index > 1)
    @invariant()
    def statements_stay_few(self):
        assert len(self.state.statements) < self.index


TestLedgerAgreesWithADictionary = LedgerAgreesWithADictionary.TestCase
TestLedgerAgreesWithADictionary.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)

acts = st.lists(
    st.one_of(
        st.tuples(st.just(Kind.GRANT), grants), st.tuples(st.sampled_from([Kind.REFUSE, Kind.WITHDRAW]), denials)
    ),
    max_size=6,
)


class World:
    """Some subjects, their lineages, and a ledger that only counts."""

    def __init__(self) -> None:
        self.size = 1
        self.states = {}

    @property
    def head(self) -> Head:
        return Head("00" * 16, 1, self.size, NOW)

    @property
    def now(self) -> int:
        return NOW + self.size

    def lineage(self, subject):
        found = [self.states.get(subject, unknown(subject))]
        while found[-1].survivor is not None:
            found.append(self.states[found[-1].survivor])
        return tuple(found)

    def write(self, write) -> None:
        self.size += len(write.entries)
        self.states.update({state.subject: state for state in write.states})

    def act(self, subject, found) -> None:
        for kind, scope in found:
            extra = {"notice": ref(), "from_us": self.now} if kind is Kind.GRANT else {}
            made = statement(self.size, kind, scope, self.now, self.now, **extra)
            self.write(entries.record(self.head, self.lineage(subject)[-1], [made], actor=Actor()))

    def link(self, survivor, absorbed) -> None:
        above, below_ = self.lineage(survivor), self.lineage(absorbed)
        self.write(entries.link(self.head, above, below_, REGISTRY, now_us=self.now, evidence_ref=""))

    def unlink(self, survivor, absorbed) -> None:
        self.write(entries.unlink(self.head, survivor, self.lineage(absorbed), now_us=self.now, evidence_ref=""))

    def reasons(self, subject):
        root = self.lineage(subject)[-1]
        at = NOW + DAY
        return {key: verdict(REGISTRY, root.statements, key, regimes=("gdpr",), at_us=at).reason for key in KEYS}

    def allowed(self, subject):
        return {
            key
            for key, reason in self.reasons(subject).items()
            if reason in (Reason.GRANTED, Reason.NOT_OBJECTED, Reason.NEEDED)
        }

    def denied(self, subject):
        return {key for key, reason in self.reasons(subject).items() if reason in (Reason.WITHDRAWN, Reason.REFUSED)}


@given(acts, acts)
def test_a_merged_subject_is_as_strict_as_both_were_and_no_stricter(mine, theirs):
    world = World()
    world.act("survivor", mine)
    world.act("absorbed", theirs)
    before, denied = world.allowed("survivor"), world.denied("absorbed")

    world.link("survivor", "absorbed")

    assert world.allowed("survivor") == before - denied
    assert world.reasons("absorbed") == world.reasons("survivor")


@given(acts, acts, acts)
def test_a_link_that_is_undone_leaves_both_sides_as_they_were(mine, theirs, others):
    world = World()
    for subject, found in (("survivor", mine), ("absorbed", theirs), ("top", others)):
        world.act(subject, found)
    before = {subject: world.reasons(subject) for subject in ("survivor", "absorbed", "top")}

    world.link("survivor", "absorbed")
    world.link("top", "survivor")
    world.unlink("survivor", "absorbed")
    assert world.allowed("absorbed") == {k for k, r in before["absorbed"].items() if r in ("GRANTED", "NOT_OBJECTED")}
    world.unlink("top", "survivor")

    assert {subject: world.reasons(subject) for subject in before} == before


@given(acts, acts, acts)
def test_denials_made_while_linked_stay_with_both_sides_and_grants_with_the_survivor(mine, theirs, meanwhile):
    world = World()
    world.act("survivor", mine)
    world.act("absorbed", theirs)
    before = world.allowed("absorbed")
    world.link("survivor", "absorbed")
    world.act("absorbed", meanwhile)

    world.unlink("survivor", "absorbed")

    reached = {key for kind, scope in meanwhile if kind is not Kind.GRANT for key in KEYS if scope.denies(key)}
    assert world.allowed("absorbed") == before - reached


@given(acts, acts, acts)
def test_links_of_links_carry_every_denial_to_the_top(mine, theirs, others):
    for order in (("survivor", "absorbed", "top", "survivor"), ("top", "survivor", "survivor", "absorbed")):
        world = World()
        for subject, found in (("survivor", mine), ("absorbed", theirs), ("top", others)):
            world.act(subject, found)
        before = world.allowed("top")
        denied = world.denied("absorbed") | world.denied("survivor")

        world.link(*order[:2])
        world.link(*order[2:])

        assert world.allowed("top") == before - denied
        assert world.reasons("absorbed") == world.reasons("top")
        assert world.lineage("absorbed")[-1].members == {"survivor", "absorbed", "top"}


@given(st.permutations([(Kind.REFUSE, "offers"), (Kind.WITHDRAW, "offers"), (Kind.WITHDRAW, "*"), (Kind.REFUSE, "*")]))
def test_denials_at_one_time_may_come_in_any_order_and_twice(order):
    state = unknown("someone")
    for index, (kind, purpose) in enumerate([*order, *order], start=1):
        state = choose(state, statement(index, kind, Scope(purpose), NOW, NOW))

    found = verdict(REGISTRY, state.statements, KEYS[0], regimes=("gdpr",), at_us=NOW)

    assert found.reason is Reason.WITHDRAWN


def test_a_flood_of_grants_is_refused_and_a_denial_never():
    flood = tuple(
        statement(index, Kind.GRANT, Scope("offers", frozenset({f"c{index}"})), NOW, NOW, notice=ref())
        for index in range(1, MOST_STATEMENTS + 1)
    )
    state = replace(unknown("someone"), statements=flood)
    head = Head("00" * 16, 1, MOST_STATEMENTS + 1, NOW)
    more = statement(head.size, Kind.GRANT, Scope("offers", frozenset({"another"})), NOW, NOW, notice=ref())
    denial = statement(head.size, Kind.WITHDRAW, Scope("*"), NOW, NOW)

    with pytest.raises(Exhausted):
        entries.record(head, state, [more], actor=Actor())
    assert entries.record(head, state, [denial], actor=Actor()).entries[0].effective
