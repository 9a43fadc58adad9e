from pathlib import Path

import pytest

from servicekit.errors import Invalid
from servicekit.migrate import plan, url


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


def names(files: list[Path]) -> list[str]:
    return [file.name for file in files]


def test_pre_takes_no_post_file_of_its_own_release():
    planned = plan(paths("0001_a.sql", "0002_b.sql"), paths("0003_c.sql"), "pre")

    assert names(planned) == ["0001_a.sql", "0002_b.sql"]


def test_pre_takes_the_post_files_of_earlier_releases_in_their_turn():
    planned = plan(paths("0001_a.sql", "0004_d.sql"), paths("0003_c.sql", "0005_e.sql"), "pre")

    assert names(planned) == ["0001_a.sql", "0003_c.sql", "0004_d.sql"]


def test_post_takes_everything():
    assert names(plan(paths("0001_a.sql"), paths("0002_b.sql"), "post")) == ["0001_a.sql", "0002_b.sql"]


@pytest.mark.parametrize(
    ("pre", "post"),
    [(["1_a.sql"], ["1_b.sql"]), (["1_a.sql", "1_b.sql"], []), (["first.sql"], []), ([], ["0001_a.sql", "1_b.sql"])],
)
def test_numbers_are_unique_over_both_folders(pre, post):
    with pytest.raises(Invalid):
        plan(paths(*pre), paths(*post), "post")


def test_dbmate_keeps_its_books_in_the_schema():
    assert url("postgresql://a:p@127.0.0.1:1/assent", "consent") == (
        "postgres://a:p@127.0.0.1:1/assent?sslmode=disable&search_path=consent"
    )


def test_what_the_dsn_says_about_encryption_stays():
    assert "sslmode=verify-full&" in url("postgresql://a:p@db.bank:1/assent?sslmode=verify-full", "consent")
