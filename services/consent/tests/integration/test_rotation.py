"""The checkpoint key is rotated under a running ledger: the entry, both keys for an interval, and an audit across it."""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import AsyncExitStack

import asyncpg
import grpc
import pytest
from click.testing import CliRunner
from service_world import ORIGIN, World

from assent.consent.v1 import checkpoint_key_service_pb2 as pb
from assent.consent.v1 import checkpoint_key_service_pb2_grpc as key_stubs
from assent.consent.v1 import consent_service_pb2 as consent
from assent.consent.v1 import consent_service_pb2_grpc as stubs
from consent_service.app import build
from consent_service.ledger_commands import ledger
from consent_service.signing import app as signing
from servicekit import provision
from testkit.apps import serving
from testkit.builders import unique
from testkit.waiting import until
from tlog import parse_note, parse_vkey

pytestmark = pytest.mark.integration


@pytest.fixture
async def world(database, databases, nats_settings, streams, keys, tmp_path):
    store = await databases.store(provision.KEYS)
    return World(await database("consent"), store, nats_settings, keys, unique("ledger"), tmp_path)


@pytest.fixture
def operator(tokens, tmp_path):
    path = tmp_path / "operator.token"
    path.write_text(tokens("consent.keys"))
    return path


async def run(*words):
    """`assent ledger ...`, as an operator types it."""
    return await asyncio.to_thread(CliRunner().invoke, ledger, [str(word) for word in words])


class Running:
    """A ledger that is served, and its signer in one configuration after another."""

    def __init__(self, world, address, tokens):
        self.world, self.address, self._tokens = world, address, tokens

    def metadata(self, scope):
        return (("authorization", f"Bearer {self._tokens(scope)}"),)

    async def rotate(self, new, *more):
        return await run(
            "rotate-key", "--origin", ORIGIN, "--key", self.world.keys.checkpoint_key, "--new", new,
            "--server", self.address, *more,
        )  # fmt: skip

    async def append(self) -> int:
        """Any entry; its index."""
        request = consent.WithdrawConsentRequest(request_id=uuid.uuid4().hex, subject_id=str(uuid.uuid4()), all=True)
        async with grpc.aio.insecure_channel(self.address) as channel:
            metadata = self.metadata("consent.choose")
            answered = await stubs.ConsentServiceStub(channel).WithdrawConsent(request, metadata=metadata)
        return answered.result.position.index

    async def signers(self, index) -> list[str]:
        """The ids of the keys that signed the first checkpoint over an entry."""
        connection = await asyncpg.connect(self.world.database.dsn_of("consent_reader"))
        statement = "select note from consent.checkpoint where size > $1 order by size limit 1"
        try:
            note = await until(lambda: connection.fetchval(statement, index))
        finally:
            await connection.close()
        return sorted(line.key_id.hex() for line in parse_note(note).signatures)


@pytest.fixture
async def running(world, tokens):
    async with serving(signing.build, world.signer_settings()), serving(build, world.settings()) as address:
        ledger = Running(world, address, tokens)
        await ledger.signers(await ledger.append())
        yield ledger


def id_of(vkey: str) -> str:
    return parse_vkey(vkey).key_id.hex()


async def test_a_log_is_one_log_across_a_rotation(world, tokens, operator, tmp_path):
    new = tmp_path / "checkpoint-2.pem"
    before = world.signer_settings()
    both = before.model_copy(update={"key": new, "retiring_key": before.key})
    after = before.model_copy(update={"key": new})
    async with AsyncExitStack() as first, AsyncExitStack() as opened:
        await first.enter_async_context(serving(signing.build, before))
        ledger = Running(world, await opened.enter_async_context(serving(build, world.settings())), tokens)
        await ledger.signers(await ledger.append())
        told = json.loads((await ledger.rotate(new, "--token-file", operator)).output)
        again = json.loads((await ledger.rotate(new, "--token-file", operator)).output)
        old_id, new_id = id_of(told["old_vkey"]), id_of(told["new_vkey"])
        assert again == told
        assert await ledger.signers(told["index"]) == [old_id]
        await first.aclose()
        async with serving(signing.build, both):
            assert await ledger.signers(await ledger.append()) == sorted([old_id, new_id])
        async with serving(signing.build, after):
            assert await ledger.signers(await ledger.append()) == [new_id]
            late = await ledger.rotate(new, "--token-file", operator)
    assert "KEY_NOT_IN_USE" in late.output

    where = ("--database", world.database.dsn_of("consent_auditor"), "--origin", ORIGIN)
    whole = await run("verify", *where, "--vkey", told["old_vkey"], "--vkey", told["new_vkey"])
    halves = [await run("verify", *where, "--vkey", told[name]) for name in ("old_vkey", "new_vkey")]

    assert whole.output.startswith("OK ")
    assert [half.output.split()[:2] for half in halves] == [["FAIL", "NO_KNOWN_SIGNATURE"]] * 2
    assert await entries(world) == [(told["index"], told["entry"])]


async def entries(world):
    """Every rotation that the log names."""
    connection = await asyncpg.connect(world.database.dsn_of("consent_reader"))
    try:
        rows = await connection.fetch("select idx, pub::jsonb -> 'note' as note from consent.event where class = 3")
    finally:
        await connection.close()
    notes = [(row["idx"], json.loads(row["note"])) for row in rows]
    return [(index, note) for index, note in notes if note["event"] == "KEY_ROTATED"]


async def test_only_operators_record_a_rotation_and_only_of_the_key_in_use(running, world, tmp_path):
    told = json.loads((await running.rotate(tmp_path / "new.pem")).output)
    asked = {
        "FAILED_PRECONDITION": (told["new_vkey"], told["old_vkey"], "consent.keys"),
        "INVALID_ARGUMENT": (told["old_vkey"], told["old_vkey"], "consent.keys"),
        "PERMISSION_DENIED": (told["old_vkey"], told["new_vkey"], "consent.registry"),
    }
    async with grpc.aio.insecure_channel(running.address) as channel:
        stub = key_stubs.CheckpointKeyServiceStub(channel)
        for code, (old, new, scope) in asked.items():
            request = pb.RecordRotationRequest(old_vkey=old, new_vkey=new)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.RecordRotation(request, metadata=running.metadata(scope))
            assert caught.value.code().name == code

    assert "index" not in told
    assert await entries(world) == []


async def test_a_replica_that_does_not_write_forwards_a_rotation(running, world, tokens, operator, tmp_path):
    async with serving(build, world.settings("b")) as other:
        done = await Running(world, other, tokens).rotate(tmp_path / "new.pem", "--token-file", operator)

    assert [json.loads(done.output)["index"]] == [index for index, _ in await entries(world)]
