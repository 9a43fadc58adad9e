"""What the signer signs, and what it refuses: pure rules, a database and a volume in memory."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from signing_fakes import (
    KEY,
    LEDGER,
    NEXT_KEY,
    ORIGIN,
    START_US,
    MemoryVolume,
    Rows,
    World,
    a_leaf,
    flipped,
    with_head,
)

from consent_service.signing import last_signed
from consent_service.signing.adopting import adopt
from consent_service.signing.rules import Refused
from servicekit.errors import AssentError, FailedPrecondition, Unavailable
from tlog import EMPTY_ROOT, Verifier, root_of, verify_checkpoint
from tlog.hashing import leaf_hashes

VERIFIER = Verifier(KEY.vkey)


async def a_signed_world(*sizes):
    world = World()
    signer = world.signer()
    await signer.round()
    for size in sizes:
        world.rows.grow(size)
        await signer.round()
    return world


async def refusal(world, *keys):
    with pytest.raises(AssentError) as refused:
        await world.signer(*keys).round()
    return refused.value.code


# What is signed


async def test_an_empty_log_is_nothing_to_sign_and_is_remembered():
    world = World()

    await world.signer().round()

    assert last_signed.decode(world.volume.data, [VERIFIER], ORIGIN) == last_signed.nothing(ORIGIN)
    assert world.notes() == {}


async def test_each_round_signs_what_was_appended():
    world = await a_signed_world(3, 300, 1, 70_000)

    assert sorted(world.notes()) == [3, 303, 304, 70_304]
    for size, note in world.notes().items():
        stated = verify_checkpoint(note, [VERIFIER], ORIGIN)
        assert (stated.size, stated.root) == (size, root_of(leaf_hashes(world.rows.leaves[:size])))


@given(st.lists(st.integers(0, 600), max_size=6))
async def test_the_file_and_the_latest_checkpoint_are_of_the_whole_log(sizes):
    world = await a_signed_world(*sizes)
    size = sum(sizes)

    last = last_signed.decode(world.volume.data, [VERIFIER], ORIGIN)

    assert last.size == size == max(world.notes(), default=0)
    assert last.root == root_of(leaf_hashes(world.rows.leaves))


async def test_a_checkpoint_says_when_it_was_published():
    world = await a_signed_world(3)

    assert world.rows.checkpoints[3][2] == START_US


async def test_a_round_without_new_entries_signs_nothing_new():
    world = await a_signed_world(5)
    before = world.volume.data

    await world.signer().round()

    assert world.volume.data == before
    assert sorted(world.notes()) == [5]


async def test_a_checkpoint_on_demand_is_the_one_there_is_when_it_covers_enough():
    world = await a_signed_world(5)
    signer = world.signer()
    await signer.round()
    world.rows.grow(4)

    assert (await signer.sign_now(5)).size == 5
    assert (await signer.sign_now(6)).size == 9
    assert (await signer.sign_now()).size == 9
    with pytest.raises(FailedPrecondition) as refused:
        await signer.sign_now(10)
    assert refused.value.code == "NOT_YET_WRITTEN"


# Confirming a head


async def test_a_head_that_was_derived_is_confirmed():
    world = await a_signed_world(5)
    world.rows.grow(2)
    with_head(world.rows, epoch=2)
    head = world.rows.head

    await world.signer().confirm(head.size, head.root, head.epoch)

    assert 7 in world.notes()


async def test_the_head_of_an_empty_log_is_confirmed():
    world = World()
    world.rows.append([])

    await world.signer().confirm(0, EMPTY_ROOT, 1)


@pytest.mark.parametrize(
    ("size", "root", "epoch", "code"),
    [
        (4, None, 1, "HEAD_CHANGED"),
        (5, None, 2, "HEAD_CHANGED"),
        (5, bytes(32), 1, "FORK"),
        (6, None, 1, "HEAD_CHANGED"),
    ],
)
async def test_another_head_is_not_confirmed(size, root, epoch, code):
    world = await a_signed_world(5)

    with pytest.raises(FailedPrecondition) as refused:
        await world.signer().confirm(size, root or world.rows.head.root, epoch)

    assert refused.value.code == code


# The fork rule


async def test_a_log_shorter_than_what_was_signed_is_a_fork():
    world = await a_signed_world(5)
    earlier = Rows()
    earlier.grow(4)
    world.log.rows = earlier

    assert await refusal(world) == "FORK"


async def test_a_database_that_was_emptied_is_a_fork():
    world = await a_signed_world(5)
    world.log.rows = Rows()

    assert await refusal(world) == "FORK"


@pytest.mark.parametrize("more", [0, 1, 300])
@pytest.mark.parametrize("size", [5, 256, 300, 1000])
async def test_another_history_of_the_signed_length_or_longer_is_a_fork(size, more):
    world = await a_signed_world(size)
    other = Rows()
    other.grow(size - 1)
    other.grow(1 + more, salt=b"other")
    world.log.rows = other

    assert await refusal(world) == "FORK"
    assert world.notes() == {}


async def test_a_restored_database_that_gets_its_entries_back_is_signed_again():
    world = World()
    await world.signer().round()
    world.rows.grow(4)
    backup = world.rows.copy()
    world.rows.grow(6)
    await world.signer().round()
    world.log.rows = backup
    assert await refusal(world) == "FORK"

    world.rows.grow(6)
    await world.signer().round()

    assert sorted(world.notes()) == [10]


async def test_what_is_refused_stays_not_ready_until_a_round_succeeds():
    world = await a_signed_world(5)
    whole, world.log.rows = world.log.rows, Rows()
    signer = world.signer()
    for _ in range(2):
        with pytest.raises(Refused):
            await signer.round()
        with pytest.raises(Refused):
            await signer.check()
    world.log.rows = whole

    await signer.round()

    await signer.check()


async def test_a_refusal_that_lasts_keeps_nothing_of_the_rounds_before():
    world = await a_signed_world(5)
    world.log.rows = Rows()
    signer = world.signer()
    with pytest.raises(Refused):
        await signer.round()
    said = []
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await signer.check()
        said.append(refused.value)

    assert said[0] is not said[1]
    assert (said[0].code, said[0].text) == ("FORK", "The log is shorter than what was signed.")


async def test_a_signer_that_has_not_looked_yet_is_not_ready():
    with pytest.raises(Unavailable) as starting:
        await World().signer().check()

    assert starting.value.code == "STARTING"


async def test_a_checkpoint_of_another_history_in_the_database_is_a_fork():
    world = await a_signed_world(5)
    world.rows.checkpoints[5] = (bytes(32), b"", 0)

    assert await refusal(world) == "FORK"


async def test_a_checkpoint_later_than_the_file_is_not_signed_past():
    world = await a_signed_world(5)
    old = world.volume.data
    world.rows.grow(5)
    await world.signer().round()
    world.volume.data = old

    assert await refusal(world) == "STALE_LAST_SIGNED"


async def test_the_head_of_another_ledger_is_refused():
    world = await a_signed_world(5)
    with_head(world.rows, ledger="00" * 16)

    assert await refusal(world) == "HEAD"


async def test_a_second_signer_on_the_volume_waits_its_turn():
    world = await a_signed_world(5)
    with world.volume.locked():
        assert await refusal(world) == "SIGNER_BUSY"


async def test_two_signers_on_one_volume_sign_one_history():
    world = await a_signed_world(5)
    one, two = world.signer(), world.signer()
    for signer in (one, two, two, one):
        world.rows.grow(3)
        await signer.round()

    assert sorted(world.notes()) == [5, 8, 11, 14, 17]


async def test_a_second_signer_with_a_volume_of_its_own_signs_nothing():
    world = await a_signed_world(5)
    world.volume = MemoryVolume()

    assert await refusal(world) == "NO_LAST_SIGNED"


# Every bit


async def damaged_world(damage):
    """Signed at 300; 300 more are stored, and something about them is not right."""
    world = await a_signed_world(300)
    world.rows.grow(300)
    damage(world.rows)
    return world


@given(st.integers(300, 599), st.integers(0, 162 * 8 - 1))
async def test_no_flipped_bit_of_a_leaf_is_signed(index, bit):
    def damage(rows):
        rows.leaves[index] = flipped(rows.leaves[index], bit)

    world = await damaged_world(damage)

    assert await refusal(world) in {"LEAF", "TILE", "HEAD"}
    assert sorted(world.notes()) == [300]


@given(st.sampled_from(["0/1", "0/2", "1/0"]), st.integers(0, 256 * 32 * 8))
async def test_no_flipped_bit_of_a_tile_is_signed(name, bit):
    def damage(rows):
        tile = next(tile for tile in rows.tiles if f"{tile.level}/{tile.index}" == name)
        rows.tiles[tile] = flipped(rows.tiles[tile], bit)

    world = await damaged_world(damage)

    assert await refusal(world) in {"TILE", "FORK"}
    assert sorted(world.notes()) == [300]


@given(st.integers(0, 5), st.integers(0, 255))
async def test_no_flipped_bit_of_the_head_is_signed(place, bit):
    def damage(rows):
        hashes = [rows.head.root, *rows.head.frontier]
        at = place % len(hashes)
        hashes[at] = flipped(hashes[at], bit)
        with_head(rows, root=hashes[0], frontier=tuple(hashes[1:]))

    world = await damaged_world(damage)

    assert await refusal(world) == "HEAD"
    assert sorted(world.notes()) == [300]


@given(st.integers(0, 599), st.integers(0, 255))
async def test_no_flipped_bit_that_writer_and_tiles_agree_on_is_signed(index, bit):
    """The one that ended Yeti 2022: hashes, tiles and head agree with each other, and not with the leaf."""
    world = await a_signed_world(300)
    honest = World()
    leaves = [a_leaf(number) for number in range(600)]
    leaves[index] = flipped(leaves[index], 66 * 8 + bit % 128)
    honest.rows.append(leaves)
    honest.rows.leaves[index] = a_leaf(index)
    world.log.rows = honest.rows

    assert await refusal(world) in {"FORK", "TILE", "HEAD"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda rows: rows.leaves.pop(),
        lambda rows: rows.tiles.pop(max(rows.tiles)),
        lambda rows: rows.leaves.__setitem__(400, a_leaf(400, ledger="00" * 16)),
        lambda rows: rows.leaves.__setitem__(slice(400, 402), rows.leaves[401:399:-1]),
        lambda rows: with_head(rows, size=rows.head.size + 1),
        lambda rows: with_head(rows, size=rows.head.size - 1),
        lambda rows: with_head(rows, epoch=0),
    ],
    ids=["a leaf gone", "a tile gone", "another ledger", "two swapped", "head too far", "head too near", "epoch"],
)
async def test_what_contradicts_itself_is_not_signed(damage):
    world = await damaged_world(damage)

    assert await refusal(world) in {"LEAF", "TILE", "HEAD"}
    assert sorted(world.notes()) == [300]


@pytest.mark.parametrize("size", [256, 300])
async def test_an_entry_recorded_before_what_was_signed_is_not_signed(size):
    world = await a_signed_world(size)
    world.rows.append([a_leaf(size - 2)])

    assert await refusal(world) == "LEAF"


async def test_the_last_signed_leaf_is_looked_at_again():
    world = await a_signed_world(300)
    world.rows.leaves[299] = flipped(world.rows.leaves[299], 300)
    world.rows.grow(1)

    assert await refusal(world) == "LEAF"


@given(st.integers(0, 5000))
async def test_no_flipped_bit_of_the_file_is_believed(bit):
    world = await a_signed_world(300)
    world.volume.data = flipped(world.volume.data, bit)

    assert await refusal(world) in {"LAST_SIGNED_DAMAGED", "LAST_SIGNED_KEY"}


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b"[]", b'{"v":1}', b"\xff"])
async def test_a_file_that_is_none_is_not_believed(data):
    world = await a_signed_world(3)
    world.volume.data = data

    assert await refusal(world) == "LAST_SIGNED_DAMAGED"


async def test_the_file_of_another_log_is_not_believed():
    world = await a_signed_world(3)
    said = json.loads(world.volume.data)
    world.volume.data = world.volume.data.replace(said["origin"].encode(), b"bank.example/consent/elsewhere")

    assert await refusal(world) == "LAST_SIGNED_DAMAGED"


# Adopting


async def test_a_lost_file_is_made_again_from_the_latest_note():
    world = await a_signed_world(5, 300)
    kept, world.volume.data = world.volume.data, None
    world.rows.grow(10)
    assert await refusal(world) == "NO_LAST_SIGNED"

    adopted = await adopt(world.notes()[305], world.identity(), world.log, world.volume)

    assert adopted.size == 305
    assert world.volume.data == kept
    await world.signer().round()
    assert sorted(world.notes()) == [5, 305, 315]


async def adopting(world, note):
    with pytest.raises(FailedPrecondition) as refused:
        await adopt(note, world.identity(), world.log, world.volume)
    return refused.value.code


async def test_an_earlier_note_than_the_latest_is_not_adopted():
    world = await a_signed_world(5, 300)
    note, world.volume.data = world.notes()[5], None

    assert await adopting(world, note) == "ADOPT_OLDER"


async def test_a_fork_is_not_adopted_past():
    world = await a_signed_world(5, 300)
    note = world.notes()[5]
    world.log.rows = Rows()
    world.rows.grow(6)

    assert await adopting(world, note) == "ADOPT_OLDER"


async def test_a_note_of_another_history_is_not_adopted():
    world = await a_signed_world(300)
    note, world.volume.data = world.notes()[300], None
    world.log.rows = Rows()
    world.rows.grow(299)
    assert await adopting(world, note) == "FORK"
    world.rows.grow(2, salt=b"other")

    assert await adopting(world, note) == "FORK"


async def test_a_note_that_we_have_not_signed_is_not_adopted():
    world = await a_signed_world(300)
    note, world.volume.data = world.notes()[300], None

    with pytest.raises(Refused) as refused:
        await adopt(note, world.identity(NEXT_KEY), world.log, world.volume)

    assert refused.value.code == "ADOPT_NOTE"


async def test_a_damaged_log_is_not_adopted():
    world = await a_signed_world(300)
    note, world.volume.data = world.notes()[300], None
    world.rows.leaves[7] = flipped(world.rows.leaves[7], 300)

    assert await adopting(world, note) == "TILE"


# Rotating keys


async def test_while_keys_are_rotated_both_sign():
    world = await a_signed_world(5)
    world.rows.grow(1)

    await world.signer(NEXT_KEY, KEY).round()

    for key in (KEY, NEXT_KEY):
        assert verify_checkpoint(world.notes()[6], [Verifier(key.vkey)], ORIGIN).size == 6


async def test_a_key_can_be_rotated_while_nothing_is_written():
    world = await a_signed_world(5)
    await world.signer(NEXT_KEY, KEY).round()

    await world.signer(NEXT_KEY).round()
    world.rows.grow(1)
    await world.signer(NEXT_KEY).round()

    assert sorted(world.notes()) == [5, 6]
    assert LEDGER == world.rows.head.ledger


async def test_a_key_that_never_signed_beside_the_old_one_does_not_take_over():
    world = await a_signed_world(5)

    assert await refusal(world, NEXT_KEY) == "LAST_SIGNED_KEY"
