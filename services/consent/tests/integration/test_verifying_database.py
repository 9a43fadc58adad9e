"""Verifying a ledger where it lives, also after somebody with every right has changed what is stored."""

from __future__ import annotations

import asyncio
import itertools
import json
import os

import asyncpg
import pytest
from ledger_samples import LEDGER, NOTICE, ORIGIN, VKEY, WORDS, a_sample

from consent_service.domain import verification
from consent_service.domain.leaf import parse
from consent_service.domain.verification import Refused
from consent_service.verifying import Trust
from consent_service.verifying_database import verify_database
from servicekit.errors import Unavailable

pytestmark = pytest.mark.integration
SAMPLE = a_sample(entries=600, people=20)
SIZE = SAMPLE.size
DOCUMENT = json.loads(SAMPLE.entries[1].pub)["document"].encode()
NUMBERS = itertools.count(1)

TABLES = """
CREATE SCHEMA consent;
CREATE TABLE consent.log_head (ledger_id text PRIMARY KEY, epoch bigint, size bigint, root bytea, frontier bytea []);
CREATE TABLE consent.log_entry (idx bigint PRIMARY KEY, leaf bytea NOT NULL);
CREATE TABLE consent.log_tile (level smallint, n bigint, hashes bytea NOT NULL, PRIMARY KEY (level, n));
CREATE TABLE consent.checkpoint (size bigint PRIMARY KEY, root bytea NOT NULL, note text NOT NULL);
CREATE TABLE consent.event (idx bigint PRIMARY KEY, class smallint NOT NULL, pub text NOT NULL);
CREATE TABLE consent.registry (idx bigint PRIMARY KEY, digest text NOT NULL, document bytea NOT NULL);
CREATE TABLE consent.notice (id text, version bigint, locale text, sha256 text, bytes bytea, PRIMARY KEY (id, version, locale));
"""
"""What verifying reads of section 8, until the service's migrations make it."""


async def filled(dsn):
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "consent"})
    await connection.execute(TABLES)
    tree = SAMPLE.range()
    await connection.execute(
        "insert into log_head values ($1, $2, $3, $4, $5)", LEDGER, SAMPLE.epoch, SIZE, tree.root(), list(tree.hashes)
    )
    tables = {
        "log_entry": [(entry.index, entry.leaf) for entry in SAMPLE.entries],
        "log_tile": [(tile.level, tile.index, data) for tile, data in SAMPLE.tiles().items()],
        "checkpoint": [(size, SAMPLE.range(size).root(), note.decode()) for size, note in SAMPLE.notes.items()],
        "event": [
            (entry.index, parse(entry.leaf).of, entry.pub.decode()) for entry in SAMPLE.entries if entry.pub is not None
        ],
        "registry": [(1, json.loads(SAMPLE.entries[1].pub)["note"]["digest"], DOCUMENT)],
        "notice": [(*NOTICE, WORDS)],
    }
    for table, rows in tables.items():
        await connection.copy_records_to_table(table, records=rows, schema_name="consent")
    await connection.close()


@pytest.fixture(scope="module")
async def template(platform):
    name = f"verified_{os.getpid()}"
    connection = await asyncpg.connect(platform.postgres.dsn())
    await connection.execute(f'create database "{name}"')
    await connection.close()
    await filled(platform.postgres.dsn(name))
    return name


@pytest.fixture
async def dsn(platform, template):
    name = f"{template}_{next(NUMBERS)}"
    connection = await asyncpg.connect(platform.postgres.dsn())
    await connection.execute(f'create database "{name}" template "{template}"')
    await connection.close()
    return platform.postgres.dsn(name)


async def verdict(dsn, *known):
    try:
        return await asyncio.to_thread(verify_database, dsn, Trust(VKEY, ORIGIN, known), processes=1)
    except Refused as refused:
        return refused.code


async def after(dsn, *statements):
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "consent"})
    for statement in statements:
        await connection.execute(statement)
    await connection.close()
    return await verdict(dsn)


async def test_what_is_whole_verifies(dsn):
    report = await verdict(dsn, *SAMPLE.notes.values())

    assert (report.end, report.signed, report.root) == (SIZE, SIZE, SAMPLE.range().root().hex())
    assert (report.checkpoints, report.known, report.opened, report.notices) == (3, 3, 4, 1)


async def test_many_processes_and_small_blocks_say_the_same(dsn, monkeypatch):
    one = await verdict(dsn)
    monkeypatch.setattr(verification, "BLOCK_BITS", 8)
    monkeypatch.setattr(verification, "BLOCK", 256)
    monkeypatch.setattr("consent_service.verifying_database.BLOCKS_AT_ONCE", 1)

    assert await verdict(dsn) == one
    assert await asyncio.to_thread(verify_database, dsn, Trust(VKEY, ORIGIN), processes=2) == one


