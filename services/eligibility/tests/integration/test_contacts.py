"""The same cases bind contacts in memory and in PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest
from eligibility_builders import DAY, NOON

from eligibility_service.domain.contact import Contact
from eligibility_service.ports import Outcome, Wish
from servicekit.errors import AlreadyExists, FailedPrecondition
from testkit.builders import a_subject, unique

TTL = 600_000


def a_contact(at_ms=NOON, action="card", outcome="impression", channel="push"):
    return Contact(action, "cards", "sales", channel, "marketing", outcome, at_ms)


def an_outcome(subject, contact=None, **changes):
    given = {"outcome_id": unique("outcome"), "replaces": "", "decision_id": unique("decision"), "subject_id": subject}
    return Outcome(**{**given, "contact": contact or a_contact(), **changes})


def a_wish(item="home/1", **changes):
    return Wish(item, a_contact(outcome="reserved", **changes))


def at_most(limit):
    return lambda known, _wanted: "limit" if len(known) >= limit else None


@pytest.fixture
def subject():
    return a_subject()


@pytest.fixture
def known(contacts):
    async def read(*subjects, now_ms=NOON):
        return list((await contacts.of(subjects, since_ms=NOON - DAY, now_ms=now_ms))[1])

    return read


@pytest.fixture
def reserve(contacts):
    async def ask(decision, subject, *wishes, limit=1, now_ms=NOON, subjects=()):
        return await contacts.reserve(
            decision, sorted({subject, *subjects}), wishes or [a_wish()],
            admit=at_most(limit), since_ms=NOON - DAY, now_ms=now_ms, until_ms=now_ms + TTL,
        )  # fmt: skip

    return ask


async def test_an_outcome_counts_once_however_often_it_comes(contacts, known, subject):
    outcome = an_outcome(subject)

    assert [await contacts.add(outcome) for _ in range(3)] == [True, False, False]
    assert await known(subject) == [outcome.contact]


async def test_a_correction_counts_instead_of_what_it_replaces_whichever_comes_first(contacts, known, subject):
    first = an_outcome(subject)
    second = an_outcome(subject, a_contact(NOON - 5), replaces=first.outcome_id)
    third = an_outcome(subject, a_contact(NOON - 9, outcome="dismiss"), replaces=second.outcome_id)

    await contacts.add(second)
    assert await known(subject) == [second.contact]
    await contacts.add(first)
    assert await known(subject) == [second.contact]
    await contacts.add(third)
    assert await known(subject) == [third.contact]


async def test_what_is_older_than_asked_for_is_not_read(contacts, known, subject):
    await contacts.add(an_outcome(subject, a_contact(NOON - DAY)))
    await contacts.add(an_outcome(subject, a_contact(NOON - DAY + 1)))

    assert [contact.at_ms for contact in await known(subject)] == [NOON - DAY + 1]


async def test_merged_subjects_have_the_union_of_their_contacts(contacts, known, subject):
    other = a_subject()
    await contacts.add(an_outcome(subject, a_contact(NOON - 1)))
    await contacts.add(an_outcome(other, a_contact(NOON)))

    assert [contact.at_ms for contact in await known(subject, other)] == [NOON - 1, NOON]
    assert [contact.at_ms for contact in await known(other)] == [NOON]


async def test_the_version_grows_with_each_change_and_with_nothing_else(contacts, reserve, subject):
    async def version():
        return (await contacts.of([subject], since_ms=0, now_ms=NOON))[0]

    seen = [await version()]
    outcome, decision = an_outcome(subject), unique("decision")
    for change in (
        contacts.add(outcome), contacts.add(outcome), reserve(decision, subject, limit=9), reserve(decision, subject, limit=9),
        reserve(unique("decision"), subject, limit=0), contacts.release(decision, []), contacts.release(decision, []),
    ):  # fmt: skip
        await change
        seen.append(await version())

    assert seen == [0, 1, 1, 2, 2, 2, 3, 3]


async def test_a_repeated_call_gives_the_same_place_and_takes_no_other(reserve, known, subject):
    decision = unique("decision")
    first, second = await reserve(decision, subject), await reserve(decision, subject)

    assert first == second
    assert len(await known(subject)) == 1


async def test_a_decision_may_ask_again_for_other_items(reserve, subject):
    decision = unique("decision")
    await reserve(decision, subject, a_wish("one"))
    answer = await reserve(decision, subject, a_wish("one"), a_wish("two"), a_wish("three"), limit=2)

    assert [each.item for each in answer.accepted] == ["one", "two"]
    assert answer.refused == (("three", "limit"),)


@pytest.mark.parametrize("other", [{"action": "loan"}, {"channel": "email"}])
async def test_an_item_with_other_content_is_refused(reserve, subject, other):
    decision = unique("decision")
    await reserve(decision, subject)

    with pytest.raises(AlreadyExists):
        await reserve(decision, subject, a_wish(**other))


async def test_an_item_of_another_subject_is_refused(reserve, subject):
    decision = unique("decision")
    await reserve(decision, subject)

    with pytest.raises(AlreadyExists):
        await reserve(decision, a_subject())


async def test_a_place_ends_with_its_time(reserve, known, subject):
    await reserve(unique("decision"), subject)

    assert (await reserve(unique("decision"), subject)).refused == (("home/1", "limit"),)
    assert len(await known(subject, now_ms=NOON + TTL - 1)) == 1
    assert await known(subject, now_ms=NOON + TTL) == []
    assert len((await reserve(unique("decision"), subject, now_ms=NOON + TTL)).accepted) == 1


async def test_a_released_place_is_free(contacts, reserve, subject):
    decision = unique("decision")
    await reserve(decision, subject)

    assert await contacts.release(decision, []) == ["home/1"]
    assert await contacts.release(decision, []) == []
    assert len((await reserve(unique("decision"), subject)).accepted) == 1


async def test_only_the_items_named_are_released(contacts, reserve, subject):
    decision = unique("decision")
    await reserve(decision, subject, a_wish("one"), a_wish("two"), limit=2)

    assert await contacts.release(decision, ["two", "three"]) == ["two"]


@pytest.mark.parametrize("how", ["released", "expired"])
async def test_an_item_whose_place_is_gone_asks_anew(contacts, reserve, subject, how):
    decision, later = unique("decision"), NOON + TTL
    await reserve(decision, subject)
    if how == "released":
        await contacts.release(decision, [])
    other = await reserve(unique("decision"), subject, now_ms=later)

    assert len(other.accepted) == 1
    assert (await reserve(decision, subject, now_ms=later)).refused == (("home/1", "limit"),)
    [again] = (await reserve(decision, subject, now_ms=later, limit=2)).accepted
    assert again.until_ms == later + TTL


async def test_an_impression_commits_a_place_even_after_its_time(contacts, reserve, known, subject):
    decision = unique("decision")
    await reserve(decision, subject)
    shown = an_outcome(subject, a_contact(NOON + TTL + 5), decision_id=decision)
    await contacts.add(shown)

    assert await known(subject, now_ms=NOON + TTL + 9) == [shown.contact]
    assert [each.item for each in (await reserve(decision, subject, now_ms=NOON + 2 * TTL)).accepted] == ["home/1"]
    assert await contacts.release(decision, []) == []


async def test_one_impression_commits_one_of_two_places(contacts, reserve, known, subject):
    decision = unique("decision")
    await reserve(decision, subject, a_wish("one"), a_wish("two"), limit=2)
    await contacts.add(an_outcome(subject, decision_id=decision))

    assert sorted(contact.outcome for contact in await known(subject)) == ["impression", "reserved"]


async def test_a_click_commits_nothing(contacts, reserve, known, subject):
    decision = unique("decision")
    await reserve(decision, subject)
    await contacts.add(an_outcome(subject, a_contact(outcome="click"), decision_id=decision))

    assert sorted(contact.outcome for contact in await known(subject)) == ["click", "reserved"]


async def test_a_merge_never_frees_a_place(reserve, subject):
    await reserve(unique("decision"), subject)

    assert (await reserve(unique("decision"), a_subject(), subjects=[subject])).refused == (("home/1", "limit"),)


async def test_sixty_four_decisions_at_once_never_exceed_a_limit(reserve, known, subject):
    answers = await asyncio.gather(*(reserve(unique("decision"), subject, limit=3) for _ in range(64)))

    assert sum(len(answer.accepted) for answer in answers) == 3
    assert len(await known(subject)) == 3


async def test_a_forgotten_subject_leaves_nothing_and_stays_forgotten(contacts, reserve, known, subject):
    outcome, decision = an_outcome(subject), unique("decision")
    await contacts.add(outcome)
    await reserve(decision, subject, limit=9)

    assert [await contacts.forget(subject) for _ in range(2)] == [2, 0]
    assert await known(subject) == []
    assert [await contacts.add(each) for each in (outcome, an_outcome(subject))] == [False, False]
    with pytest.raises(FailedPrecondition):
        await reserve(decision, subject)


async def test_the_survivor_of_a_merge_outlives_a_forgotten_part(contacts, reserve, known, subject):
    gone = a_subject()
    await contacts.forget(gone)
    await reserve(unique("decision"), subject, subjects=[gone])

    assert len(await known(subject)) == 1


async def test_forgetting_leaves_others_alone(contacts, known, subject):
    other = a_subject()
    for each in (subject, other):
        await contacts.add(an_outcome(each))
    await contacts.forget(subject)

    assert len(await known(other)) == 1


async def test_what_is_too_old_is_forgotten(contacts, reserve, subject):
    old, new = an_outcome(subject, a_contact(5)), an_outcome(subject, a_contact(NOON))
    await contacts.add(old)
    await contacts.add(new)
    await reserve(unique("decision"), subject, limit=9, now_ms=NOON)
    await contacts.forget_before(10)

    assert (await contacts.of([subject], since_ms=0, now_ms=NOON))[1] == [new.contact, a_wish().contact]
    await contacts.forget_before(NOON + TTL + 1)
    assert (await contacts.of([subject], since_ms=0, now_ms=NOON))[1] == []
