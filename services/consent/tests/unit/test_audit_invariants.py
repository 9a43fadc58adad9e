"""What must always hold of auditing, whatever was said: an honest run has no violation, a planted one is found, and what is shown decides."""

from __future__ import annotations

import asyncio
import json

from consent_fakes import KEY, LEDGER, NOW, VKEY, Bench, MemoryLedger, a_registry, acts, grant, refuse, served
from decision_samples import a_field, a_record, recorded
from hypothesis import given, settings
from hypothesis import strategies as st

from consent_service.auditing.verifying_state import _status, deciding, told
from consent_service.auditing.violations import Histories, violations
from consent_service.domain import verdicts
from consent_service.domain.choices import Key, Scope
from consent_service.domain.words import Kind
from consent_service.history import FOREVER
from consent_service.reliance.assessing import assess
from consent_service.reliance.decisions import decided
from servicekit import basis as kit
from servicekit.errors import AssentError

PEOPLE = ("anna", "bela", "cleo")
PURPOSES = a_registry().purpose_ids
STEP_US = 1_000_000
people = st.sampled_from(PEOPLE)
steps = st.one_of(
    st.tuples(st.just("grant"), people, st.sampled_from(["offers", "offers.credit", "sharing", "advice"])),
    st.tuples(st.just("refuse"), people, st.sampled_from(["offers", "advice", "sharing"])),
    st.tuples(st.just("served"), people, st.just("sharing")),
    st.tuples(st.just("withdraw"), people, st.sampled_from(["*", "offers"])),
    st.tuples(st.just("object"), people, st.sampled_from(["*", "offers", "advice"])),
    st.tuples(st.just("lift"), people, st.sampled_from(["offers", "advice"])),
    st.tuples(st.just("link"), people, people),
    st.tuples(st.just("unlink"), people, people),
)


async def act(bench, what, one, other):
    """One act; what is turned away changes nothing."""
    try:
        match what:
            case "grant":
                await bench.choose(one, grant(other))
            case "refuse":
                await bench.choose(one, refuse(other))
            case "served":
                await bench.choose(one, served(other))
            case "withdraw":
                await bench.withdraw(one, Scope(other))
            case "object":
                await bench.object(one, acts(Kind.OBJECT, other))
            case "lift":
                await bench.object(one, acts(Kind.LIFT_OBJECT, other))
            case _:
                await bench.link(one, other, linked=what == "link")
    except AssentError:
        return


class Run:
    """A ledger in memory, and the reliances of the decisions that were made on it."""

    def __init__(self):
        self.bench = Bench(MemoryLedger())
        self.verifier = kit.Verifier(kit.public_keys([VKEY]), ledger=LEDGER)
        self.rows = []
        self.bases = []

    async def registry(self):
        return await self.bench.registries.in_force(self.bench.ledger.head, self.bench.ledger)

    async def decide(self, subject, signed, at_us):
        """Use everything that the basis allows."""
        basis = self.verifier.recorded(signed)
        fields = [a_field(category, (purpose,)) for purpose, category in sorted(basis.pairs)]
        record = a_record(subject, signed, at_us=at_us, fields=fields, shown=sorted(basis.allowed))
        found = assess(decided(recorded(record)), self.verifier, await self.registry())
        self.rows += found.reliances
        return found

    async def live(self, script):
        """After each act everybody is decided about, a second later."""
        await self.bench.publish()
        for step in script:
            await act(self.bench, *step)
            self.bench.clock.advance(STEP_US)
            for subject in PEOPLE:
                signed = (await self.bench.basis(subject))[0]
                self.bases.append((subject, signed))
                found = await self.decide(subject, signed, self.bench.clock.now_us())
                assert found.findings == ()
            self.bench.clock.advance(STEP_US)

    def histories(self):
        entries = self.bench.ledger.entries
        return Histories({subject: [e for e in entries if e.subject == subject] for subject in PEOPLE})

    async def found(self, rows):
        registry, histories, size = await self.registry(), self.histories(), len(self.bench.ledger.entries)
        return [each for row in rows for each in violations(row, histories, registry, size=size)]


scripts = st.lists(steps, min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(script=scripts)
def test_an_honest_run_has_no_violation(script):
    async def check():
        run = Run()
        await run.live(script)
        assert await run.found(run.rows) == []

    asyncio.run(check())


@settings(max_examples=60, deadline=None)
@given(script=scripts, purpose=st.sampled_from(["advice", "offers"]))
def test_an_old_basis_that_is_used_after_a_denial_is_found(script, purpose):
    async def check():
        run = Run()
        await run.live(script)
        run.rows = []
        await run.bench.choose("dora", grant())
        old = (await run.bench.basis("dora"))[0]
        run.bench.clock.advance(STEP_US)
        await run.bench.withdraw("dora", Scope(purpose))
        await run.decide("dora", old, run.bench.clock.now_us() + STEP_US)
        entries = [e for e in run.bench.ledger.entries if e.subject == "dora"]
        size = len(run.bench.ledger.entries)
        histories, registry = Histories({"dora": entries}), await run.registry()
        found = [each for row in run.rows for each in violations(row, histories, registry, size=size)]

        assert {(each.rule, each.purpose, each.cause) for each in found} == {
            ("AFTER_DENIAL", purpose, entries[-1].index)
        }
        assert {each.margin_us for each in found} == {STEP_US}

    asyncio.run(check())


@settings(max_examples=60, deadline=None)
@given(script=scripts, pick=st.integers(0, 10_000))
def test_a_basis_that_allows_one_thing_more_than_the_ledger_did_is_found(script, pick):
    async def check():
        run = Run()
        await run.live(script)
        subject, signed = run.bases[pick % len(run.bases)]
        body = json.loads(signed.body)
        denied = [d for d in body["denied"] if d["purpose"] in ("offers", "offers.credit", "sharing")]
        if not denied:
            return
        more = {"purpose": denied[0]["purpose"], "categories": ["transaction"], "basis": "CONSENT", "support": 1}
        if any(entry["purpose"] == more["purpose"] for entry in body["allowed"]):
            return
        forged = kit.sign({**body, "allowed": [*body["allowed"], more]}, KEY, VKEY.key_id)
        run.rows = []
        await run.decide(subject, forged, body["at"])
        rules = {(each.rule, each.purpose) for each in await run.found(run.rows)}

        assert ("BASIS_MISMATCH", more["purpose"]) in rules
        assert {purpose for _, purpose in rules} == {more["purpose"]}

    asyncio.run(check())


@settings(max_examples=80, deadline=None)
@given(script=scripts)
def test_the_entries_that_are_shown_come_to_the_verdict_of_the_whole_history(script):
    async def check():
        run = Run()
        await run.live(script)
        registry, histories = await run.registry(), run.histories()
        regimes, at_us = verdicts.applicable(registry), run.bench.clock.now_us()
        for subject in PEOPLE:
            state, entries = histories.answering(subject, len(run.bench.ledger.entries), FOREVER)
            for key in (Key(p, c, "transaction") for p in PURPOSES for c in ("mobile", "web")):
                shown = deciding(entries, key)
                whole = verdicts.verdict(
                    registry, state.statements, key, regimes=regimes, at_us=at_us, status=state.status
                )
                part = verdicts.verdict(registry, told(shown), key, regimes=regimes, at_us=at_us, status=_status(shown))

                assert part == whole

    asyncio.run(check())


def test_a_run_begins_at_the_ledgers_time():
    assert MemoryLedger().clock.now_us() == NOW
