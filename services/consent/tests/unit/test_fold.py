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
from consent_service.domain.words import LIFTS, OBJECTIONS, REFUSALS, Kind, Reason, State, Status
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


OBJECTED = {Kind.RESTRICT: Reason.RESTRICTED, Kind.OBJECT: Reason.OBJECTED, Kind.OPT_OUT: Reason.OPTED_OUT}


@dataclass
class Told:
    """What a plain dictionary keeps for one key: everything."""

    grants: list[Statement] = field(default_factory=list)
    denials: list[Statement] = field(default_factory=list)
    objections: list[tuple[Kind, int]] = field(default_factory=list)

    def object(self, kind: Kind, event_us: int) -> None:
        self.objections.append((kind, event_us))

    def lift(self, kind: Kind, event_us: int) -> None:
        self.objections = [o for o in self.objections if o[0] is not kind or o[1] >= event_us]

    def objected(self) -> Reason | None:
        kinds = {kind for kind, _ in self.objections}
        return next((reason for kind, reason in OBJECTED.items() if kind in kinds), None)

    def state(self, at_us: int, void: bool) -> tuple[State, Reason]:
        objected = self.objected()
        if objected is not None:
            return State.OBJECTED, objected
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


DENIED = frozenset({Reason.WITHDRAWN, Reason.REFUSED, *OBJECTED.values()})


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

    @rule(scope=denials, back=moments, kind=st.sampled_from(sorted(OBJECTIONS)))
    def object(self, scope, back, kind):
        for key in filter(scope.denies, KEYS):
            self.told[key].object(kind, self.now + back)
        self.append(statement(self.index, kind, scope, self.now + back, self.now))

    @rule(scope=denials, back=moments, kind=st.sampled_from(sorted(LIFTS)))
    def lift(self, scope, back, kind):
        for key in filter(scope.denies, KEYS):
            self.told[key].lift(LIFTS[kind], self.now + back)
        self.append(statement(self.index, kind, scope, self.now + back, self.now))

    @rule(us=st.integers(1, 3))
    def time_passes(self, us):
        self.now += us

    @invariant()
    def every_verdict_is_the_dictionarys(self):
        for registry, void in ((REGISTRY, False), (VOIDED, True)):
            for key in KEYS:
                found = verdict(registry, self.state.statements, key, regimes=("gdpr",), at_us=self.now)
                state, reason = self.told[key].state(self.now, void)
                if key.purpose == "advice" and reason not in DENIED:
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
        st.tuples(st.just(Kind.GRANT), grants),
        st.tuples(st.sampled_from(sorted(REFUSALS | OBJECTIONS | set(LIFTS))), denials),
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

    def seal(self, kind, *subjects) -> None:
        states = [self.lineage(subject)[0] for subject in subjects]
        self.write(entries.seal(self.head, states, kind, now_us=self.now, case="case-1"))

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
        return {key for key, reason in self.reasons(subject).items() if reason in DENIED}


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


def denied_by(acts, key) -> bool:
    """Whether these acts alone deny the key: a refusal does whatever follows, an objection until it is lifted."""
    told = Told()
    for number, (kind, scope) in enumerate(acts):
        if kind is not Kind.GRANT and scope.denies(key):
            if kind in REFUSALS:
                return True
            told.lift(LIFTS[kind], number) if kind in LIFTS else told.object(kind, number)
    return told.objected() is not None


@given(acts, acts, acts)
def test_denials_made_while_linked_stay_with_both_sides_and_grants_with_the_survivor(mine, theirs, meanwhile):
    world = World()
    world.act("survivor", mine)
    world.act("absorbed", theirs)
    before = world.allowed("absorbed")
    world.link("survivor", "absorbed")
    world.act("absorbed", meanwhile)

    world.unlink("survivor", "absorbed")

    assert world.allowed("absorbed") == {key for key in before if not denied_by(meanwhile, key)}


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


def test_an_objection_made_while_linked_is_copied_as_far_as_it_stands():
    world = World()
    world.link("survivor", "absorbed")
    web = frozenset({"web"})
    world.act("absorbed", [(Kind.OBJECT, Scope("*")), (Kind.LIFT_OBJECT, Scope("advice", web))])

    world.unlink("survivor", "absorbed")

    for subject in ("survivor", "absorbed"):
        objected = {key for key, reason in world.reasons(subject).items() if reason is Reason.OBJECTED}
        assert objected == {key for key in KEYS if (key.purpose, key.channel) != ("advice", "web")}


def test_a_lifting_made_while_linked_stays_with_the_survivor():
    world = World()
    world.act("absorbed", [(Kind.RESTRICT, Scope("*"))])
    world.link("survivor", "absorbed")
    world.act("survivor", [(Kind.LIFT_RESTRICT, Scope("*"))])
    assert set(world.reasons("survivor").values()) == {Reason.NO_RECORD, Reason.NOT_OBJECTED}

    world.unlink("survivor", "absorbed")

    assert set(world.reasons("absorbed").values()) == {Reason.RESTRICTED}
    assert set(world.reasons("survivor").values()) == {Reason.NO_RECORD, Reason.NOT_OBJECTED}


def test_a_survivor_is_sealed_as_long_as_anybody_it_absorbed_is():
    world = World()
    world.seal(Kind.SEALED, "absorbed")

    world.link("survivor", "absorbed")
    world.link("top", "survivor")
    assert [world.lineage(s)[0].status for s in ("absorbed", "survivor", "top")] == [Status.SEALED] * 3
    world.unlink("survivor", "absorbed")

    assert [world.lineage(s)[0].status for s in ("absorbed", "survivor", "top")] == [
        Status.SEALED,
        Status.LIVE,
        Status.LIVE,
    ]


def test_sealing_covers_every_member_and_outlasts_their_separation():
    world = World()
    world.link("survivor", "absorbed")
    world.seal(Kind.SEALED, "survivor", "absorbed")
    world.unlink("survivor", "absorbed")
    assert [world.lineage(s)[-1].status for s in ("survivor", "absorbed")] == [Status.SEALED] * 2

    world.link("survivor", "absorbed")
    world.seal(Kind.UNSEALED, "survivor", "absorbed")

    assert [world.lineage(s)[0].status for s in ("survivor", "absorbed")] == [Status.LIVE] * 2
