"""Erasure on a real database: what goes, what stays, what a crash leaves, and what the two databases make of each other's backups."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode

import pytest
from consent_fakes import KEY, WORDS, a_request, grant, scope
from key_fakes import MemoryKeys
from rights_fakes import Killed, dump, rights_bench
from signing_fakes import KEY as LOG_KEY
from writing_fakes import role_pool

from consent_service.auditing.proofs import Proofs
from consent_service.auditing.tree_store import PostgresTree
from consent_service.domain import commitments, leaf
from consent_service.domain.acceptance import Actor, Evidence
from consent_service.domain.leaf import LeafClass
from consent_service.domain.words import ActorType, Status
from consent_service.rights import cases as life
from consent_service.rights import certificate
from consent_service.rights.cases import Stage
from consent_service.rights.reconciling import reconcile
from consent_service.rights.running import kept
from consent_service.verifying import Trust
from consent_service.verifying_database import verify_database
from servicekit.errors import FailedPrecondition
from testkit.builders import a_subject, unique
from tlog import format_vkey, leaf_hash, root_of, verify_inclusion

pytestmark = pytest.mark.integration
DAY = 86_400_000_000
STEPS = ("sealed", "started", "appended", "shredded", "deleted", "finished")


@pytest.fixture
async def fresh(database):
    return await database("consent")


@pytest.fixture
async def office(fresh):
    async with rights_bench(fresh) as made:
        await made.publish()
        yield made


async def leaves(office) -> list[bytes]:
    return [row["leaf"] for row in await office.fetch("select leaf from log_entry order by idx")]


async def test_an_erased_subject_is_denied_and_nothing_of_it_is_left(office):
    subject = a_subject()
    await office.choose(subject, grant())

    case = await office.erase(subject)

    assert case.stage is Stage.CERTIFIED
    assert await office.reason(subject) == "SUBJECT_ERASED"
    assert await office.reason(subject, "service", "mobile", "transaction") == "SUBJECT_ERASED"
    assert await office.fetch("select 1 from event where subject_id = $1", subject) == []
    assert (await office.keys.get([subject])).destroyed == {subject}
    [left] = await office.fetch("select * from subject_state where subject_id = $1", subject)
    assert {name: left[name] for name in ("status", "root", "members", "seq", "last_idx", "statements")} == {
        "status": "ERASED",
        "root": subject,
        "members": [subject],
        "seq": 0,
        "last_idx": 0,
        "statements": "[]",
    }
    assert left["last_leaf_hash"] == bytes(32)
    assert (await office.events(subject)).entries == ()


async def test_a_sealed_subject_is_denied_at_once_and_lives_again_when_the_case_is_denied(office):

    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.ask(subject)

    assert await office.reason(subject) == "SUBJECT_SEALED"
    with pytest.raises(FailedPrecondition) as caught:
        await office.choose(subject, grant())
    assert caught.value.code == "SUBJECT_SEALED"
    await office.withdraw(subject, scope("sharing"))

    await kept(office.cases, case.id, lambda case: life.deny(case, "ada", now_us=office.clock.now_us()))
    denied = await office.runner.advance(case.id)
    assert (denied.stage, denied.unsealed) == (Stage.DENIED, True)
    assert await office.reason(subject) == "GRANTED"
    again = await office.ask(subject)
    assert again.id != case.id


async def test_a_repeated_request_returns_the_open_case(office):
    subject = a_subject()
    await office.choose(subject, grant())

    first, second = await office.ask(subject), await office.ask(subject)

    assert first.id == second.id
    assert len(await office.fetch("select 1 from event where kind = 'SEALED' and subject_id = $1", subject)) == 1


async def test_a_held_case_destroys_nothing(office):

    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.approve(await office.ask(subject))
    until = office.clock.now_us() + DAY
    await kept(
        office.cases,
        case.id,
        lambda case: life.hold(case, "carl", until_us=until, reason="docket 7", now_us=office.clock.now_us()),
    )

    held = await office.runner.advance(case.id)

    assert held.stage is Stage.HELD
    assert (await office.keys.get([subject])).live
    with pytest.raises(FailedPrecondition) as caught:
        await office.approve(held, "ada")
    assert caught.value.code == "HOLD_IN_FORCE"
    office.clock.advance(DAY)
    assert (await office.finish(await office.approve(held))).stage is Stage.CERTIFIED


async def test_one_approver_destroys_nothing(office):
    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.approve(await office.ask(subject), "ada", "ada")

    assert (await office.runner.advance(case.id)).stage is Stage.SEALED
    assert (await office.keys.get([subject])).live


async def test_proof_that_is_needed_is_kept_until_its_date(office):
    subject = a_subject()
    await office.choose(subject, grant())
    until = office.clock.now_us() + DAY
    case = await office.approve(await office.ask(subject), retain_until_us=until)

    assert (await office.runner.advance(case.id)).stage is Stage.APPROVED
    assert (await office.keys.get([subject])).live
    office.clock.advance(DAY)
    assert (await office.finish(case)).stage is Stage.CERTIFIED


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_made_good_by_whoever_writes_next(office, step):
    subject, other = a_subject(), a_subject()
    await office.choose(subject, grant())
    await office.choose(other, grant())
    await office.link(subject, other)
    events = len(await office.fetch("select 1 from event where subject_id = any($1)", [subject, other]))

    office.restarted(kill_at=step)
    with pytest.raises(Killed):
        await office.erase(subject)
    office.restarted()
    [case_id] = [row["case_id"] for row in await office.fetch("select case_id from erasure_case")]
    case = await office.runner.advance(case_id)
    case = await office.finish(await office.approve(case) if step == "sealed" else case)

    said = json.loads(case.certificate.body)
    assert case.stage is Stage.CERTIFIED
    assert len(await office.fetch("select 1 from event where class = 4")) == len(case.erasures) == 2
    assert said["deleted"] == {"event": events + 2, "handed_out": 0, "reliance": 0, "subject_state": 2}
    assert await office.reason(other) == "SUBJECT_ERASED"
    assert sorted(office.bus.erased()) == sorted([subject, other])


async def test_erasing_anybody_covers_all_who_are_one_person(office):
    survivor, absorbed, deep = a_subject(), a_subject(), a_subject()
    for subject in (survivor, absorbed, deep):
        await office.choose(subject, grant())
    await office.link(absorbed, deep)
    await office.link(survivor, absorbed)

    case = await office.erase(deep)

    assert case.people == 3
    for subject in (survivor, absorbed, deep):
        assert await office.reason(subject) == "SUBJECT_ERASED"
        assert await office.fetch("select 1 from event where subject_id = $1", subject) == []
    assert (await office.keys.get([survivor, absorbed, deep])).live == {}


async def test_who_joins_after_the_approval_is_sealed_and_approved_too(office):
    subject, late = a_subject(), a_subject()
    await office.choose(subject, grant())
    await office.choose(late, grant())
    case = await office.approve(await office.ask(subject))
    await office.link(subject, late)

    waiting = await office.runner.advance(case.id)

    assert (waiting.stage, waiting.subjects) == (Stage.SEALED, tuple(sorted([subject, late])))
    assert (await office.keys.get([subject, late])).destroyed == frozenset()
    await office.finish(await office.approve(waiting))
    assert (await office.keys.get([subject, late])).live == {}


async def test_the_stream_is_told_of_each_subject_and_the_case_waits_for_it(office):
    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.approve(await office.ask(subject))
    office.bus.there.clear()

    waiting = await office.runner.advance(case.id)

    assert waiting.stage is Stage.KEY_DESTROYED
    assert await office.fetch("select 1 from event where subject_id = $1", subject) == []
    office.bus.there.set()
    assert (await office.finish(case)).subjects == ()
    assert office.bus.erased() == [subject]
    [told] = [envelope for _, envelope in office.bus.told if envelope.WhichOneof("body") == "subject_erased"]
    assert told.subject_erased.change.index == (await office.cases.get(case.id)).erasures[0].index


async def test_no_canary_is_left_anywhere(office, caplog):
    caplog.set_level("DEBUG")
    canary = unique("canary")
    subject = a_subject()
    evidence = Evidence(
        method="button", ui_variant=canary, session_ref=canary, attachment_refs=(canary,), free_text=f"I am {canary}."
    )
    actor = Actor(ActorType.AGENT, id=canary, auth_level=canary)
    await office.choose(subject, grant(), request=a_request(request_id=canary), actor=actor, evidence=evidence)
    await office.withdraw(subject, reason=canary)
    await office.signal(subject, device_ref=canary, regime="")
    before = dump(office.database.admin_dsn)
    assert before.count(canary) == 1, "the request's id, and nothing else, is in clear"
    copied = b"".join(
        [part async for part in office.copying.lines(subject, await office.copying.person(subject), at_us=1)]
    )
    assert canary.encode() in copied

    case = await office.erase(subject)

    after = dump(office.database.admin_dsn)
    assert canary not in after
    assert canary.encode().hex() not in after
    assert after.count(subject) == 3, "the tombstone: subject, root, members"
    assert canary not in caplog.text
    assert not any(canary.encode() in envelope.SerializeToString() for _, envelope in office.bus.told)
    assert canary.encode() not in case.certificate.body
    assert subject.encode() not in case.certificate.body


async def test_old_proofs_verify_and_no_root_changes(office):
    subject = a_subject()
    written = (await office.choose(subject, grant())).entries[0]
    size = await office.checkpoint()
    async with role_pool(office.database, "consent_reader", max_size=1) as pool:
        proof = await Proofs(PostgresTree(pool)).inclusion(written.index, size)
        before = await leaves(office)

        await office.erase(subject)

        again = await Proofs(PostgresTree(pool)).inclusion(written.index, size)
    after = await leaves(office)
    [head] = await office.fetch("select size, root from log_head")
    verify_inclusion(proof.leaf_hash, written.index, size, again.hashes, proof.signed.root)
    assert again.hashes == proof.hashes
    assert after[: len(before)] == before
    assert root_of([leaf_hash(each) for each in after]) == head["root"]


async def test_an_erased_subjects_entries_cannot_be_linked(office):
    subject, bystander = a_subject(), a_subject()
    for _ in range(8):
        await office.choose(subject, grant())
        await office.choose(bystander, grant())
    mine = [row["idx"] for row in await office.fetch("select idx from event where subject_id = $1", subject)]

    case = await office.erase(subject)

    parsed = [leaf.parse(each) for each in await leaves(office)]
    persons = [each for each in parsed if each.of in (LeafClass.SUBJECT, LeafClass.ERASURE)]
    random = [value for each in persons for value in (each.c_pub, each.c_priv, each.subject_tag, each.prev_commit)]
    random = [value for value in random if value != leaf.ZERO]
    assert len(set(random)) == len(random), "equal choices leave nothing equal"
    bits = sum(byte.bit_count() for value in random for byte in value)
    share = bits / (256 * len(random))
    assert abs(share - 0.5) < 0.02, "what is left looks like noise"
    assert parsed[case.erasures[0].index].subject_tag == case.erasures[0].tag
    left = await office.fetch("select idx, subject_id from event where idx = any($1)", mine)
    assert left == []


async def test_the_last_entry_closes_the_chain(office):
    subject = a_subject()
    await office.choose(subject, grant())
    key = (await office.keys.get([subject])).live[subject]

    case = await office.erase(subject)

    every = await leaves(office)
    closing = leaf.parse(every[case.erasures[0].index])
    follows = [each for each in every if commitments.link_to(key.chain, leaf_hash(each)) == closing.prev_commit]
    assert closing.of == LeafClass.ERASURE
    assert len(follows) == 1


async def test_the_certificate_verifies_and_lists_what_went_and_what_was_handed_out(office):
    subject = a_subject()
    await office.choose(subject, grant())
    await office.execute("insert into reliance values ('decision', 'offers', 1, $1, 1, 0, 0)", subject)
    await office.cases.hand_out(unique("export"), subject, office.clock.now_us(), "clerk")

    case = await office.erase(subject)

    signed = case.certificate
    KEY.public_key().verify(signed.signature, certificate.CONTEXT + signed.body)
    said = json.loads(signed.body)
    assert said["deleted"] == {"event": 2, "handed_out": 1, "reliance": 1, "subject_state": 1}
    assert said["exports_handed_out"] == [office.clock.now_us()]
    assert said["approvers"] == ["officer", "officer"]
    assert said["backups_blind_after"] - said["key_destroyed_at"] == 35 * DAY
    [entry] = said["entries"]
    [row] = await office.fetch("select leaf from log_entry where idx = $1", entry["index"])
    assert leaf.parse(row["leaf"]).subject_tag == b64decode(entry["tag"])
    assert await office.fetch("select 1 from reliance where subject_id is not null") == []
    assert await office.fetch("select 1 from handed_out where subject_id is not null") == []
    assert await office.fetch("select 1 from erasure_subject") == []


async def test_a_retried_request_of_an_erased_subject_brings_nothing_back(office):
    subject, granted, taken = a_subject(), a_request(), a_request()
    await office.choose(subject, grant(), request=granted)
    await office.withdraw(subject, request=taken)
    await office.erase(subject)
    before = len(await leaves(office))

    with pytest.raises(FailedPrecondition) as caught:
        await office.choose(subject, grant(), request=granted)
    again = await office.withdraw(subject, request=taken)

    assert caught.value.code == "SUBJECT_ERASED"
    assert again.entries == ()
    assert len(await leaves(office)) == before
    assert await office.fetch("select 1 from event where subject_id = $1", subject) == []


async def test_nobody_links_to_an_erased_subject(office):
    subject, other = a_subject(), a_subject()
    await office.erase(subject)

    with pytest.raises(FailedPrecondition) as caught:
        await office.link(other, subject)

    assert caught.value.code == "SUBJECT_ERASED"


async def test_a_backup_of_the_keys_that_is_put_back_is_erased_again(fresh):
    keys = MemoryKeys()
    async with rights_bench(fresh, keys=keys) as office:
        await office.publish()
        subject, other = a_subject(), a_subject()
        await office.choose(subject, grant())
        await office.choose(other, grant())
        backup = dict(keys._live)
        await office.erase(subject)

        keys._live, keys._gone = backup, set()
        assert (await keys.get([subject])).live
        await reconcile(office.eraser, keys)

        assert (await keys.get([subject])).destroyed == {subject}
        assert (await keys.get([other])).live
        assert await office.reason(other) == "GRANTED"


async def test_a_backup_of_the_ledger_that_is_put_back_is_erased_again(office):
    subject, never = a_subject(), a_subject()
    await office.choose(subject, grant())
    await office.keys.destroy([subject, never])

    await reconcile(office.eraser, office.keys)
    await reconcile(office.eraser, office.keys)

    assert (await office.ledger.read(subject)).status is Status.ERASED
    assert (await office.ledger.read(never)).status is Status.ERASED
    assert await office.fetch("select 1 from event where subject_id = $1", subject) == []


async def test_decisions_that_are_folded_late_say_nothing_of_the_erased(office):
    subject = a_subject()
    await office.erase(subject)
    await office.execute("insert into reliance values ('late', 'offers', 1, $1, 1, 0, 0)", subject)

    await reconcile(office.eraser, office.keys)

    assert await office.fetch("select 1 from reliance where subject_id is not null") == []


async def test_decisions_that_are_folded_before_the_certificate_say_nothing_of_the_erased(office):
    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.approve(await office.ask(subject))
    office.bus.there.clear()
    await office.runner.advance(case.id)
    await office.execute("insert into reliance values ('late', 'offers', 1, $1, 1, 0, 0)", subject)

    office.bus.there.set()
    case = await office.finish(case)

    assert await office.fetch("select 1 from reliance where subject_id is not null") == []
    assert json.loads(case.certificate.body)["deleted"]["reliance"] == 1


async def test_a_copy_holds_everything_opened_with_what_proves_it(office):
    subject, absorbed = a_subject(), a_subject()
    evidence = Evidence(method="button", session_ref="session-7")
    await office.choose(subject, grant(), grant("offers.credit"), evidence=evidence)
    await office.choose(absorbed, grant())
    await office.link(subject, absorbed)
    await office.checkpoint()

    person = await office.copying.person(absorbed)
    copied = b"".join([part async for part in office.copying.lines(absorbed, person, at_us=7)])

    lines = [json.loads(each) for each in copied.splitlines()]
    by_kind = {kind: [each for each in lines if each["type"] == kind] for kind in {each["type"] for each in lines}}
    assert by_kind["person"][0]["members"] == sorted([subject, absorbed])
    assert len(by_kind["entry"]) == len(by_kind["proof"]) == 5
    for entry in by_kind["entry"]:
        opened = leaf.parse(b64decode(entry["leaf"]))
        pub, priv = entry["pub"].encode(), entry["priv"].encode()
        assert commitments.public_commitment(b64decode(entry["salt_pub"]), pub) == opened.c_pub
        assert commitments.private_commitment(b64decode(entry["salt_priv"]), priv) == opened.c_priv
        assert json.loads(priv)["subject"] == entry["subject"]
    assert any("session-7" in entry["priv"] for entry in by_kind["entry"])
    assert [b64decode(each["bytes"]) for each in by_kind["notice"]] == [WORDS]
    for receipt in by_kind["receipt"]:
        said = b"assent/receipt/v1\x00" + receipt["body"].encode()
        KEY.public_key().verify(b64decode(receipt["signature"]), said)
    assert sorted(len(json.loads(each["body"])["entries"]) for each in by_kind["receipt"]) == [1, 2]
    assert {each["subject"]: len(each["indices"]) for each in by_kind["chain"]} == {subject: 3, absorbed: 2}


async def test_the_whole_ledger_verifies_after_an_erasure(office):
    subject, other = a_subject(), a_subject()
    for each in (subject, other):
        await office.choose(each, grant())
    await office.link(subject, other)
    await office.checkpoint()
    [kept] = await office.fetch("select note from checkpoint")
    await office.choose(a_subject(), grant())

    await office.erase(subject)
    await office.checkpoint()

    trust = Trust(format_vkey(LOG_KEY.vkey), LOG_KEY.vkey.name, (kept["note"],))
    report = await asyncio.to_thread(verify_database, office.database.dsn_of("consent_reader"), trust, processes=1)
    [head] = await office.fetch("select size, root from log_head")
    assert (report.end, report.root) == (head["size"], head["root"].hex())
    assert report.known == 1


async def test_only_what_is_due_is_taken_up(office):
    subject, held, later = a_subject(), a_subject(), a_subject()
    now_us = office.clock.now_us()
    await office.ask(subject)
    case = await office.ask(held)
    await kept(
        office.cases, case.id, lambda case: life.hold(case, "carl", until_us=now_us + DAY, reason="x", now_us=now_us)
    )
    waiting = await office.approve(await office.ask(later), retain_until_us=now_us + DAY)

    assert await office.cases.due(now_us) == []
    assert await office.cases.due(now_us + DAY) == [waiting.id]


async def test_many_who_ask_at_once_get_one_case(office):
    subject = a_subject()
    await office.choose(subject, grant())

    found = await asyncio.gather(*(office.ask(subject) for _ in range(6)))

    assert len({case.id for case in found}) == 1
    assert len(await office.fetch("select 1 from event where kind = 'SEALED'")) == 1


async def test_two_who_approve_at_once_both_count(office):
    subject = a_subject()
    await office.choose(subject, grant())
    case = await office.ask(subject)

    await asyncio.gather(*(office.approve(case, by) for by in ("ada", "bob")))

    assert (await office.finish(case)).stage is Stage.CERTIFIED


async def test_a_hold_and_the_destruction_at_once_leave_one_of_them(office):
    for _ in range(5):
        subject, now_us = a_subject(), office.clock.now_us()
        await office.choose(subject, grant())
        case = await office.approve(await office.ask(subject))
        hold = kept(
            office.cases,
            case.id,
            lambda case, now_us=now_us: life.hold(case, "carl", until_us=now_us + DAY, reason="x", now_us=now_us),
        )
        held, destroyed = await asyncio.gather(hold, office.runner.advance(case.id), return_exceptions=True)

        alive = bool((await office.keys.get([subject])).live)
        stage = (await office.cases.get(case.id)).stage
        assert alive is (stage is Stage.HELD), (held, destroyed)
        assert alive is not isinstance(held, FailedPrecondition)


async def test_there_is_no_copy_of_an_erased_subject(office):
    subject = a_subject()
    await office.erase(subject)

    with pytest.raises(FailedPrecondition) as caught:
        await office.copying.person(subject)

    assert caught.value.code == "SUBJECT_ERASED"
