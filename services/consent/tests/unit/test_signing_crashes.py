"""No two checkpoints contradict, whatever line the signer dies at, and whichever backup of the database is put back."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from signing_fakes import KEY, ORIGIN, World

from consent_service.signing import last_signed
from consent_service.signing.volume import Volume
from servicekit.errors import AssentError, Invalid, Unavailable
from tlog import Verifier, root_of, verify_checkpoint
from tlog.hashing import leaf_hashes

VERIFIER = Verifier(KEY.vkey)
OURS = "consent_service/signing/"


class Crash(BaseException):
    """The process dies here."""


@contextmanager
def dying_at(line):
    """Die when the signer's code executes its n-th line; 0 is never."""
    lines = [0]

    def trace(frame, event, _):
        if OURS not in frame.f_code.co_filename:
            return None
        if event == "line":
            lines[0] += 1
            if lines[0] == line:
                raise Crash
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


async def on_disk(folder):
    """300 entries, signed, with a real volume."""
    world = World(Volume(folder))
    await world.signer().round()
    world.rows.grow(300)
    await world.signer().round()
    return world


def let_go(folder):
    """What the kernel does for a dead process: its descriptors are closed, and with them its lock."""
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if link.readlink() == folder / "last-signed.lock":
                os.close(int(link.name))


async def test_a_signer_that_died_at_any_line_goes_on_with_the_same_history(tmp_path):
    world = await on_disk(tmp_path)
    rows, file = world.rows.copy(), world.volume.read()
    rows.grow(5)
    line, finished = 0, False
    while not finished:
        line += 1
        world.log.rows = rows.copy()
        world.volume.file.write_bytes(file)
        finished = await finishes(world, dying=line)
        let_go(tmp_path)
        signed = written(world)
        world.rows.grow(2)

        await world.signer().round()

        assert max(world.notes()) == 307
        for size, note in (signed | world.notes()).items():
            stated = verify_checkpoint(note, [VERIFIER], ORIGIN)
            assert stated.root == root_of(leaf_hashes(world.rows.leaves[:size])), line
    assert line > 200


async def finishes(world, *, dying):
    try:
        with dying_at(dying):
            await world.signer().round()
    except Crash:
        return False
    return True


def written(world):
    """Every note that left the signer: in the database or in the file."""
    data = world.volume.read()
    last = last_signed.decode(data, [VERIFIER], ORIGIN) if data is not None else None
    return world.notes() | ({last.size: last.note} if last and last.size else {})


async def test_what_was_signed_and_not_published_is_published_by_the_next_round(tmp_path):
    world = await on_disk(tmp_path)
    world.rows.grow(5)
    await world.signer().round()
    note = world.rows.checkpoints.pop(305)[1]

    await world.signer().round()

    assert world.notes()[305] == note


async def test_nothing_is_published_when_the_file_cannot_be_written(tmp_path):
    world = await on_disk(tmp_path)
    world.rows.grow(5)
    (tmp_path / "last-signed.new").mkdir()

    with pytest.raises(Unavailable) as away:
        await world.signer().round()

    assert away.value.code == "VOLUME_AWAY"
    assert sorted(world.notes()) == [300]


def test_a_volume_that_is_not_mounted_is_not_an_empty_one(tmp_path):
    with pytest.raises(Invalid) as missing:
        Volume(tmp_path / "nowhere")

    assert missing.value.code == "NO_VOLUME"


def test_one_signer_at_a_time_works_on_a_volume(tmp_path):
    with Volume(tmp_path).locked(), pytest.raises(Unavailable) as busy, Volume(tmp_path).locked():
        pass

    assert busy.value.code == "SIGNER_BUSY"


class NeverSignsTwoHistories(RuleBasedStateMachine):
    """Appends, rounds that may die, and restores to any earlier point: what was ever signed is one history."""

    def __init__(self):
        super().__init__()
        self.world = World()
        self.backups = []
        self.signed = {}
        self.loop = asyncio.new_event_loop()

    def teardown(self):
        self.loop.close()

    @rule(count=st.integers(1, 300), salt=st.sampled_from([b"", b"other"]))
    def append(self, count, salt):
        self.world.rows.grow(count, salt)

    @rule(line=st.one_of(st.just(0), st.integers(1, 400)))
    def sign(self, line):
        try:
            with dying_at(line):
                self.loop.run_until_complete(self.world.signer().round())
        except (AssentError, Crash):
            self.world.volume.held = False

    @rule()
    def back_up(self):
        self.backups.append(self.world.rows.copy())

    @precondition(lambda self: self.backups)
    @rule(data=st.data())
    def restore(self, data):
        self.world.log.rows = data.draw(st.sampled_from(self.backups)).copy()

    @invariant()
    def one_history_was_signed(self):
        for size, note in written(self.world).items():
            if note not in self.signed.values():
                assert size not in self.signed
                self.signed[size] = note
                self.check(size, note)

    def check(self, size, note):
        """The new note is of the leaves there are, and so is everything signed before that is shorter; nothing is longer."""
        assert size == max(self.signed)
        for shorter in self.signed:
            stated = verify_checkpoint(self.signed[shorter], [VERIFIER], ORIGIN)
            assert stated.root == root_of(leaf_hashes(self.world.rows.leaves[:shorter]))


TestNeverSignsTwoHistories = NeverSignsTwoHistories.TestCase
TestNeverSignsTwoHistories.settings = settings(stateful_step_count=30)
