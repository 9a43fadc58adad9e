"""A superuser who switches triggers off and rewrites what was written: the database lets him, and verification finds it."""

from __future__ import annotations

import asyncio

import pytest
from click.testing import CliRunner
from consent_fakes import LEDGER, grant, refuse
from signing_fakes import KEY, ORIGIN
from writing_fakes import role_pool, writing_bench

from consent_service.ledger_commands import ledger
from consent_service.signing.signer import Identity, Signer
from consent_service.signing.store import PostgresLog
from consent_service.signing.volume import Volume
from servicekit.clock import SystemClock
from testkit.builders import a_subject
from tlog import format_vkey

pytestmark = pytest.mark.integration


@pytest.fixture
async def bench(database, tmp_path):
    """A ledger of two hundred entries, written by the writer and signed by the signer."""
    used = await database("consent")
    (tmp_path / "volume").mkdir()
    async with role_pool(used, "consent_signer") as pool:
        signer = Signer(Identity(ORIGIN, LEDGER, (KEY,)), PostgresLog(pool), Volume(tmp_path / "volume"), SystemClock())
        await signer.round()  # as the first writer's question makes it
        async with writing_bench(used, clock=SystemClock()) as made:
            await made.publish()
            people = [a_subject() for _ in range(50)]
            await asyncio.gather(*(made.choose(who, grant(), refuse("advice")) for who in people))
            await signer.round()
            await asyncio.gather(*(made.withdraw(who) for who in people * 2))
            await signer.round()
            yield made


async def verified(bench):
    """What `assent ledger verify --database` says."""
    dsn = bench.database.dsn_of("consent_auditor")
    given = ["verify", "--database", dsn, "--vkey", format_vkey(KEY.vkey), "--origin", ORIGIN, "--processes", "1"]
    return await asyncio.to_thread(CliRunner().invoke, ledger, given)


async def tamper(bench, *statements):
    async with bench.connected() as connection:
        await connection.execute("set session_replication_role = replica")
        for statement in statements:
            assert await connection.execute(statement) not in ("UPDATE 0", "DELETE 0")


async def test_what_the_writer_wrote_verifies(bench):
    found = await verified(bench)

    assert (found.exit_code, found.output.split()[:3]) == (0, ["OK", "202", "entries"]), found.output


@pytest.mark.parametrize(
    ("code", "statement"),
    [
        ("TILE", "update log_entry set leaf = overlay(leaf placing '\\x01' from 162) where idx = 77"),
        ("TIME", "update log_entry set leaf = overlay(leaf placing '\\x00' from 29) where idx = 77"),
        ("COMMITMENT", "update event set pub = replace(pub, 'one,two', 'one,six') where class = 2"),
        ("INDEX", "delete from log_entry where idx = 77"),
        ("TILE", "update log_tile set hashes = overlay(hashes placing '\\x00' from 32)"),
        ("HEAD", "update log_head set size = size - 1"),
        ("CHECKPOINT", "update checkpoint set root = overlay(root placing '\\x00' from 1)"),
        ("BODY", "update event set class = 4 where idx = 77"),
    ],
)
async def test_a_superuser_who_rewrites_a_row_is_found(bench, code, statement):
    await tamper(bench, statement)
    found = await verified(bench)

    assert found.exit_code == 1
    assert found.output.startswith(f"FAIL {code} "), found.output


async def test_a_superuser_who_swaps_two_entries_is_found(bench):
    await tamper(
        bench,
        "update log_entry set idx = 9999 where idx = 77",
        "update log_entry set idx = 77 where idx = 78",
        "update log_entry set idx = 78 where idx = 9999",
    )

    assert (await verified(bench)).exit_code == 1


async def test_a_superuser_who_cuts_the_end_off_is_found(bench):
    """Everything is consistent again but for what was signed."""
    await tamper(
        bench,
        "delete from event where idx >= 150",
        "delete from log_entry where idx >= 150",
        "delete from checkpoint where size > 150",
        "update log_head set size = 150",
    )

    assert (await verified(bench)).exit_code == 1
