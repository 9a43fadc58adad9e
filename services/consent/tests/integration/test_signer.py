"""The signer on a real database and a real volume: its one role, its one file, and a process that dies between them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import asyncpg
import ledger_samples
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ledger_samples import a_sample
from signing_database import StoredLog
from signing_fakes import KEY, LEDGER, ORIGIN

from assent.consent.v1 import signer_service_pb2 as pb
from assent.consent.v1.signer_service_pb2_grpc import SignerServiceStub
from consent_service.domain.leaf import parse
from consent_service.signing.app import build
from consent_service.signing.client import TARGET, SignerClient
from consent_service.signing.settings import Settings
from consent_service.signing.signer import Identity, Signer
from consent_service.signing.store import PostgresLog
from consent_service.signing.volume import Volume
from consent_service.verifying import Trust
from consent_service.verifying_database import verify_database
from servicekit import postgres
from servicekit.auth import ServiceIdentity
from servicekit.clock import SystemClock
from servicekit.errors import AssentError, FailedPrecondition, Forbidden, Unavailable
from servicekit.settings import DatabaseSettings
from testkit import schema
from testkit.apps import serving, settings_values
from testkit.waiting import until
from tlog import Verifier, format_vkey, root_of, verify_checkpoint
from tlog.hashing import leaf_hashes

pytestmark = pytest.mark.integration
TESTS = Path(__file__).resolve().parent.parent
VERIFIER = Verifier(KEY.vkey)


class World:
    """A database, a volume, and signers on them."""

    def __init__(self, database, stored, pool, folder):
        self.database, self.stored, self.pool, self.folder = database, stored, pool, folder

    @property
    def dsn(self):
        return self.database.dsn_of("consent_signer")

    def signer(self):
        identity = Identity(ORIGIN, LEDGER, (KEY,))
        return Signer(identity, PostgresLog(self.pool), Volume(self.folder), SystemClock())

    async def refusal(self):
        with pytest.raises(AssentError) as refused:
            await self.signer().round()
        return refused.value.code

    async def assert_one_history(self):
        for size, note in (await self.stored.notes()).items():
            stated = verify_checkpoint(note, [VERIFIER], ORIGIN)
            assert stated.root == root_of(leaf_hashes(self.stored.rows.leaves[:size]))


@pytest.fixture
async def world(database, tmp_path):
    fresh = await database("consent")
    settings = DatabaseSettings(dsn=fresh.dsn_of("consent_signer"))
    async with postgres.pool(settings, schema="consent") as pool:
        stored = await StoredLog.open(fresh)
        try:
            yield World(fresh, stored, pool, tmp_path)
        finally:
            await stored.connection.close()


async def test_the_signers_queries_are_accepted_for_its_role(world):
    as_signer = await asyncpg.connect(world.dsn, server_settings={"search_path": "consent"})
    try:
        for text in schema.queries.statements("consent_service.signing").values():
            await as_signer.prepare(text)
    finally:
        await as_signer.close()


async def test_the_auditors_queries_are_accepted_for_the_service(world):
    await schema.assert_queries_prepare(world.database, "consent_service.auditing")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into log_entry values (0, decode(repeat('00', 162), 'hex'))",
        "update log_head set size = 0",
        "update checkpoint set root = ''",
        "delete from checkpoint",
        "select 1 from event",
        "select 1 from subject_state",
    ],
)
async def test_the_signers_role_may_do_nothing_else(world, statement):
    as_signer = await asyncpg.connect(world.dsn, server_settings={"search_path": "consent"})
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_signer.execute(statement)
    finally:
        await as_signer.close()


async def test_each_round_signs_what_was_committed(world):
    signer = world.signer()
    await signer.round()
    for count in (3, 300, 9000):
        await world.stored.grow(count)
        await signer.round()

    assert sorted(await world.stored.notes()) == [3, 303, 9303]
    await world.assert_one_history()


@pytest.mark.parametrize(
    "damage",
    [
        "update log_entry set leaf = set_byte(leaf, 50, get_byte(leaf, 50) # 4) where idx = 400",
        "delete from log_entry where idx = 400",
        "update log_tile set hashes = set_byte(hashes, 7900, get_byte(hashes, 7900) # 1) where level = 0 and n = 1",
        "update log_tile set hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1) where level = 1",
        "update log_head set root = set_byte(root, 3, get_byte(root, 3) # 128)",
    ],
)
async def test_a_bit_that_an_administrator_flips_is_not_signed(world, damage):
    signer = world.signer()
    await signer.round()
    await world.stored.grow(300)
    await signer.round()
    await world.stored.grow(300)
    await world.stored.force(damage)

    assert await world.refusal() in {"LEAF", "TILE", "HEAD"}
    assert sorted(await world.stored.notes()) == [300]


async def test_a_restored_database_is_a_fork_until_its_entries_are_back(world):
    signer = world.signer()
    await signer.round()
    await world.stored.grow(300)
    backup = world.stored.rows.copy()
    await world.stored.grow(7)
    await signer.round()
    whole = world.stored.rows.copy()

    await world.stored.restore(backup)
    assert await world.refusal() == "FORK"
    await world.stored.grow(20, salt=b"other")
    assert await world.refusal() == "FORK"
    assert await world.stored.notes() == {}
    await world.stored.restore(whole)
    await world.signer().round()

    assert sorted(await world.stored.notes()) == [307]


async def test_a_database_that_is_away_is_said_and_outlived(world, platform):
    signer = world.signer()
    await signer.round()
    platform.postgres.kill()
    with pytest.raises(Unavailable):
        await signer.round()
    with pytest.raises(Unavailable):
        await signer.check()
    await asyncio.to_thread(platform.postgres.restart)

    await signer.round()

    await signer.check()


HANGING = """
import asyncio, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from signing_fakes import KEY, LEDGER, ORIGIN
from consent_service.signing.signer import Identity, Signer
from consent_service.signing.store import PostgresLog
from consent_service.signing.volume import Volume
from servicekit import postgres
from servicekit.clock import SystemClock
from servicekit.settings import DatabaseSettings

