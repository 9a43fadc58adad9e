"""The use cases on the ledger in memory and on the one in PostgreSQL: the same cases bind both."""

from __future__ import annotations

import asyncio
import json

import pytest
from consent_fakes import (
    DAY,
    LEDGER,
    NOW,
    VKEY,
    WORDS,
    a_document,
    a_notice,
    a_regime,
    a_request,
    acts,
    grant,
    ref,
    refuse,
    scope,
    served,
)

from consent_service import history
from consent_service.commands import ListEvents, Seal
from consent_service.domain.acceptance import Evidence
from consent_service.domain.choices import Key, NoticeRef, Scope
from consent_service.domain.position import Position
from consent_service.domain.words import Kind
from servicekit import basis as kit
from servicekit.basis import canonical
from servicekit.errors import AlreadyExists, FailedPrecondition, Invalid, NotFound
from testkit.builders import a_subject

OFFERS = Key("offers", "mobile", "transaction")


async def test_an_unknown_subject_has_no_record(bench):
    assert await bench.reason(a_subject()) == "NO_RECORD"


async def test_a_grant_is_seen_by_the_next_check_and_so_is_its_withdrawal(bench):
    subject = a_subject()

    result = await bench.choose(subject, grant(), grant("offers.credit"), refuse("advice"))
    assert [(entry.kind, entry.effective) for entry in result.entries] == [("GRANT", True)] * 2 + [("REFUSE", True)]
    assert await bench.reason(subject) == "GRANTED"

    taken = await bench.withdraw(subject, Scope("offers"))
    assert taken.denied == ("offers", "offers.credit")
    assert taken.position.index == result.position.index + 1
    assert [await bench.reason(subject, p, "mobile", "transaction") for p in ("offers", "offers.credit", "advice")] == [
        "WITHDRAWN",
        "WITHDRAWN",
        "REFUSED",
    ]


async def test_a_screen_with_one_bad_item_changes_nothing(bench):
    subject = a_subject()
    before = (await bench.check(subject)).position

    with pytest.raises(FailedPrecondition):
        await bench.choose(subject, grant(), grant("offers.credit", categories=("sensitive",)))

    assert (await bench.check(subject)).position == before
    assert await bench.reason(subject) == "NO_RECORD"


async def test_a_late_grant_is_stored_without_effect(bench):
    subject = a_subject()
    await bench.withdraw(subject)

    late = await bench.choose(subject, grant(), event_us=NOW - 1)

    assert [(entry.effective, entry.reason) for entry in late.entries] == [(False, "LATE_GRANT")]
    assert await bench.reason(subject) == "WITHDRAWN"
    bench.clock.advance(1)
    await bench.choose(subject, grant())
    assert await bench.reason(subject) == "GRANTED"


async def test_with_nothing_to_withdraw_the_wish_is_recorded(bench):
    subject = a_subject()

    result = await bench.withdraw(subject)

    assert len(result.entries) == 1
    assert await bench.reason(subject, "advice", "web", "holding") == "WITHDRAWN"


async def test_a_repeated_request_gets_the_first_result(bench):
    subject, request = a_subject(), a_request()
    first = await bench.choose(subject, grant(), request=request)
    await bench.withdraw(subject)

    again = await bench.choose(subject, grant(), request=request)

    assert (again.replayed, again.position, again.entries) == (True, first.position, first.entries)
    assert await bench.reason(subject) == "WITHDRAWN"


async def test_a_request_id_is_not_used_for_other_content(bench):
    subject, request = a_subject(), a_request()
    await bench.choose(subject, grant(), request=request)

    with pytest.raises(AlreadyExists) as caught:
        await bench.withdraw(subject, request=a_request(b"other", request.id))

    assert caught.value.code == "REQUEST_ID_REUSED"


