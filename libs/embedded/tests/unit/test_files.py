import os
import stat

import pytest

from embedded import files
from embedded.process import User

SOMEBODY = User(54321, 54321)


def test_a_closed_folder_above_makes_a_place_unreachable(tmp_path):
    closed = tmp_path / "closed"
    (closed / "inside").mkdir(parents=True)
    closed.chmod(0o700)

    assert not files.reachable(closed / "inside", SOMEBODY)


def test_we_ourselves_reach_every_place(tmp_path):
    assert files.reachable(tmp_path, None)


def test_an_own_folder_has_its_mode_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        made = files.own_folder(tmp_path / "made")
    finally:
        os.umask(before)

    assert stat.S_IMODE(made.stat().st_mode) == 0o755


def test_a_folder_that_exists_keeps_its_mode(tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o711)
    files.own_folder(theirs)

    assert stat.S_IMODE(theirs.stat().st_mode) == 0o711


def test_passwords_are_kept_and_only_ours_to_read(tmp_path):
    first = files.passwords(tmp_path / "secrets", ["a"])
    second = files.passwords(tmp_path / "secrets", ["a", "b"])

    assert first["a"] == second["a"] != second["b"]
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o600


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_secret_is_private_under_any_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_secret(tmp_path / "s", "x")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
