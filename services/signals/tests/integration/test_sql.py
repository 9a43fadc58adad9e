"""The SQL of the service on a migrated database."""

from __future__ import annotations

import pytest

from testkit.schema import assert_queries_prepare, assert_released_unchanged, assert_schema_matches

pytestmark = pytest.mark.integration


async def test_every_query_is_accepted_by_the_migrated_schema(database):
    await assert_queries_prepare(await database("signals"))


async def test_schema_sql_is_the_dump_of_the_migrated_schema(database):
    assert_schema_matches(await database("signals"))


def test_migrations_of_a_release_have_not_changed():
    assert_released_unchanged("signals_service")