async def test_entries_after_the_last_checkpoint_are_said_not_to_be_signed(dsn):
    report = await after(dsn, f"delete from checkpoint where size = {SIZE}")

    assert (report.end, report.signed) == (SIZE, SIZE // 2 + 1)


CHANGES = [
    ("LEAF", "update log_entry set leaf = substr(leaf, 1, 161) where idx = 300"),
    ("LEDGER", "update log_entry set leaf = set_byte(leaf, 5, get_byte(leaf, 5) # 1) where idx = 300"),
    ("EPOCH", "update log_entry set leaf = set_byte(leaf, 25, 0) where idx = 300"),
    ("TIME", "update log_entry set leaf = set_byte(leaf, 33, 0) where idx = 300"),
    ("TILE", "update log_entry set leaf = set_byte(leaf, 100, get_byte(leaf, 100) # 4) where idx = 310"),
    ("COMMITMENT", "update log_entry set leaf = set_byte(leaf, 40, get_byte(leaf, 40) # 4) where idx = 1"),
    ("INDEX", "delete from log_entry where idx = 300"),
    ("INDEX", "delete from log_entry where idx = 599"),
    ("INDEX", "update log_entry set idx = 299 + 1000 where idx = 299; update log_head set size = 2000"),
    ("HEAD", "insert into log_entry select 600, leaf from log_entry where idx = 599"),
    ("HEAD", "insert into event select 600, class, pub from event where idx = 599"),
    ("COMMITMENT", "update event set pub = replace(pub, 'choices', 'chances') where idx = 1"),
    ("BODY", "delete from event where idx = 1"),
    ("EVENT", "update event set class = 3 where idx = 1"),
    ("TILE", "update log_tile set hashes = set_byte(hashes, 7, get_byte(hashes, 7) # 1) where level = 0 and n = 1"),
    ("TILE", "update log_tile set hashes = set_byte(hashes, 7, get_byte(hashes, 7) # 1) where level = 1"),
    ("TILE", "update log_tile set hashes = substr(hashes, 1, 32) where level = 0 and n = 2"),
    ("TILE", "delete from log_tile where level = 0 and n = 2"),
    ("TILE", "delete from log_tile where level = 1"),
    ("TILE", "insert into log_tile select 2, 0, hashes from log_tile where level = 1"),
    ("TILE", "insert into log_tile select 1, 1, hashes from log_tile where level = 1"),
    ("HEAD", "insert into log_tile select 0, 3, hashes from log_tile where level = 1"),
    ("HEAD", "update log_head set root = sha256('')"),
    ("HEAD", "update log_head set frontier = frontier[2:] || frontier[1:1]"),
    ("HEAD", "delete from log_head"),
    ("CHECKPOINT", "update checkpoint set root = sha256('') where size = 600"),
    ("CHECKPOINT", "update checkpoint set size = 599 where size = 600"),
    ("BAD_SIGNATURE", "update checkpoint set note = replace(note, e'\\n600\\n', e'\\n599\\n') where size = 600"),
    ("UNSIGNED", "delete from checkpoint"),
    (
        "NOTICE",
        "update notice set bytes = 'We may use everything.', sha256 = encode(sha256('We may use everything.'), 'hex')",
    ),
    ("NOTICE", "insert into notice values ('choices', 2, 'en', '', '')"),
    ("REGISTRY", "update registry set document = document || ' '"),
    ("REGISTRY", "delete from registry"),
    ("REGISTRY", "insert into registry select 700, digest, document from registry"),
]


@pytest.mark.parametrize(("code", "statement"), CHANGES)
async def test_a_change_by_somebody_with_every_right_is_found(dsn, code, statement):
    assert await after(dsn, statement) == code


async def test_a_restored_older_state_is_found_against_a_kept_note(dsn):
    """As if the last three hundred entries had never been: every table agrees with every other."""
    tree = SAMPLE.range(300)
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "consent"})
    await connection.execute("delete from log_entry where idx >= 300; delete from event where idx >= 300")
    await connection.execute("delete from checkpoint where size > 300; delete from log_tile where n = 2")
    await connection.execute("update log_tile set hashes = substr(hashes, 1, 32 * 44) where level = 0 and n = 1")
    await connection.execute("update log_tile set hashes = substr(hashes, 1, 32) where level = 1")
    await connection.execute("update log_head set size = 300, root = $1, frontier = $2", tree.root(), list(tree.hashes))
    await connection.close()

    assert (await verdict(dsn)).end == 300
    assert await verdict(dsn, SAMPLE.notes[600]) == "KNOWN"


async def test_a_database_that_is_away_is_unavailable():
    with pytest.raises(Unavailable):
        await verdict("postgresql://nobody@127.0.0.1:1/none")
