import pytest

from servicekit import queries
from testkit.builders import unique
from testkit.schema import assert_queries_prepare

pytestmark = pytest.mark.integration


async def test_a_named_query_runs_with_named_parameters(pool, sample):
    sql = queries.load(sample)
    note = unique("note")
    await sql.add_note(pool, id=note, body={"words": ["ä", 1]})

    assert (await sql.note_of(pool, id=note))["body"] == {"words": ["ä", 1]}
    assert note in [row["id"] async for row in sql.notes(pool)]


async def test_rows_come_as_a_list_or_one_by_one(pool, sample):
    sql = queries.load(sample)
    await sql.add_note(pool, id=unique("note"), body={})

    assert await sql.notes(pool) == [row async for row in sql.notes(pool)] != []


async def test_a_parameter_that_is_missing_is_an_error(pool, sample):
    with pytest.raises(KeyError, match="body"):
        await queries.load(sample).add_note(pool, id=unique("note"))


async def test_every_query_of_the_sample_prepares(sample_database):
    await assert_queries_prepare(sample_database)


async def test_every_query_of_the_kit_prepares(sample_database):
    await assert_queries_prepare(sample_database, "servicekit")


async def test_a_query_with_a_typo_is_named(sample_database, packages):
    folder = packages / "typo_service"
    (folder / "sql").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "sql" / "queries.sql").write_text("-- name: wrong()\nSELECT boddy FROM note;\n")
    with pytest.raises(AssertionError, match="wrong: column"):
        await assert_queries_prepare(sample_database, "typo_service")


async def test_a_parameter_that_is_not_declared_is_an_error_at_load(packages):
    folder = packages / "undeclared_service"
    (folder / "sql").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "sql" / "queries.sql").write_text("-- name: wrong(a)\nSELECT :a, :b;\n")
    with pytest.raises(Exception, match="b"):
        queries.load("undeclared_service")
