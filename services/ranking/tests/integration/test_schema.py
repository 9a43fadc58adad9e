"""The schema that people read is the one that migrations make."""

import pytest

from testkit.schema import assert_queries_prepare, assert_released_unchanged, assert_schema_matches

pytestmark = pytest.mark.integration


async def test_the_schema_people_read_is_the_migrated_one(database):
    assert_schema_matches(await database("ranking"))


async def test_postgresql_accepts_every_query(database):
    await assert_queries_prepare(await database("ranking"))


def test_released_migrations_never_change():
    assert_released_unchanged("ranking_service")