async def test_concurrent_retries_make_one_set_of_entries(bench):
    subject, request = a_subject(), a_request()

    results = await asyncio.gather(*(bench.choose(subject, grant(), request=request) for _ in range(12)))

    assert len({result.position for result in results}) == 1
    assert [result.replayed for result in results].count(False) == 1
    assert len(await bench.ledger.history(subject, size=1 << 40, known_us=1 << 60, as_of_us=1 << 60)) == 1


async def test_indices_have_no_gap_and_recorded_times_never_decrease(bench):
    subjects = [a_subject() for _ in range(20)]
    head = (await bench.check(subjects[0])).position.index

    bench.clock.advance(-DAY)
    await asyncio.gather(*(bench.choose(subject, grant(), refuse("advice")) for subject in subjects))

    found = []
    for subject in subjects:
        found += await bench.ledger.history(subject, size=1 << 40, known_us=1 << 60, as_of_us=1 << 60)
    found.sort(key=lambda entry: entry.index)
    assert [entry.index for entry in found] == list(range(head + 1, head + 41))
    times = [entry.recorded_us for entry in found]
    assert times == sorted(times)
    assert times[0] > NOW


async def test_a_token_says_what_a_read_must_reflect(bench):
    subject = a_subject()
    result = await bench.choose(subject, grant())
    position = result.position

    assert await bench.reason(subject, min_token=position.token) == "GRANTED"
    for token, reason in (
        (Position("00" * 16, 1, 0).token, "TOKEN_FOREIGN"),
        (Position(LEDGER, 1, position.index + 1).token, "TOKEN_FUTURE"),
        (Position(LEDGER, 2, 0).token, "TOKEN_FUTURE"),
        (Position(LEDGER, 0, 0).token, "TOKEN_LOST"),
        (Position(LEDGER, (1 << 64) - 1, (1 << 64) - 1).token, "TOKEN_FUTURE"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            await bench.check(subject, min_token=token)
        assert caught.value.code == reason
    with pytest.raises(Invalid):
        await bench.check(subject, min_token=position.token[:-1])


async def test_a_check_is_about_now(bench):
    for at_us in (NOW - 2_000_001, NOW + 2_000_001):
        with pytest.raises(FailedPrecondition) as caught:
            await bench.check(a_subject(), at_us=at_us)
        assert caught.value.code == "AT_NOT_NOW"


async def test_a_basis_verifies_and_says_what_checks_say(bench):
    subject = a_subject()
    await bench.choose(subject, grant(categories=("transaction", "holding")), refuse("advice"))

    signed, position = await bench.basis(subject)

    found = kit.verify(
        signed,
        kit.public_keys([VKEY]),
        now_us=NOW,
        ledger=LEDGER,
        subject=subject,
        channel="mobile",
        purposes=["offers"],
    )
    assert ("offers", "holding") in found.pairs
    assert ("offers", "behaviour") not in found.pairs
    assert (found.epoch, found.index) == (position.epoch, position.index)
    assert found.not_after_us == NOW + 10_000_000


async def test_an_absorbed_subject_answers_with_its_survivor(bench):
    survivor, absorbed, other = a_subject(), a_subject(), a_subject()
    await bench.choose(survivor, grant(), grant("offers.credit"))
    await bench.choose(absorbed, grant("advice"), refuse("offers.credit"))

    await bench.link(survivor, absorbed)

    for subject in (survivor, absorbed):
        assert await bench.reason(subject) == "GRANTED"
        assert await bench.reason(subject, "offers.credit", "mobile", "transaction") == "REFUSED"
        assert (await bench.body(subject))["members"] == sorted([survivor, absorbed])
    repeated = await bench.link(survivor, absorbed)
    assert repeated.entries == ()
    for pair, reason in (((absorbed, survivor), "LINK_CYCLE"), ((other, absorbed), "LINK_OTHER")):
        with pytest.raises(FailedPrecondition) as caught:
            await bench.link(*pair)
        assert caught.value.code == reason


async def test_a_choice_of_an_absorbed_subject_is_its_survivors(bench):
    survivor, absorbed = a_subject(), a_subject()
    await bench.link(survivor, absorbed)

    result = await bench.choose(absorbed, grant())

    assert result.subject == survivor
    assert await bench.reason(survivor) == "GRANTED"


async def test_separated_subjects_answer_for_themselves_and_keep_denials_made_meanwhile(bench):
    survivor, absorbed, below = a_subject(), a_subject(), a_subject()
    await bench.choose(survivor, grant())
    await bench.choose(absorbed, grant())
    await bench.link(absorbed, below)
    await bench.link(survivor, absorbed)
    await bench.choose(below, refuse("advice"))

    await bench.link(survivor, absorbed, linked=False)

    assert await bench.reason(survivor) == await bench.reason(absorbed) == await bench.reason(below) == "GRANTED"
    for subject in (survivor, absorbed, below):
        assert await bench.reason(subject, "advice", "mobile", "transaction") == "REFUSED"
    assert (await bench.body(below))["members"] == sorted([absorbed, below])
    assert (await bench.body(survivor))["members"] == [survivor]
    assert (await bench.link(survivor, absorbed, linked=False)).entries == ()


async def test_the_state_is_shown_as_of_a_time_and_as_known_at_a_time(bench):
    subject = a_subject()
    await bench.choose(subject, grant(), event_us=NOW - DAY)
    bench.clock.advance(DAY)
    await bench.withdraw(subject, event_us=NOW + 5)

    async def reason(**times):
        looked = await bench.look(subject, **times)
        return next((found.reason.value for key, found in looked.verdicts if key == OFFERS), None)

    assert await reason() == "WITHDRAWN"
    assert await reason(as_of=NOW + 4) == "GRANTED"
    assert await reason(as_of=NOW + 5) == "WITHDRAWN"
    assert await reason(as_known_at=NOW + DAY - 1) == "GRANTED"
    assert await reason(as_of=NOW - DAY - 1) is None
    assert await reason(as_known_at=NOW - 1) is None


async def test_ended_statements_are_shown_when_asked_for(bench):
    subject = a_subject()
    await bench.choose(subject, grant(to_us=NOW + 5))
    bench.clock.advance(5)

    standing, ended = await bench.look(subject), await bench.look(subject, include_ended=True)

    assert standing.statements == ()
    assert [statement.notice for statement in ended.statements] == [ref()]


async def test_what_was_folded_is_what_history_folds_to(bench):
    survivor, absorbed = a_subject(), a_subject()
    await bench.choose(survivor, grant(), served())
    await bench.choose(absorbed, refuse("offers.credit"), grant("advice"))
    await bench.link(survivor, absorbed)
    await bench.withdraw(absorbed, Scope("advice", frozenset({"web"})))
    bench.clock.advance(1)

    looked = await bench.look(survivor)

    assert looked.statements == (await bench.ledger.read(survivor)).statements
    assert looked.members == {survivor, absorbed}


async def test_a_void_notice_recalls_all_its_grants_at_once(bench):
    subject = a_subject()
    await bench.choose(subject, grant())

    await bench.publish(notices=[a_notice("de"), a_notice("en", status="VOID")])

    assert await bench.reason(subject) == "NOTICE_VOID"
    assert (await bench.body(subject))["allowed"][0]["purpose"] == "advice"


async def test_publishing_the_registry_in_force_again_changes_nothing(bench):
    before = (await bench.check(a_subject())).position

    request = a_request()
    again = [await bench.publish(request=request), await bench.publish(request=a_request(b"other", request.id))]

    assert [(result.entries, result.position) for result in again] == [((), before)] * 2


async def test_a_registry_is_shown_by_digest_with_the_exact_words(bench):
    first = await bench.registry()
    later = await bench.publish(notices=[a_notice("de", status="CLOSED"), a_notice("en")])

    found = await bench.registry(digest=first.published.digest, notice=ref())

    assert json.loads(found.published.document) == a_document()
    assert found.notice.bytes == WORDS
    assert (await bench.registry()).published.digest == later.digest
    for unknown in ({"digest": "sha256:" + "0" * 64}, {"notice": ref(version=9)}):
        with pytest.raises(NotFound):
            await bench.registry(**unknown)


async def test_a_registry_needs_the_exact_words_of_its_notices(bench):
    document = canonical(a_document(notices=[a_notice("de"), a_notice("en"), a_notice("en", 2, sha256="0" * 64)]))

    with pytest.raises(Invalid) as caught:
        await bench.publish_bytes(document)

    assert caught.value.code == "NOTICE_MISSING"


async def test_other_bytes_for_the_same_document_are_refused(bench):
    with pytest.raises(Invalid) as caught:
        await bench.publish_bytes(json.dumps(a_document()).encode())

    assert caught.value.code == "NOT_CANONICAL"


async def test_a_grant_uses_the_registry_in_force_when_it_is_recorded(bench):
    await bench.publish(notices=[a_notice("de"), a_notice("en", status="CLOSED")])

    with pytest.raises(FailedPrecondition) as caught:
        await bench.choose(a_subject(), grant())

    assert caught.value.code == "NOTICE_NOT_OPEN"
    assert scope().purpose == "offers"


async def test_an_objection_stands_until_it_is_lifted(bench):
    subject = a_subject()
    await bench.choose(subject, grant())

    objected = await bench.object(subject, acts(Kind.OBJECT, "offers"))
    assert objected.denied == ("offers", "offers.credit")
    assert await bench.reason(subject) == "OBJECTED"
    bench.clock.advance(1)
    await bench.choose(subject, grant())
    assert await bench.reason(subject) == "OBJECTED"

    late = await bench.object(subject, acts(Kind.LIFT_OBJECT), event_us=NOW)
    assert [(entry.effective, entry.reason) for entry in late.entries] == [(False, "LATE_LIFT")]
    lifted = await bench.object(subject, acts(Kind.LIFT_OBJECT))
    assert [(entry.kind, entry.effective) for entry in lifted.entries] == [("LIFT_OBJECT", True)]
    assert await bench.reason(subject) == "GRANTED"


async def test_a_restriction_leaves_only_what_the_law_asks_for(bench):
    subject = a_subject()
    await bench.object(subject, acts(Kind.RESTRICT))

    body = await bench.body(subject)

    assert [entry["purpose"] for entry in body["allowed"]] == ["fraud"]
    assert {denial["reason"] for denial in body["denied"]} == {"RESTRICTED"}


SIGNALS = {
    "regimes": [
        a_regime("au_cdr", "CONSENT", max_validity_us=365 * DAY),
        a_regime("gdpr", "CONSENT", "CONTRACT", "LEGAL_OBLIGATION", "LEGITIMATE_INTEREST", "OPT_OUT"),
        a_regime("glba_fcra", "OPT_OUT", window_us=30 * DAY, signals={"gpc": ["sharing"]}),
    ],
    "purposes": [
        {**purpose, "tags": ["sharing"]} if purpose["id"] == "sharing" else purpose
        for purpose in a_document()["purposes"]
    ],
}


async def test_a_signal_is_honoured_once_and_again_after_a_lifting(bench):
    await bench.publish(**SIGNALS)
    subject, request = a_subject(), a_request()

    first = await bench.signal(subject, request=request)
    repeated = await bench.signal(subject, request=request)
    again = await bench.signal(subject)
    bench.clock.advance(1)
    off = await bench.signal(subject, on=False)
    assert await bench.reason(subject, "sharing", "mobile", "transaction") == "NOTICE_NOT_SERVED"
    bench.clock.advance(1)
    after = await bench.signal(subject)

    answers = [(result.display_status, len(result.entries)) for result in (first, again, off, after)]
    assert answers == [("HONOURED", 1), ("ALREADY_HONOURED", 0), ("HONOURED", 1), ("HONOURED", 1)]
    assert (repeated.replayed, repeated.display_status, repeated.entries) == (True, "HONOURED", first.entries)
    assert (await bench.signal(subject, signal="dnt")).display_status == "NOT_APPLICABLE"
    assert await bench.reason(subject, "sharing", "mobile", "transaction") == "OPTED_OUT"
    assert again.position.index == first.position.index


async def test_a_link_says_which_denials_it_carries_and_again_when_repeated(bench):
    survivor, absorbed, request = a_subject(), a_subject(), a_request()
    await bench.object(absorbed, acts(Kind.RESTRICT, "advice"))
    await bench.withdraw(absorbed, Scope("offers"))

    linked = await bench.link(survivor, absorbed, request=request)
    repeated = await bench.link(survivor, absorbed, request=request)

    assert sorted((s.kind.value, s.scope.purpose) for s in linked.carried) == [
        ("RESTRICT", "advice"),
        ("WITHDRAW", "offers"),
    ]
    assert repeated.carried == linked.carried
    assert await bench.reason(survivor, "advice", "web", "holding") == "RESTRICTED"


async def test_a_grant_is_withdrawn_by_its_index(bench):
    subject, other = a_subject(), a_subject()
    granted = await bench.choose(subject, grant(), grant("advice"))

    taken = await bench.withdraw(subject, grant=granted.entries[1].index)

    assert taken.denied == ("advice",)
    assert await bench.reason(subject) == "GRANTED"
    assert await bench.reason(subject, "advice", "mobile", "transaction") == "WITHDRAWN"
    for whose, index in ((other, granted.entries[0].index), (subject, 1 << 63), (subject, 0)):
        with pytest.raises(Invalid) as caught:
            await bench.withdraw(whose, grant=index)
        assert caught.value.field == "grant"


async def test_entries_are_listed_by_page(bench):
    subject = a_subject()
    await bench.choose(subject, grant(), grant("advice"), refuse("offers.credit"))
    await bench.withdraw(subject)

    first = await bench.events(subject, amount=3)
    rest = await bench.events(subject, after=first.entries[-1].index, amount=3)

    assert [entry.kind.value for entry in (*first.entries, *rest.entries)] == ["GRANT", "GRANT", "REFUSE", "WITHDRAW"]
    assert (first.more, rest.more) == (True, False)
    assert (first.resolved, first.members) == (subject, {subject})
    assert (await bench.events(a_subject())).entries == ()


async def test_entries_of_an_absorbed_subject_name_the_one_that_answers(bench):
    survivor, absorbed = a_subject(), a_subject()
    await bench.choose(absorbed, refuse("advice"))
    await bench.link(survivor, absorbed)

    listed = await bench.events(absorbed)

    assert [entry.kind.value for entry in listed.entries] == ["REFUSE", "LINKED"]
    assert (listed.resolved, listed.members) == (survivor, {survivor, absorbed})


async def test_a_basis_is_recomputed_at_its_position_and_only_there(bench):
    subject = a_subject()
    await bench.choose(subject, grant())
    signed, position = await bench.basis(subject)
    await bench.withdraw(subject)
    await bench.publish(notices=[a_notice("de"), a_notice("en", status="VOID")])

    again, where = await bench.basis(subject, replay=position, at_us=NOW)
    other, _ = await bench.basis(subject, replay=position, at_us=NOW, replay_kid="old+00000000")

    assert (again.body, again.signature, where) == (signed.body, b"", position)
    assert json.loads(other.body)["kid"] == "old+00000000"
    for wrong, reason in (
        (Position("00" * 16, 1, 1), "TOKEN_FOREIGN"),
        (Position(LEDGER, 1, 1 << 62), "TOKEN_FUTURE"),
        (Position(LEDGER, 1, (1 << 64) - 1), "TOKEN_FUTURE"),
        (Position(LEDGER, (1 << 64) - 1, 1), "TOKEN_FUTURE"),
    ):
        with pytest.raises(FailedPrecondition) as caught:
            await bench.basis(subject, replay=wrong, at_us=NOW)
        assert caught.value.code == reason


async def test_the_state_is_shown_at_a_place_of_the_ledger(bench):
    subject = a_subject()
    granted = await bench.choose(subject, grant())
    bench.clock.advance(DAY)
    taken = await bench.withdraw(subject, event_us=NOW + 5)

    async def reason(**moments):
        looked = await bench.look(subject, **moments)
        return next((found.reason.value for key, found in looked.verdicts if key == OFFERS), None)

    assert await reason(as_known_at=granted.position) == "GRANTED"
    assert await reason(as_known_at=taken.position) == "WITHDRAWN"
    assert await reason(as_of=granted.position) == "GRANTED"
    assert await reason(as_of=taken.position, as_known_at=granted.position) == "GRANTED"
    with pytest.raises(FailedPrecondition):
        await reason(as_of=Position(LEDGER, 1, taken.position.index + 1))


async def test_a_registry_is_shown_at_a_place_of_the_ledger(bench):
    subject = a_subject()
    before = await bench.choose(subject, grant())
    await bench.publish(notices=[a_notice("de"), a_notice("en", status="CLOSED")])

    found = await bench.registry(position=before.position)

    assert json.loads(found.published.document) == a_document()
    with pytest.raises(NotFound):
        await bench.registry(position=Position(LEDGER, 1, 0))


async def test_a_registry_that_singles_somebody_out_is_refused(bench):
    with pytest.raises(Invalid) as caught:
        await bench.publish(notices=[a_notice("de"), a_notice("en"), a_notice("en", id="for_4915112345678")])

    assert caught.value.code == "PERSON_SINGLED_OUT"


async def test_what_is_turned_away_writes_nothing(bench):
    subject = a_subject()
    before = (await bench.check(subject)).position

    for turned_away in (
        bench.choose(subject, grant("unheard_of")),
        bench.choose(subject, grant(), event_us=NOW + DAY),
        bench.choose(subject, grant(to_us=NOW - 1)),
        bench.choose(subject, grant(), grant()),
        bench.choose(subject, grant(), notice=NoticeRef("choices", 1, "fr", ref().sha256)),
        bench.choose(subject, grant(), regimes=("unheard_of",)),
        bench.withdraw(subject, Scope("unheard_of")),
        bench.object(subject, acts(Kind.LIFT_OBJECT), evidence=Evidence()),
        bench.signal(subject, regime="unheard_of"),
    ):
        with pytest.raises((FailedPrecondition, Invalid, NotFound)) as caught:
            await turned_away
        assert caught.value.field

    assert (await bench.check(subject)).position == before
    assert (await bench.events(subject)).entries == ()


async def seal(bench, kind, *subjects):
    """What an erasure case appends."""
    await bench.writer.append(Seal(a_request(), subjects, kind, "case-1"))


async def test_a_sealed_subject_is_denied_everything_and_its_denials_are_kept(bench):
    survivor, absorbed = a_subject(), a_subject()
    await bench.choose(survivor, grant())
    await bench.link(survivor, absorbed)
    signed, position = await bench.basis(survivor)

    await seal(bench, Kind.SEALED, survivor, absorbed)

    for subject in (survivor, absorbed):
        assert await bench.reason(subject) == "SUBJECT_SEALED"
        body = await bench.body(subject)
        assert body["allowed"] == []
        assert {denial["reason"] for denial in body["denied"]} == {"SUBJECT_SEALED"}
        with pytest.raises(FailedPrecondition) as caught:
            await bench.choose(subject, grant("advice"))
        assert caught.value.code == "SUBJECT_SEALED"
    assert {found.reason.value for _, found in (await bench.look(survivor)).verdicts} == {"SUBJECT_SEALED"}
    assert (await bench.basis(survivor, replay=position, at_us=NOW))[0].body == signed.body
    await bench.withdraw(survivor, Scope("advice"))
    await seal(bench, Kind.UNSEALED, survivor, absorbed)
    assert await bench.reason(absorbed) == "GRANTED"
    assert await bench.reason(absorbed, "advice", "mobile", "transaction") == "WITHDRAWN"


async def test_of_an_erased_subject_nothing_is_recomputed(bench):
    subject = a_subject()
    _, position = await bench.basis(subject)
    await bench.entomb(subject)

    assert await bench.reason(subject) == "SUBJECT_ERASED"
    assert (await bench.withdraw(subject)).entries == ()
    with pytest.raises(FailedPrecondition) as caught:
        await bench.basis(subject, replay=position, at_us=NOW)
    assert caught.value.code == "SUBJECT_ERASED"


async def test_the_state_of_an_erased_subject_says_that_it_is_erased_as_of_any_time(bench):
    subject = a_subject()
    granted = await bench.choose(subject, grant())
    before_us = bench.clock.now_us()
    bench.clock.advance(DAY)
    await bench.entomb(subject)

    for looked in (
        await bench.look(subject),
        await bench.look(subject, include_ended=True),
        await bench.look(subject, as_of=before_us, as_known_at=granted.position),
    ):
        asked = {(key.purpose, key.channel) for key, _ in looked.verdicts}
        assert {("offers", "mobile"), ("offers", "web"), ("service", "web")} <= asked
        assert {found.reason.value for _, found in looked.verdicts} == {"SUBJECT_ERASED"}
        assert (looked.statements, looked.members) == ((), {subject})


async def test_a_request_that_appended_nothing_is_judged_anew_and_one_that_did_is_not(bench):
    survivor, absorbed, request = a_subject(), a_subject(), a_request()
    nothing = await bench.link(survivor, absorbed, linked=False, request=request)
    await bench.link(survivor, absorbed)

    undone = await bench.link(survivor, absorbed, linked=False, request=request)
    await bench.link(survivor, absorbed)
    again = await bench.link(survivor, absorbed, linked=False, request=request)

    assert (nothing.entries, nothing.replayed) == ((), False)
    assert [entry.kind for entry in undone.entries] == ["UNLINKED", "UNLINKED"]
    assert (again.replayed, again.position) == (True, undone.position)
    assert (await bench.ledger.read(absorbed)).members == {survivor, absorbed}


async def test_a_lifting_that_comes_again_late_undoes_no_signal_made_since(bench):
    await bench.publish(**SIGNALS)
    subject, request = a_subject(), a_request()
    before_us = bench.clock.now_us()
    bench.clock.advance(1_000_000)
    assert (await bench.signal(subject, on=False, request=request, event_us=before_us)).entries == ()
    await bench.signal(subject)

    again = await bench.signal(subject, on=False, request=request, event_us=before_us)

    assert {entry.reason for entry in again.entries} == {"LATE_LIFT"}
    assert await bench.reason(subject, "sharing", "mobile", "transaction") == "OPTED_OUT"


async def test_a_page_with_many_words_is_shorter_and_says_that_there_is_more(bench):
    subject, words = a_subject(), "x" * 8000
    for _ in range(40):
        await bench.choose(subject, grant(), evidence=Evidence("form", free_text=words))

    first = await history.list_consent_events(ListEvents(subject), ledger=bench.ledger, whole=True)
    rest = await history.list_consent_events(
        ListEvents(subject, after=first.entries[-1].index), ledger=bench.ledger, whole=True
    )

    assert (len(first.entries), first.more) == (256 * 1024 // 8000, True)
    assert (len(rest.entries), rest.more) == (40 - len(first.entries), False)
    assert len((await history.list_consent_events(ListEvents(subject), ledger=bench.ledger)).entries) == 40
