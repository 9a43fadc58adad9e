"""When key-encryption keys come and go, by the calendar, and how the folder keeps them."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from hypothesis import given
from hypothesis import strategies as st

from consent_service.keys.epochs import LIVES, SERVES, KekEpoch, newest, next_due, to_destroy
from consent_service.keys.folder import KekFolder
from servicekit.errors import Invalid, Unavailable

DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = KekEpoch(1, "kek-000001", START)
SECOND = KekEpoch(2, "kek-000002", START + SERVES)
TICK = timedelta(microseconds=1)


def test_the_first_kek_is_due_at_once():
    assert next_due([], START) == 1


@pytest.mark.parametrize(("now", "due"), [(START, None), (START + 30 * DAY - TICK, None), (START + 30 * DAY, 2)])
def test_a_kek_serves_30_days(now, due):
    assert next_due([FIRST], now) == due


@pytest.mark.parametrize(("now", "ended"), [(START + 35 * DAY - TICK, []), (START + 35 * DAY, [FIRST])])
def test_an_old_kek_is_destroyed_5_days_after_the_new_one_came(now, ended):
    assert to_destroy([FIRST, SECOND], now) == ended


def test_a_kek_that_was_replaced_late_still_ends_35_days_after_it_was_made():
    late = KekEpoch(2, "kek-000002", START + 34 * DAY)

    assert to_destroy([FIRST, late], START + 35 * DAY) == [FIRST]


def test_the_only_kek_is_never_destroyed():
    assert to_destroy([FIRST], START + 400 * DAY) == []


def test_a_number_is_not_used_twice_even_when_every_kek_is_gone():
    gone = KekEpoch(7, "kek-000007", START, START + LIVES)

    assert newest([gone]) is None
    assert next_due([gone], START + 36 * DAY) == 8


@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_backup_older_than_the_window_cannot_decrypt(steps):
    """However rarely somebody looks: once a look has come after day 35, whatever an older backup wrapped is lost."""
    now, epochs = START, []
    for days in steps:
        now += days * DAY
        number = next_due(epochs, now)
        if number is not None:
            epochs.append(KekEpoch(number, f"kek-{number}", now))
        ended = to_destroy(epochs, now)
        epochs = [KekEpoch(e.epoch, e.provider_ref, e.created_at, now) if e in ended else e for e in epochs]

        live = [e for e in epochs if e.destroyed_at is None]
        assert newest(epochs).created_at + SERVES > now
        assert all(now < e.blind_after for e in live)
        assert len(live) <= 2


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keks"


async def test_keys_are_wrapped_as_rfc_3394_says(folder):
    keks = KekFolder(folder)
    ref = await keks.create(1)
    keys = [os.urandom(32) for _ in range(3)]
    wrapped = await keks.wrap(ref, keys)

    assert [len(each) for each in wrapped] == [40, 40, 40]
    assert [aes_key_unwrap((folder / ref).read_bytes(), each) for each in wrapped] == keys
    assert await keks.unwrap(ref, wrapped) == keys


async def test_a_kek_is_for_its_owner_alone(folder):
    keks = KekFolder(folder)
    ref = await keks.create(1)
    assert stat.S_IMODE((folder / ref).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path, mode in ((folder / ref, 0o640), (folder / ref, 0o604), (folder, 0o770), (folder, 0o707)):
        before = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode)
        with pytest.raises(Invalid) as caught:
            await keks.wrap(ref, [bytes(32)])
        assert caught.value.code == "KEK_MODE"
        path.chmod(before)


async def test_creating_a_kek_again_changes_nothing(folder):
    keks = KekFolder(folder)
    ref = await keks.create(3)
    wrapped = await keks.wrap(ref, [bytes(32)])

    assert await keks.create(3) == ref
    assert await keks.unwrap(ref, wrapped) == [bytes(32)]
    assert [path.name for path in folder.iterdir()] == [ref]


async def test_a_destroyed_kek_unwraps_nothing_and_leaves_no_file(folder):
    keks = KekFolder(folder)
    ref = await keks.create(1)
    wrapped = await keks.wrap(ref, [bytes(32)])
    await keks.destroy(ref)
    await keks.destroy(ref)

    assert list(folder.iterdir()) == []
    with pytest.raises(Unavailable) as caught:
        await keks.unwrap(ref, wrapped)
    assert caught.value.code == "KEYS_UNAVAILABLE"


async def test_another_kek_unwraps_nothing(folder):
    keks = KekFolder(folder)
    wrapped = await keks.wrap(await keks.create(1), [bytes(32)])
    with pytest.raises(Unavailable):
        await keks.unwrap(await keks.create(2), wrapped)


@pytest.mark.parametrize("ref", ["../secret", "kek-1", "kek-000001/..", "", "kek-000001\n"])
async def test_a_name_that_is_no_keks_opens_no_file(folder, ref):
    with pytest.raises(Invalid):
        await KekFolder(folder).unwrap(ref, [bytes(40)])
