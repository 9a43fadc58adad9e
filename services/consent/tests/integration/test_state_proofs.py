"""Proofs of a state: they verify, every mutation fails, and a whole history is seen to be whole."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest
from audit_world import OFFERS, audited
from consent_fakes import NOW, acts, grant, refuse

from consent_service.auditing.entries_store import Picked
from consent_service.auditing.proving import Prove, prove_state
from consent_service.auditing.state_proof import decode, encode
from consent_service.auditing.verifying_state import complete, verify_state
from consent_service.domain.choices import Key, Scope
from consent_service.domain.export import EntryLine, parse_line
from consent_service.domain.verification import Refused
from consent_service.domain.words import Kind, Reason
from consent_service.verifying import verify_export
from servicekit.basis import canonical
from servicekit.errors import FailedPrecondition
from testkit.builders import a_subject

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database):
    async with audited(await database("consent")) as world:
        yield world


async def leaves(world):
    lines = (await world.exported()).splitlines(keepends=True)
    return [line for line in map(parse_line, lines) if isinstance(line, EntryLine)]


async def a_life(world, subject):
    """Grants, a withdrawal, an objection and its lifting, and others in between."""
    bench = world.bench
    await bench.choose(subject, grant(), grant("advice"))
    await bench.choose(a_subject(), grant())
    await bench.withdraw(subject, Scope("offers"))
    bench.clock.advance(1_000)
    await bench.choose(subject, grant())
    bench.clock.advance(1_000)
    await bench.object(subject, acts(Kind.OBJECT, "advice"))


ADVICE = Key("advice", "mobile", "transaction")


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (OFFERS, "GRANTED"),
        (ADVICE, "OBJECTED"),
        (Key("offers.credit", "mobile", "transaction"), "WITHDRAWN"),
        (Key("service", "mobile", "transaction"), "NEEDED"),
        (Key("unheard", "mobile", "transaction"), "UNKNOWN_PURPOSE"),
    ],
)
async def test_a_proof_verifies_and_says_what_a_check_says(world, full, key, reason):
    subject = a_subject()
    await a_life(world, subject)

    proof = await world.prove(subject, key, full=full)
    checkpoint = verify_state(decode(encode(proof)), world.trust)

    assert proof.claim.verdict.reason == reason == await world.bench.reason(subject, *key)
    assert checkpoint.size == proof.claim.size
    assert (subject.encode() in encode(proof)) is full


async def test_a_proof_as_of_and_as_known_at_a_time_is_what_the_state_was(world):
    subject = a_subject()
    await a_life(world, subject)
    await world.bench.withdraw(subject, Scope("offers"))

    then = await world.prove(subject, as_of_us=NOW + 1_500, known_us=NOW + 1_500)
    now = await world.prove(subject)

    verify_state(then, world.trust)
    assert [proof.claim.verdict.reason for proof in (then, now)] == [Reason.GRANTED, Reason.WITHDRAWN]


async def test_what_is_not_signed_yet_is_not_proved(world):
    subject = a_subject()
    await world.sign()
    await world.bench.choose(subject, grant())

    with pytest.raises(FailedPrecondition) as caught:
        await prove_state(Prove(subject, OFFERS), world.audit)
    assert caught.value.code == "NOT_YET_CHECKPOINTED"


def mutations(document):
    """The document with one thing changed, over and over."""
    for number, entry in enumerate(document["entries"]):
        for name, value in entry.items():
            if isinstance(value, str):
                middle = len(value) // 2
                other = "B" if value[middle] == "A" else "A"
                yield ["entries", number, name], value[:middle] + other + value[middle + 1 :]
                yield ["entries", number, name], value[:-4]
            else:
                yield ["entries", number, name], value + 1
    yield ["note"], document["note"].replace("\n", "\n1", 1)
    yield ["origin"], "another.example/log"
    yield ["ledger"], "0" * 32
    for name, value in (("allowed", False), ("reason", "NO_RECORD"), ("support", 999), ("until", 5)):
        yield ["claim", "verdict", name], value
    yield ["claim", "size"], document["claim"]["size"] - 1
    yield ["claim", "registry"], -1
    yield ["claim", "regimes"], []
    yield ["unknown"], 1
    for number, chain in enumerate(document["chains"]):
        yield ["chains", number, "subject"], "somebody-else"
        yield ["chains", number, "indices"], chain["indices"][:-1]
        yield ["chains", number, "indices"], chain["indices"][1:]


def changed(document, path, value):
    copy = json.loads(json.dumps(document))
    at = copy
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return canonical(copy)


@pytest.mark.parametrize("full", [False, True])
async def test_every_mutation_of_a_proof_fails(world, full):
    subject = a_subject()
    await a_life(world, subject)
    document = json.loads(encode(await world.prove(subject, full=full)))

    survived = []
    for path, value in mutations(document):
        try:
            verify_state(decode(changed(document, path, value)), world.trust)
        except Refused:
            continue
        survived.append(path)

    assert survived == []


@pytest.mark.parametrize("full", [False, True])
async def test_no_flipped_bit_survives_outside_of_what_is_claimed(world, full):
    """Another time or key may be claimed by the same entries, and is then judged anew; everything else is committed to or signed."""
    subject = a_subject()
    await a_life(world, subject)
    data = encode(await world.prove(subject, full=full))
    begin, end = data.index(b'"claim"'), data.index(b'"entries"')
    random = Random(7)
    places = [place for place in random.sample(range(len(data)), 600) if not begin <= place < end]

    survived = []
    for place in places:
        flipped = bytearray(data)
        flipped[place] ^= 1 << random.randrange(7)
        try:
            verify_state(decode(bytes(flipped)), world.trust)
        except Refused:
            continue
        survived.append(place)

    assert survived == []


def verifies(proof, trust):
    try:
        verify_state(proof, trust)
    except Refused:
        return False
    return True


def is_complete(proof, everything):
    try:
        complete(proof, everything)
    except Refused:
        return False
    return True


async def test_a_deciding_entry_cannot_be_left_out_or_hidden(world):
    subject = a_subject()
    await a_life(world, subject)
    proof = await world.prove(subject, full=True)
    own, everything = proof.chains[0].indices, await leaves(world)

    for index in own:
        kept = tuple(each for each in proof.entries if each.opening.position != index)
        chain = replace(proof.chains[0], indices=tuple(each for each in own if each != index))
        for shorter in (replace(proof, entries=kept), replace(proof, entries=kept, chains=(chain,))):
            assert not verifies(shorter, world.trust) or not is_complete(shorter, everything)
    with pytest.raises(Refused):
        verify_state(replace(proof, entries=(*proof.entries, proof.entries[-1])), world.trust)


async def test_a_full_proof_shows_that_a_history_is_complete(world):
    subject = a_subject()
    await a_life(world, subject)

    proof = await world.prove(subject, full=True)
    everything = await leaves(world)
    verify_state(proof, world.trust)
    complete(proof, everything)

    assert await world.bench.reason(subject, *ADVICE) == "OBJECTED"
    for damaged in (everything[:-1], everything[1:], [*everything[:3], *everything[4:]]):
        with pytest.raises(Refused):
            complete(proof, damaged)


async def test_a_history_whose_last_entry_is_hidden_is_found_by_the_leaves(world):
    """The last entry: the chain alone cannot show that there is none behind it."""
    subject = a_subject()
    await world.bench.choose(subject, grant())
    early = await world.prove(subject, full=True)
    await world.bench.withdraw(subject)
    late = await world.prove(subject, full=True)

    chain = replace(late.chains[0], indices=early.chains[0].indices)
    entries = tuple(each for each in late.entries if each.opening.position != late.chains[0].indices[-1])
    hiding = replace(late, claim=replace(late.claim, verdict=early.claim.verdict), entries=entries, chains=(chain,))

    verify_state(hiding, world.trust)
    with pytest.raises(Refused) as caught:
        complete(hiding, await leaves(world))
    assert caught.value.code == "CHAIN"


async def test_a_later_registry_that_is_left_out_is_found_by_the_leaves(world):
    subject = a_subject()
    await world.bench.choose(subject, grant())
    old = await world.prove(subject, full=True)
    await world.bench.publish(channels=["branch", "mobile", "phone", "web"])
    new = await world.prove(subject, full=True)

    complete(new, await leaves(world))
    stale = replace(new, claim=replace(new.claim, registry=old.claim.registry))
    with pytest.raises(Refused) as caught:
        complete(stale, await leaves(world))
    assert caught.value.code == "REGISTRY"


@pytest.mark.parametrize("full", [False, True])
async def test_an_absorbed_subject_is_proved_by_the_history_of_the_one_that_answers(world, full):
    survivor, absorbed = a_subject(), a_subject()
    await world.bench.choose(survivor, grant())
    await world.bench.choose(absorbed, refuse())
    await world.bench.link(survivor, absorbed)

    merged = await world.prove(absorbed, full=full)
    verify_state(merged, world.trust)
    await world.bench.link(survivor, absorbed, linked=False)
    apart = [await world.prove(each, full=full) for each in (survivor, absorbed)]
    for proof in apart:
        verify_state(proof, world.trust)

    assert merged.claim.verdict.reason == Reason.REFUSED
    assert [proof.claim.verdict.reason for proof in apart] == [Reason.GRANTED, Reason.REFUSED]
    if full:
        complete(merged, await leaves(world))
        assert [chain.subject for chain in merged.chains] == [absorbed, survivor]


async def test_of_an_erased_subject_nothing_is_proved(world):
    subject = a_subject()
    await world.bench.entomb(subject)

    with pytest.raises(FailedPrecondition) as caught:
        await world.prove(subject)

    assert caught.value.code == "SUBJECT_ERASED"


async def test_an_export_verifies_and_opens_what_has_a_key(world, tmp_path):
    subject, gone = a_subject(), a_subject()
    await a_life(world, subject)
    await world.bench.choose(gone, grant())
    await world.bench.keys.destroy([gone])
    size = await world.sign()
    path = tmp_path / "export.jsonl"
    path.write_bytes(await world.exported())

    report = verify_export(path, world.trust)

    assert (report.first, report.end, report.signed, report.notices) == (0, size, size, 2)
    assert report.opened == size - 1


async def test_a_part_of_the_log_verifies_too(world, tmp_path):
    for _ in range(12):
        await world.bench.choose(a_subject(), grant())
        await world.sign()
    path = tmp_path / "export.jsonl"
    for first, last in ((5, 9), (0, 3), (8, 0), (3, 3)):
        path.write_bytes(await world.exported(first=first, last=last))
        report = verify_export(path, world.trust)

        assert (report.first, report.end) == (first, last or await world.sign())


async def test_a_filtered_export_says_so_and_holds_what_was_asked_for(world, tmp_path):
    subject = a_subject()
    await a_life(world, subject)
    await world.sign()

    async def kinds(**changed):
        lines = [json.loads(line) for line in (await world.exported(**changed)).splitlines()]
        assert lines[0]["filtered"]
        return [json.loads(line["pub"])["kind"] for line in lines if line["type"] == "entry"]

    assert await kinds(picked=Picked(kinds=("WITHDRAW",))) == ["WITHDRAW"]
    assert set(await kinds(picked=Picked(classes=(2, 3)))) == {"LEDGER", "REGISTRY"}
    assert await kinds(picked=Picked(purpose="advice")) == ["GRANT", "OBJECT"]
    assert await kinds(picked=Picked(notice="choices 1 en", purpose="offers")) == ["GRANT"] * 3
    assert await kinds(picked=Picked(effective=False)) == []
    assert await kinds(actor_id="agent-7") == []
    assert await kinds(method="button") == ["OBJECT"]
    assert await kinds(picked=Picked(ends_to=NOW)) == []
