"""kill -9 while somebody is being erased: another process goes on where that one died, with the keys in their own database."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from pathlib import Path

import pytest
from dying_officer import stored_keys
from rights_fakes import rights_bench

from consent_service.rights.cases import Stage
from servicekit import provision

pytestmark = pytest.mark.integration
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("step", ["sealed", "started", "appended", "shredded", "deleted", "finished"])
async def test_another_process_goes_on_where_one_was_killed(database, databases, tmp_path, step):
    fresh, store = await database("consent"), await databases.store(provision.KEYS)
    where = {
        "user_dsn": store.dsn_of("key_user"),
        "shredder_dsn": store.dsn_of("key_shredder"),
        "folder": str(tmp_path / "keks"),
    }
    given = {"database": dataclasses.asdict(fresh), "keys": where, "step": step}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(TESTS / "dying_officer.py"),
        json.dumps(given),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    out, _ = await process.communicate()
    assert process.returncode == -9
    subject = out.decode().strip()

    async with stored_keys(**where) as keys, rights_bench(fresh, keys=keys) as office:
        [row] = await office.fetch("select case_id from erasure_case")
        case = await office.runner.advance(row["case_id"])
        done = await office.finish(await office.approve(case) if step == "sealed" else case)

        assert done.stage is Stage.CERTIFIED
        assert (await keys.get([subject])).destroyed == {subject}
        assert len(await office.fetch("select 1 from event where class = 4")) == 1
        assert await office.fetch("select 1 from event where subject_id = $1", subject) == []
        assert json.loads(done.certificate.body)["deleted"]["event"] == 2
        assert office.bus.erased() in ([subject], [])  # the process that was killed may have told it already
        assert await office.reason(subject) == "SUBJECT_ERASED"
