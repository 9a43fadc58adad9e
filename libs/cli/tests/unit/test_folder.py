import pytest

from assent_cli.folder import AlreadyRunning, is_locked, locked, read_description, write_description


def test_a_folder_has_one_holder(tmp_path):
    with locked(tmp_path), pytest.raises(AlreadyRunning), locked(tmp_path):
        pass

    assert not is_locked(tmp_path)


def test_a_folder_where_nothing_ever_ran_describes_nothing(tmp_path):
    assert (read_description(tmp_path), is_locked(tmp_path)) == (None, False)


def test_a_description_is_read_as_it_was_written(tmp_path):
    write_description(tmp_path, {"pid": 1})

    assert read_description(tmp_path) == {"pid": 1}
