"""Streams and buckets as a job, run by the one account that may create them."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest
from pydantic import SecretStr

from embedded.nats import Nats
from servicekit.nats import connect
from servicekit.streams import BUCKETS, STREAMS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = Nats(tmp_path_factory.mktemp("guarded"))
    server.start()
    yield server
    server.remove()


async def run_job(server, folder):
    password = folder / "password"
    password.write_text(server.passwords["cli"] + "\n")
    arguments = ["--user", "cli", "--password-file", str(password), server.url]
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "servicekit.streams", *arguments)
    assert await child.wait() == 0


async def test_the_job_creates_every_stream_and_bucket_and_may_be_repeated(guarded, tmp_path):
    await run_job(guarded, tmp_path)
    await run_job(guarded, tmp_path)

    settings = SimpleNamespace(servers=[guarded.url], user="cli", password=SecretStr(guarded.passwords["cli"]))
    async with connect(settings, "cli") as bus:
        found = {stream.config.name for stream in await bus.js.streams_info()}
    assert found == {stream.name for stream in STREAMS} | {f"KV_{bucket.name}" for bucket in BUCKETS}
