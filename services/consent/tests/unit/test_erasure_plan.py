"""What an erasure appends: one entry for each of a person's subjects, tombstones, and all or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from consent_fakes import LEDGER, NOW, a_registry, a_request

from consent_service import lanes, planning
from consent_service.commands import Erase, Seal
from consent_service.domain.entries import Head
from consent_service.domain.fold import unknown
from consent_service.domain.words import Kind, Status
from consent_service.planning import Seen
from servicekit.errors import FailedPrecondition

HEAD = Head(LEDGER, 3, 40, NOW - 1)


def a_person(*, sealed=True):
    """A survivor, and whom it absorbed."""
    everybody = frozenset({"anna", "anne"})
    gone = frozenset({"anne"})
    anna = replace(unknown("anna"), members=everybody, sealed=everybody if sealed else frozenset())
    anne = replace(unknown("anne"), survivor="anna", link=7, sealed=gone if sealed else frozenset())
    return {"anna": anna, "anne": anne}


def seen(states) -> Seen:
    return Seen(HEAD, NOW, a_registry(), states)


def an_erasure(*subjects) -> Erase:
    return Erase(a_request(), subjects or ("anna", "anne"), "case-1")


def test_each_subject_gets_an_entry_and_a_tombstone_that_answers_for_itself():
    command = an_erasure()

    write = planning.plan(command, seen(a_person())).write

    assert [(e.index, e.kind, e.subject, dict(e.note)) for e in write.entries] == [
        (40, Kind.ERASURE, "anna", {"case": "case-1"}),
        (41, Kind.ERASURE, "anne", {"case": "case-1"}),
    ]
    assert [(s.subject, s.status, s.members, s.survivor, s.statements, s.last_index) for s in write.states] == [
        ("anna", Status.ERASED, frozenset({"anna"}), None, (), 40),
        ("anne", Status.ERASED, frozenset({"anne"}), None, (), 41),
    ]
    assert write.rerooted == (("anna", frozenset({"anna"})), ("anne", frozenset({"anne"})))
    assert planning.needs(command).subjects == ("anna", "anne")


@pytest.mark.parametrize("subjects", [("anna",), ("anne",)])
def test_a_person_is_not_erased_in_part(subjects):
    with pytest.raises(FailedPrecondition) as caught:
        planning.plan(an_erasure(*subjects), seen(a_person()))

    assert caught.value.code == "MEMBERS_CHANGED"


def test_who_is_not_sealed_is_not_erased():
    with pytest.raises(FailedPrecondition) as caught:
        planning.plan(an_erasure(), seen(a_person(sealed=False)))

    assert caught.value.code == "NOT_SEALED"


def test_who_is_erased_gets_no_second_entry():
    states = {name: replace(unknown(name), erased=True) for name in ("anna", "anne")}

    assert planning.plan(an_erasure(), seen(states)).write.entries == ()


def test_nothing_is_written_about_the_subject_later_in_the_same_batch():
    drafted = planning.plan(an_erasure(), seen(a_person()))
    after = seen(a_person()).after(drafted)

    assert {after.lineage(name)[-1].status for name in ("anna", "anne")} == {Status.ERASED}


def test_an_erasure_goes_before_grants_and_weighs_what_it_writes():
    assert lanes.denies(an_erasure())
    assert lanes.weight(an_erasure()) == 2
    assert lanes.weight(Seal(a_request(), ("anna", "anne"), Kind.SEALED, "case-1")) == 2
