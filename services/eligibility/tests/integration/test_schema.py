"""The SQL of the service: every query, the dump that people read, and what a release carried."""

from __future__ import annotations

import pytest

from testkit import schema


@pytest.mark.integration
async def test_every_query_is_accepted_by_the_migrated_schema(database):
    await schema.assert_queries_prepare(await database("eligibility"))


@pytest.mark.integration
async def test_the_dump_that_people_read_is_the_migrated_schema(database):
    schema.assert_schema_matches(await database("eligibility"))


def test_migrations_that_a_release_carried_are_unchanged():
    schema.assert_released_unchanged("eligibility_service")
