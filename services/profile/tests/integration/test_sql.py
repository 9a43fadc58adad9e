"""The schema people read, and every query."""

from __future__ import annotations

import pytest

from testkit.schema import assert_queries_prepare, assert_released_unchanged, assert_schema_matches

pytestmark = pytest.mark.integration


async def test_every_query_is_accepted_by_the_migrated_schema(database):
    await assert_queries_prepare(await database("profile"))


async def test_the_schema_file_is_what_the_migrations_make(database):
    assert_schema_matches(await database("profile"))


def test_released_migrations_have_not_changed():
    assert_released_unchanged("profile_service")
