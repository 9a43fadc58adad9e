"""Violations: none of an honest run, and each one that is planted. And what VerifyRange finds of damage."""

from __future__ import annotations

import pytest
from audit_world import audited
from consent_fakes import DAY, KEY, NOW, VKEY, a_request, acts, grant, refuse, served
from decision_samples import a_field

from consent_service.auditing.checking import verify_range
from consent_service.auditing.finding import Reliances, list_reliances
from consent_service.commands import Seal
from consent_service.domain.choices import Scope
from consent_service.domain.words import Kind
from consent_service.reliance.assessing import Rule
from servicekit import basis as kit
from servicekit.errors import Invalid
from testkit.builders import a_subject

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database):
    async with audited(await database("consent")) as world:
        yield world


async def basis_of(world, subject, **changed):
    signed, _ = await world.bench.basis(subject, **changed)
    return kit.SignedBasis(signed.body, signed.key_id, signed.signature)


async def rules(world, **changed):
    return sorted(found.rule for found in await world.violations(**changed))


async def test_an_honest_run_has_no_violation(world):
    bench, survivor, absorbed, other = world.bench, a_subject(), a_subject(), a_subject()

    async def decide_for_all():
        bench.clock.advance(5_000)
        for subject in (survivor, absorbed, other):
            allowed = {entry["purpose"] for entry in (await bench.body(subject))["allowed"]}
            labels = tuple(sorted(allowed & {"offers", "advice", "sharing"}))
            await world.decide(subject, a_field(purposes=labels), bare=not labels, shown=sorted(allowed))
        bench.clock.advance(5_000)

    await bench.choose(survivor, grant(), grant("offers.credit"), served())
    await decide_for_all()
    await bench.choose(absorbed, refuse("advice"), grant())
    await decide_for_all()
    await bench.link(survivor, absorbed)
    await decide_for_all()
    await bench.withdraw(survivor, Scope("offers"))
    await decide_for_all()
    await bench.link(survivor, absorbed, linked=False)
    await bench.object(other, acts(Kind.RESTRICT))
    await decide_for_all()
    await bench.choose(other, grant())

    assert await world.violations(amount=5) == []


async def test_a_use_after_the_denial_was_recorded_is_found_with_both_positions_and_the_time_between(world):
    subject = a_subject()
    granted = await world.bench.choose(subject, grant())
    old = await basis_of(world, subject)
    world.bench.clock.advance(1_000_000)
    taken = await world.bench.withdraw(subject)
    before = await world.decide(subject, basis=old, at_us=NOW + 999_000)
    after = await world.decide(subject, basis=old, at_us=NOW + 1_250_000)

    [found] = await world.violations()

    assert (found.rule, found.decision, found.purpose, found.subject) == ("AFTER_DENIAL", after, "offers", subject)
    assert (found.support, found.cause) == (granted.position.index, taken.position.index)
    assert found.margin_us == 250_000
    assert before != after
    assert await world.violations(margin_us=300_000) == []
    assert await world.violations(rules=frozenset({Rule.IN_WINDOW})) == []


@pytest.mark.parametrize("kind", [Kind.OBJECT, Kind.RESTRICT, Kind.OPT_OUT])
async def test_every_kind_of_denial_counts_and_one_that_does_not_reach_the_use_does_not(world, kind):
    subject = a_subject()
    await world.bench.choose(subject, grant())
    old = await basis_of(world, subject)
    world.bench.clock.advance(1_000_000)
    await world.bench.object(subject, acts(kind, "offers", channels=["web"]))
    await world.decide(subject, basis=old, at_us=NOW + 2_000_000)
    assert await rules(world) == []

    await world.bench.object(subject, acts(kind, "offers"))
    assert await rules(world) == ["AFTER_DENIAL"]


async def test_a_use_after_an_erasure_was_asked_for_is_found(world):
    subject = a_subject()
    await world.bench.choose(subject, grant())
    old = await basis_of(world, subject)
    world.bench.clock.advance(1_000_000)
    await world.bench.writer.append(Seal(a_request(), (subject,), Kind.SEALED, "case-1"))
    await world.decide(subject, basis=old, at_us=NOW + 2_000_000)

    assert await rules(world) == ["AFTER_DENIAL"]


async def forged(world, subject, *pairs, support):
    """A basis that is signed and says what the ledger does not."""
    body = await world.bench.body(subject)
    body["allowed"] = [
        {"purpose": purpose, "categories": [category], "basis": "CONSENT", "support": support}
        for purpose, category in pairs
    ]
    return kit.sign(body, KEY, VKEY.key_id)


@pytest.mark.parametrize(
    ("purpose", "category", "expected"),
    [
        ("offers", "transaction", ["BASIS_MISMATCH"]),
        ("unheard", "transaction", ["BASIS_MISMATCH", "NO_LAWFUL_BASIS"]),
        ("sharing", "transaction", ["BASIS_MISMATCH", "IN_WINDOW"]),
        ("advice", "sensitive", ["BASIS_MISMATCH", "NOT_EXPLICIT"]),
        ("advice", "transaction", ["BASIS_MISMATCH"]),
    ],
)
async def test_a_basis_that_says_what_the_ledger_did_not_is_found(world, purpose, category, expected):
    subject = a_subject()
    await world.bench.choose(subject, refuse("service"))
    basis = await forged(world, subject, (purpose, category), support=0)

    await world.decide(subject, a_field(category, (purpose,)), basis=basis)

    assert await rules(world) == expected