class Hanging(PostgresLog):
    async def publish(self, signed, now_us):
        print("kept", signed.size, flush=True)
        await asyncio.Event().wait()

async def main():
    async with postgres.pool(DatabaseSettings(dsn={dsn!r}), schema="consent") as pool:
        await Signer(Identity(ORIGIN, LEDGER, (KEY,)), Hanging(pool), Volume(Path({folder!r})), SystemClock()).round()

asyncio.run(main())
"""


async def test_a_signer_that_is_killed_between_file_and_database_publishes_afterwards(world):
    await world.signer().round()
    await world.stored.grow(5)
    program = HANGING.format(tests=str(TESTS), dsn=world.dsn, folder=str(world.folder))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    try:
        assert await child.stdout.readline() == b"kept 5\n"
        with pytest.raises(Unavailable) as busy:
            await world.signer().round()
    finally:
        child.kill()
        await child.wait()
    assert busy.value.code == "SIGNER_BUSY"
    assert await world.stored.notes() == {}
    await world.stored.grow(2)

    await world.signer().round()

    assert sorted(await world.stored.notes()) == [5, 7]
    await world.assert_one_history()


async def test_ledger_verify_accepts_what_was_signed(world):
    sample = a_sample(entries=300, people=8)
    leaves = [entry.leaf for entry in sample.entries]
    signer = world.signer()
    await signer.round()
    for first, end in ((0, 100), (100, 101), (101, 300)):
        await world.stored.append(leaves[first:end], epoch=sample.epoch)
        await signer.round()
    await store_bodies(world.stored.connection, sample)
    trust = Trust(format_vkey(KEY.vkey), ORIGIN, tuple((await world.stored.notes()).values()))

    report = await asyncio.to_thread(verify_database, world.database.dsn_of("consent_auditor"), trust, processes=1)

    assert (report.end, report.signed, report.checkpoints, report.known) == (300, 300, 3, 3)


async def store_bodies(connection, sample):
    """What verifying reads besides the log."""
    document = json.loads(sample.entries[1].pub)
    for entry in sample.entries:
        if entry.pub is not None:
            await connection.execute(
                "insert into event (idx, class, kind, event_id, effective, reason, event_us, recorded_us, epoch, pub) "
                "values ($1, $2, '', $3, true, '', 0, 0, 0, $4)",
                entry.index,
                parse(entry.leaf).of,
                entry.index.to_bytes(16, "big"),
                entry.pub.decode(),
            )
    await connection.execute(
        "insert into registry values (1, $1, $2)", document["note"]["digest"], document["document"].encode()
    )
    await connection.execute(
        "insert into notice values ($1, $2, $3, $4, $5)", *ledger_samples.NOTICE, ledger_samples.WORDS
    )


# The process


@pytest.fixture
def settings(world, nats_settings, keys, checkpoint_key, tmp_path):
    values = settings_values("consent-signer", world.database, nats_settings("consent-signer"), keys, tmp_path)
    values["database"] = DatabaseSettings(dsn=world.dsn)
    return Settings(**values, origin=ORIGIN, key=checkpoint_key, folder=world.folder, interval_ms=200)


@pytest.fixture
def checkpoint_key(tmp_path):
    path = tmp_path / "checkpoint.pem"
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def variables(settings):
    """The settings as the environment says them."""
    auth = {name: str(value) for name, value in settings.auth.model_dump().items() if name != "callers"}
    named = {
        "DATABASE__DSN": settings.database.dsn,
        "NATS__SERVERS": json.dumps(settings.nats.servers),
        "ORIGIN": settings.origin,
        "KEY": settings.key,
        "FOLDER": settings.folder,
        **{f"AUTH__{name.upper()}": value for name, value in auth.items()},
    }
    return os.environ | {f"CONSENT_SIGNER_{name}": str(value) for name, value in named.items()}


async def test_an_operator_adopts_a_note_beside_a_running_signer(world, settings):
    await world.signer().round()
    await world.stored.grow(300)
    await world.signer().round()
    Volume(world.folder).file.unlink()
    await world.stored.grow(5)
    running = asyncio.create_task(_serve(settings))
    command = [sys.executable, "-m", "consent_service.signing", "--adopt"]
    try:
        for note, told in ((b"no note\n", b"FAIL ADOPT_NOTE"), ((await world.stored.notes())[300], b"OK adopted 300 ")):
            (world.folder / "adopted.note").write_bytes(note)
            done = await asyncio.create_subprocess_exec(
                *command, world.folder / "adopted.note", env=variables(settings), stdout=asyncio.subprocess.PIPE
            )
            said, _ = await done.communicate()
            assert said.startswith(told), said
        await until(lambda: covers(world, 305), timeout=10)
    finally:
        running.cancel()
        await asyncio.wait([running])
    await world.assert_one_history()


async def a_client(bus, keys, service="consent"):
    return SignerClient(await bus(service), keys.identity(service), timeout_s=5)


async def test_the_writer_gets_its_head_confirmed_over_the_bus(world, settings, bus, keys):
    client = await a_client(bus, keys)
    async with serving(build, settings):
        await world.stored.grow(4)
        head = world.stored.rows.head
        await client.confirm(head.size, head.root, head.epoch)
        size, note = await client.sign_now(4)

        assert (size, verify_checkpoint(note, [VERIFIER], ORIGIN).root) == (4, head.root)
        for wrong in ((4, bytes(32), 1), (3, head.root, 1), (4, head.root, 2)):
            with pytest.raises(FailedPrecondition):
                await client.confirm(*wrong)


async def test_nobody_but_the_writer_may_ask(world, settings, bus, keys):
    stranger = await a_client(bus, keys, "profile")
    async with serving(build, settings):
        with pytest.raises(Forbidden):
            await stranger.confirm(0, bytes(32), 1)


async def test_without_a_signer_nothing_is_confirmed(bus, keys):
    client = await a_client(bus, keys)

    with pytest.raises(Unavailable) as missing:
        await client.confirm(0, bytes(32), 1)

    assert missing.value.code == "NO_SIGNER"


async def test_a_signer_that_refuses_does_not_become_ready(world, settings, bus, keys):
    await world.stored.grow(4)
    channel = (await bus("consent")).channel(
        TARGET, identity=ServiceIdentity.read("consent", keys.service_key("consent"))
    )
    stub = SignerServiceStub(channel)

    async def answer():
        try:
            await stub.ConfirmHead(pb.ConfirmHeadRequest(size=4, root=bytes(32), epoch=1))
        except AssentError as error:
            return error.code

    running = asyncio.create_task(_serve(settings))
    try:
        await until(lambda: answer_is(answer, "NO_LAST_SIGNED"), timeout=20)
        assert not settings.ready_file.exists()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def answer_is(answer, code):
    return await answer() == code


async def _serve(settings):
    async with serving(build, settings):
        await asyncio.Event().wait()


async def test_entries_are_in_a_checkpoint_within_a_second(world, settings):
    settings = settings.model_copy(update={"interval_ms": 900})
    appended = {}
    async with serving(build, settings):
        for _ in range(300):
            await world.stored.grow(20)
            appended[len(world.stored.rows.leaves)] = SystemClock().now_us()
        size = len(world.stored.rows.leaves)
        await until(lambda: covers(world, size), timeout=5)
    published = await world.stored.connection.fetch("select size, published_us from checkpoint order by size")
    lags = [next(us for at, us in published if at >= size) - us for size, us in appended.items()]

    assert max(lags) < 1_000_000


async def covers(world, size):
    return await world.stored.connection.fetchval("select max(size) from checkpoint") == size
