"""The schema, its queries, and what the role that runs cannot do."""

from __future__ import annotations

import asyncpg
import pytest
from consent_fakes import LEDGER, Bench, grant

from consent_service.store import PostgresLedger
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.errors import FailedPrecondition
from testkit import schema
from testkit.builders import a_subject

pytestmark = pytest.mark.integration
APPEND_ONLY = ("entry", "ledger_epoch", "request", "registry", "notice")
DERIVED = ("log_head", "subject_state", "partition_head")


async def test_the_written_schema_is_the_migrated_one(database):
    schema.assert_schema_matches(await database("consent"))


async def test_every_query_prepares(database):
    await schema.assert_queries_prepare(await database("consent"))


@pytest.fixture
async def used(database):
    """A database with an entry in it."""
    fresh = await database("consent")
    async with postgres.pool(fresh.settings) as pool:
        ledger = PostgresLedger(pool, LEDGER)
        await ledger.create(SystemClock())
        bench = Bench(ledger)
        await bench.publish()
        await bench.choose(a_subject(), grant())
    return fresh


async def refused(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "consent"})
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_nobody_changes_what_was_written(used, table):
    column = {"ledger_epoch": "epoch", "request": "request_id", "notice": "id"}.get(table, "idx")
    for dsn in (used.dsn, used.owner_dsn, used.admin_dsn):
        for statement in (f"update {table} set {column} = {column}", f"delete from {table}", f"truncate {table}"):
            await refused(dsn, statement)


@pytest.mark.parametrize("table", DERIVED)
async def test_the_service_deletes_nothing(used, table):
    for statement in (f"delete from {table}", f"truncate {table}"):
        await refused(used.dsn, statement)


@pytest.mark.parametrize(
    "change", ["size = size - 1", "epoch = epoch - 1", "recorded_us = recorded_us - 1", "ledger_id = 'x'"]
)
async def test_the_head_only_grows(used, change):
    for dsn in (used.dsn, used.owner_dsn, used.admin_dsn):
        await refused(dsn, f"update log_head set {change}")


async def test_a_database_holds_one_ledger(used):
    async with postgres.pool(used.settings) as pool:
        with pytest.raises(FailedPrecondition) as caught:
            await PostgresLedger(pool, "00" * 16).create(SystemClock())

    assert caught.value.code == "LEDGER_OTHER"