async def test_a_use_inside_the_window_after_a_notice_is_found(world):
    subject = a_subject()
    await world.bench.choose(subject, served(), regimes=("glba_fcra",))
    body = await world.bench.body(subject, regimes=("glba_fcra",))
    assert any(denial["reason"] == "WAITING_WINDOW" for denial in body["denied"])

    body["allowed"] = [{"purpose": "sharing", "categories": ["transaction"], "basis": "OPT_OUT", "support": 3}]
    await world.decide(subject, a_field(purposes=("sharing",)), basis=kit.sign(body, KEY, VKEY.key_id))

    assert "IN_WINDOW" in await rules(world)
    world.bench.clock.advance(31 * DAY)
    assert "IN_WINDOW" in await rules(world)


async def test_what_folding_found_is_told_too(world):
    subject = a_subject()
    await world.bench.choose(subject, grant())
    basis = await basis_of(world, subject)
    await world.decide(subject, basis=kit.SignedBasis(basis.body, basis.key_id, bytes(64)))
    await world.decide(subject, basis=kit.SignedBasis(b"", "", b""))
    await world.decide(subject, basis=basis, at_us=NOW + 60_000_000)

    assert await rules(world) == ["BAD_SIGNATURE", "STALE_BASIS", "WITHOUT_BASIS"]
    assert await rules(world, to_us=NOW + 1) == ["BAD_SIGNATURE", "WITHOUT_BASIS"]
    assert await rules(world, rules=frozenset({Rule.STALE_BASIS})) == ["STALE_BASIS"]


async def test_reliances_are_listed_by_entry_subject_and_time_page_by_page(world):
    anna, bela = a_subject(), a_subject()
    granted = await world.bench.choose(anna, grant())
    await world.bench.choose(bela, grant())
    made = [await world.decide(anna, at_us=NOW + step * 1000) for step in range(5)]
    await world.decide(bela)

    async def listed(**changed):
        found, after = [], {}
        while True:
            rows, place = await list_reliances(Reliances(amount=2, **changed, **after), world.reliance)
            found += [row.decision for row in rows]
            if place is None:
                return found
            after = {"after": place}

    assert await listed(support=granted.position.index) == made
    assert await listed(subject=anna, from_us=NOW + 2000, to_us=NOW + 4000) == made[2:4]
    assert len(await listed()) == 6


async def checked(world, first=0, last=0):
    check, signed = await verify_range(first, last, world.audit, world.tree)
    return check, signed


@pytest.fixture
async def damaged(world):
    subject = a_subject()
    for number in range(20):
        await world.bench.choose(subject if number % 2 else a_subject(), grant())
        if number == 10:
            await world.sign()
    await world.sign()
    return world


async def test_an_undamaged_range_has_no_mismatch_and_its_root_is_the_logs(damaged):
    [head] = await damaged.bench.fetch("select size, root from log_head")
    for first, last in ((0, 0), (0, 10), (5, 18), (9, 9), (21, 0)):
        check, signed = await checked(damaged, first, last)

        assert (check.mismatches, check.first, check.end) == ([], first, last or head["size"])
        assert check.opened == check.end - check.first
        if not last:
            assert (check.tree.root(), signed) == (head["root"], 1 + (first < 14))
    with pytest.raises(Invalid):
        await checked(damaged, 5, 99)


FLIPPED = "set_byte({0}, {1}, get_byte({0}, {1}) # 4)"


@pytest.mark.parametrize(
    ("statement", "codes", "place"),
    [
        (f"update log_entry set leaf = {FLIPPED.format('leaf', 0)} where idx = 9", {"LEAF", "TILE", "ROOT"}, 9),
        (f"update log_entry set leaf = {FLIPPED.format('leaf', 40)} where idx = 9", {"COMMITMENT", "TILE", "ROOT"}, 9),
        (f"update log_entry set leaf = {FLIPPED.format('leaf', 140)} where idx = 3", {"CHAIN", "TILE", "ROOT"}, 3),
        (f"update log_tile set hashes = {FLIPPED.format('hashes', 9 * 32)}", {"TILE"}, 9),
        (f"update event set sealed = {FLIPPED.format('sealed', 3)} where idx = 9", {"COMMITMENT"}, 9),
        ("update event set pub = replace(pub, 'offers', 'advice') where idx = 9", {"COMMITMENT"}, 9),
        ("update event set pub = replace(pub, 'CREATED', 'CREATES') where idx = 0", {"COMMITMENT"}, 0),
        ("update event set subject_seq = subject_seq + 40 where idx = 9", {"CHAIN"}, 9),
        ("update checkpoint set root = sha256('') where size < 20", {"ROOT"}, None),
        ("update log_head set root = sha256('')", {"ROOT"}, None),
        ("delete from log_entry where idx = 9", {"LEAF"}, 9),
    ],
)
async def test_damage_is_named_with_its_place(damaged, statement, codes, place):
    await damaged.broken(statement)

    check, _ = await checked(damaged)

    assert {found.code for found in check.mismatches} >= codes
    if place is not None:
        assert {found.code for found in check.mismatches if found.place == place} >= codes - {"ROOT"}
    if codes == {"TILE"} or codes == {"COMMITMENT"}:
        assert len(check.mismatches) == 1


async def test_erased_entries_are_counted_and_are_no_mismatch(damaged):
    [row] = await damaged.bench.fetch("select subject_id from event where idx = 9")
    await damaged.bench.keys.destroy([row["subject_id"]])

    check, _ = await checked(damaged)

    assert (check.mismatches, check.erased) == ([], check.end - check.opened)
    assert check.erased
