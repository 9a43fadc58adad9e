"""The schema that people read is the one that migrations make, and every query fits it."""

from __future__ import annotations

import pytest

from testkit.schema import assert_queries_prepare, assert_released_unchanged, assert_schema_matches

pytestmark = pytest.mark.integration


async def test_schema_sql_is_what_the_migrations_make(database):
    assert_schema_matches(await database("content"))


async def test_every_query_fits_the_schema(database):
    await assert_queries_prepare(await database("content"))


def test_migrations_that_a_release_carried_are_unchanged():
    assert_released_unchanged("content_service")
