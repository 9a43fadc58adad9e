"""The schema, its queries, and what each role can do and cannot."""

from __future__ import annotations

import asyncpg
import pytest
from consent_fakes import LEDGER, grant
from writing_fakes import SCHEMA, role_pool, writing_bench

from consent_service.store import PostgresLedger
from servicekit import provision
from servicekit.errors import FailedPrecondition
from testkit import schema
from testkit.builders import a_subject

pytestmark = pytest.mark.integration
ROLES = ("consent", *provision.FURTHER["consent"])
INSERT_ONLY = ("log_entry", "ledger_epoch", "checkpoint", "registry", "notice")
NEVER_DELETED = (*INSERT_ONLY, "log_head", "log_tile", "subject_state", "relay_cursor", "partition_head")
COLUMN = {"ledger_epoch": "epoch", "checkpoint": "size", "notice": "id"}


async def test_the_written_schema_is_the_migrated_one(database):
    schema.assert_schema_matches(await database("consent"))


async def test_every_query_prepares(database):
    await schema.assert_queries_prepare(await database("consent"))


@pytest.fixture(scope="module")
async def used(database):
    """A database with something in each of the log's tables."""
    fresh = await database("consent")
    async with writing_bench(fresh) as bench:
        await bench.publish()
        await bench.choose(a_subject(), grant())
        await bench.execute("insert into checkpoint values (1, '\\x00', '\\x00', '{}', 0)")
        await bench.execute("insert into relay_cursor values (true, 3)")
        await bench.execute("insert into partition_head values (1, 3)")
        await bench.execute("insert into reliance values ('d', 'p', 1, 'anna', 1, 0, 0)")
        await bench.execute(
            "insert into subject_state (subject_id, status, root, members, seq, last_idx, last_leaf_hash, statements)"
            " values ('gone', 'ERASED', 'gone', '{gone}', 1, 1, decode(repeat('00', 32), 'hex'), '[]')"
        )
    return fresh


def dsns(database, *roles):
    return [database.admin_dsn, database.owner_dsn, *map(database.dsn_of, roles or ROLES)]


async def run(dsn: str, statement: str) -> str:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        return await connection.execute(statement)
    finally:
        await connection.close()


async def refused(dsn: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(dsn, statement)


@pytest.mark.parametrize("table", INSERT_ONLY)
async def test_nobody_changes_what_was_written(used, table):
    column = COLUMN.get(table, "idx")
    for dsn in dsns(used):
        await refused(dsn, f"update {table} set {column} = {column}")


@pytest.mark.parametrize("table", NEVER_DELETED)
async def test_nobody_deletes_what_was_written(used, table):
    for dsn in dsns(used):
        for statement in (f"delete from {table}", f"truncate {table}"):
            await refused(dsn, statement)


@pytest.mark.parametrize(
    "change",
    [
        "log_head set size = size - 1",
        "log_head set epoch = epoch - 1",
        "log_head set recorded_us = recorded_us - 1",
        "log_head set ledger_id = 'x'",
        "log_head set registry_idx = null",
        "log_tile set hashes = substring(hashes from 1 for 32)",
        "log_tile set hashes = overlay(hashes placing '\\x00' from 1)",
        "log_tile set n = n + 1",
        "relay_cursor set idx = idx - 1",
        "partition_head set idx = idx - 1",
        "subject_state set status = 'LIVE' where status = 'ERASED'",
        "subject_state set subject_id = 'x'",
        "event set pub = pub",
    ],
)
async def test_what_grows_only_grows(used, change):
    for dsn in dsns(used):
        await refused(dsn, f"update {change}")


async def test_events_are_deleted_by_the_eraser_alone_and_only_those_of_subjects(used):
    for dsn in dsns(used, *(role for role in ROLES if role != "consent_eraser")):
        await refused(dsn, "delete from event where class = 1")
    for dsn in dsns(used):
        await refused(dsn, "truncate event")
    await refused(used.dsn_of("consent_eraser"), "delete from event")
    await refused(used.dsn_of("consent_eraser"), "delete from event where class = 2")


MAY = {
    "consent_writer": {"log_entry", "event", "registry", "notice", "ledger_epoch", "log_head", "log_tile"}
    | {"subject_state", "partition_head", "relay_cursor"},
    "consent_signer": {"checkpoint"},
    "consent": {"reliance", "finding", "fold_position", "erasure_case", "erasure_subject", "handed_out"},
    "consent_reader": set(),
    "consent_eraser": {"subject_state"},
    "consent_auditor": set(),
}


async def test_each_role_inserts_where_its_job_is_and_nowhere_else(used):
    connection = await asyncpg.connect(used.admin_dsn)
    try:
        rows = await connection.fetch(
            "select grantee, table_name from information_schema.role_table_grants"
            " where table_schema = 'consent' and privilege_type = 'INSERT' and grantee = any($1)",
            list(ROLES),
        )
    finally:
        await connection.close()
    found = {role: {row["table_name"] for row in rows if row["grantee"] == role} for role in ROLES}

    assert found == MAY


async def test_who_signs_sees_no_person(used):
    for table in ("event", "subject_state", "reliance", "erasure_case", "erasure_subject", "handed_out"):
        await refused(used.dsn_of("consent_signer"), f"select * from {table}")


async def test_a_database_holds_one_ledger(used):
    async with role_pool(used, "consent_reader") as pool:
        with pytest.raises(FailedPrecondition) as caught:
            await PostgresLedger(pool, "00" * 16).require_own()
        await PostgresLedger(pool, LEDGER).require_own()

    assert caught.value.code == "LEDGER_OTHER"
