"""The writer's queue: denials first, room for them always, grants turned away first."""

from __future__ import annotations

import asyncio

import pytest
from consent_fakes import a_request, acts, grant, refuse, screen

from consent_service.commands import RecordChoice, SetLink, Signal, Withdraw
from consent_service.domain.choices import Scope
from consent_service.domain.words import Kind
from consent_service.lanes import Item, Lanes, denies
from consent_service.planning import Needs
from servicekit.errors import Exhausted


def an_item(*items, subject="anna"):
    made = RecordChoice(a_request(), subject, screen(*(items or (grant(),))))
    return Item(made, Needs((subject,)), asyncio.get_running_loop().create_future())


def filled(lanes, count, *items):
    found = [an_item(*items) for _ in range(count)]
    for item in found:
        lanes.add(item)
    return found


async def test_denials_are_taken_first_and_each_lane_keeps_its_order():
    lanes = Lanes()
    grants, denials = filled(lanes, 3), filled(lanes, 2, refuse())

    assert lanes.take() == [*denials, *grants]
    assert len(lanes) == 0


async def test_a_batch_is_bounded_by_its_entries_and_a_request_is_never_split():
    lanes = Lanes()
    screens = filled(lanes, 5, grant(), grant("offers.credit"), refuse("advice"))

    assert [lanes.take(7), lanes.take(2), lanes.take(7)] == [screens[:2], screens[2:3], screens[3:]]


async def test_grants_do_not_take_the_room_of_denials():
    lanes = Lanes(room=8, own=2)
    filled(lanes, 6)

    with pytest.raises(Exhausted) as caught:
        lanes.add(an_item())
    assert caught.value.code == "OVERLOADED"
    assert len(filled(lanes, 2, refuse())) == 2


async def test_a_denial_drives_out_the_newest_grant_and_is_turned_away_only_by_denials():
    lanes = Lanes(room=4, own=1)
    grants = filled(lanes, 3)
    denials = filled(lanes, 4, refuse())

    for item in grants:
        assert isinstance(item.answer.exception(), Exhausted)
    with pytest.raises(Exhausted):
        lanes.add(an_item(refuse()))
    assert lanes.take() == denials


async def test_who_gave_up_takes_no_place_in_a_batch():
    lanes = Lanes()
    first, second = filled(lanes, 2)
    first.answer.cancel()

    assert lanes.take() == [second]


async def test_what_waits_is_told_when_nobody_writes_any_more():
    lanes = Lanes()
    items = [*filled(lanes, 2), *filled(lanes, 2, refuse())]
    lanes.fail(Exhausted(reason="NO_WRITER"))

    assert {item.answer.exception().code for item in items} == {"NO_WRITER"}
    assert lanes.take() == []


def test_what_only_narrows_goes_first():
    request = a_request()

    assert denies(Withdraw(request, "anna", (Scope("*"),)))
    assert denies(RecordChoice(request, "anna", screen(refuse(), acts(Kind.OBJECT))))
    assert denies(Signal(request, "anna", "gpc", on=True))
    assert denies(SetLink(request, "anna", "ben", linked=True))
    assert not denies(RecordChoice(request, "anna", screen(refuse(), grant())))
    assert not denies(Signal(request, "anna", "gpc", on=False))
